r"""Recognising text in which the model fell into a loop, without taking honest monotony for one.

A vision-language model that loops repeats a character, a phrase, a line, a cell or a row until its
tokens run out or it happens to stop ("neural text degeneration", Holtzman et al. 2020,
https://arxiv.org/abs/1904.09751). Pages are monotonous as well: dotted leaders, rulings, empty
forms, columns of zeros. What tells them apart is that one printed page has room for about a hundred
lines of about two hundred characters, and that honest monotony is mostly made of punctuation,
digits and empty cells. Every bound below is set beyond what a page can hold of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby

#: Texts shorter than this are never judged: a loop that short does no harm.
MIN_LENGTH = 400
#: One letter or digit in a row.
CHARACTER_RUN = 200
#: A phrase with letters: repeats, and characters in all.
PHRASE_REPEATS, PHRASE_LENGTH = 12, MIN_LENGTH
#: A phrase of digits, punctuation or blanks alone: leaders, rulings, columns of figures.
FIGURE_REPEATS, FIGURE_LENGTH = 300, 1500
#: Identical lines or table rows one after the other, empty ones aside.
LINE_RUN = 128
#: A line of letters that returns and returns: times, and its share of the whole text.
LINE_RETURNS, LINE_SHARE, LINE_MIN_LENGTH = 12, 0.5, 20
#: Equal cells one after the other in one row, empty or not: no page has that many columns.
CELL_RUN = 200

#: Longest phrase that is looked for; longer ones are caught as lines that return.
_LONGEST_PHRASE = 200
#: Where a run is looked for, and how much of it must recur: every run that counts covers such a place.
_STRIDE, _HEAD = 100, 64
_ROW_END = re.compile(r"<nl>|</tr>", re.IGNORECASE)
_CELL_START = re.compile(r"<(?:[feluxc]cel|ched|rhed|srow|t[dh]\b[^>]*)>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def is_degenerate(text: str) -> bool:
    """Whether ``text`` is a loop; tables (OTSL or HTML) are judged by cell and row, all else by line and phrase."""
    if len(text) < MIN_LENGTH:
        return False
    if _CELL_START.search(text):
        return _is_degenerate_table(text)
    return _is_degenerate_prose(text)


def _is_degenerate_prose(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines()]
    return _has_phrase_loop(text) or _has_run(lines, LINE_RUN) or _has_returning_line(lines, len(text))


def _is_degenerate_table(text: str) -> bool:
    rows = [row.strip() for row in _ROW_END.split(text)]
    if _has_run([_TAG.sub("", row) for row in rows], LINE_RUN):
        return True
    for row in rows:
        # What stands before the first cell's tag is no cell.
        cells = [_TAG.sub("", cell).strip() for cell in _CELL_START.split(row)[1:]]
        if _has_run(cells, CELL_RUN, empty_counts=True) or any(map(_is_looping_cell, cells)):
            return True
    return False


def _is_looping_cell(cell: str) -> bool:
    return len(cell) >= MIN_LENGTH and _has_phrase_loop(cell)


def _has_phrase_loop(text: str) -> bool:
    return any(_is_loop(phrase, length) for phrase, length in _periodic_runs(text))


def _periodic_runs(text: str) -> Iterator[tuple[str, int]]:
    """Yield each long run as its phrase and its length in characters.

    A regular expression with a back-reference says the same in one line, and costs 20 ms of CPU on
    a page of prose; looking only where any sufficiently long run must be costs 0.02 ms.
    """
    place = 0
    while place + _HEAD < len(text):
        again = text.find(text[place : place + _HEAD], place + 1, place + _LONGEST_PHRASE + _HEAD)
        end = start = place
        if again > 0:
            period = again - place
            while start and text[start - 1] == text[start - 1 + period]:
                start -= 1
            end = again
            while end < len(text) and text[end] == text[end - period]:
                end += 1
            yield text[start : start + period], end - start
        place = max(place + _STRIDE, end)


def _is_loop(phrase: str, length: int) -> bool:
    repeats = length // len(phrase)
    if len(phrase) == 1 and phrase.isalnum():
        return length >= CHARACTER_RUN
    if any(map(str.isalpha, phrase)):
        return length >= PHRASE_LENGTH and repeats >= PHRASE_REPEATS
    return length >= FIGURE_LENGTH and repeats >= FIGURE_REPEATS


def _has_run(items: list[str], most: int, *, empty_counts: bool = False) -> bool:
    return any(sum(1 for _ in run) >= most for item, run in groupby(items) if item or empty_counts)


def _has_returning_line(lines: list[str], length: int) -> bool:
    counts = Counter(line for line in lines if len(line) >= LINE_MIN_LENGTH and any(map(str.isalpha, line)))
    return any(
        times >= LINE_RETURNS and times * len(line) > LINE_SHARE * length for line, times in counts.most_common(1)
    )
