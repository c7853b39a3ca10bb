"""Marks the words in which truth and parse differ, so that people need not look for them.

A help for the eye, block by block and in the normal form of the scores; what counts are the scores.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape
from rapidfuzz.distance import Indel

from mineru_pipeline.quality.scores.grid import Cell, read_table
from mineru_pipeline.quality.scores.normal import normalise, words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Characters and rows of one block that are shown.
MAX_SHOWN: Final = 4_000
MAX_ROWS: Final = 60
#: Words of one side of a block that are compared.
_MAX_WORDS: Final = 3_000
#: A word; a number with blanks between its groups of three digits is one.
_TOKEN: Final = re.compile("(?<![\\d.,])\\d{1,3}(?:[ \u00a0\u2009\u202f]\\d{3}){1,9}(?!\\d)|\\S+")
_DROPPED: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text that can be shown, with its words."""

    text: str
    #: Where each word begins and ends, and what it is compared by: "" for punctuation, which is not compared.
    words: tuple[tuple[int, int, str], ...]

    @classmethod
    def of(cls, text: str) -> Text:
        """Without what no page can show: control characters, and marks that turn the direction of what follows."""
        clean = _DROPPED.sub("", text)
        found = ((match.start(), match.end(), _compared(match[0])) for match in _TOKEN.finditer(clean))
        return cls(clean, tuple(found))

    def compared(self) -> list[tuple[int, str]]:
        """The numbers of the words that are compared, and what by."""
        return [(number, key) for number, (_, _, key) in enumerate(self.words[:_MAX_WORDS]) if key]


def common(truth: Text, parts: Sequence[Text]) -> tuple[set[int], list[set[int]]]:
    """Which words of the truth stand in its parts, in order, and which words of each part stand in the truth."""
    wanted = truth.compared()
    came = [(part, number, key) for part, text in enumerate(parts) for number, key in text.compared()]
    kept: set[int] = set()
    used: list[set[int]] = [set() for _ in parts]
    for step in Indel.opcodes([key for _, key in wanted], [key for _, _, key in came]):
        if step.tag == "equal":
            kept |= {wanted[place][0] for place in range(step.src_start, step.src_end)}
            for place in range(step.dest_start, step.dest_end):
                part, number, _ = came[place]
                used[part].add(number)
    return kept, used


def marked(text: Text, kept: set[int] | None) -> Markup:
    """The text as HTML, its words that are not ``kept`` marked; ``None`` marks nothing."""
    pieces, position = [], 0
    for number, (start, end, key) in enumerate(text.words):
        if end > MAX_SHOWN:
            break
        if kept is not None and key and number not in kept and number < _MAX_WORDS:
            pieces += [escape(text.text[position:start]), Markup("<mark>{}</mark>").format(text.text[start:end])]
            position = end
    rest = len(text.text) - MAX_SHOWN
    pieces.append(escape(text.text[position:MAX_SHOWN]))
    if rest > 0:
        pieces.append(Markup('<small class="more"> … and {} more characters</small>').format(rest))
    # Neighbouring words that differ are one mark, which is easier to read.
    return Markup(re.sub(r"</mark>([ \n]*)<mark>", r"\1", Markup().join(pieces)))  # noqa: S704 - escaped above


def table(markup: str, others: Sequence[TruthBlock | ParsedBlock] | None) -> Markup:
    """A table's cells as HTML of ours, marked where ``others`` do not have them; ``None`` marks nothing.

    Cells are looked for among the cells of tables and, where it came as text, among its words.
    """
    known = None if others is None else _Known.of(others)
    read = read_table(markup)
    rows = [
        Markup("<tr>{}</tr>").format(Markup().join(_cell(cell, known) for cell in row)) for row in read.rows[:MAX_ROWS]
    ]
    more = len(read.rows) - len(rows)
    note = Markup('<p class="more">… and {} more rows</p>').format(more) if more > 0 else Markup()
    stray = Markup("<p>{}</p>").format(shown(read.stray)) if read.stray else Markup()
    return Markup('<div class="wide"><table class="cells">{}</table></div>{}{}').format(
        Markup().join(rows), note, stray
    )


def within(block: TruthBlock, part: ParsedBlock) -> set[int]:
    """Which words of a part of the parse stand in a table of the truth, wherever; none of a part that is a table."""
    if part.kind is ParsedKind.TABLE:
        return set()
    words = {word.text for text in read_table(block.content).texts for word in words_of(text)}
    return {number for number, key in Text.of(part.content).compared() if set(key.split()) <= words}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the other side has of a table: its cells, each as often as it occurs, and words that stand in none."""

    cells: Counter[str]
    words: frozenset[str]

    @classmethod
    def of(cls, blocks: Sequence[TruthBlock | ParsedBlock]) -> _Known:
        tables = [block for block in blocks if block.kind == TruthKind.TABLE]
        loose = [normalise(block.content) for block in blocks if block.kind != TruthKind.TABLE]
        words = frozenset(word.text for text in loose for word in words_of(text))
        return cls(Counter(text for block in tables for text in read_table(block.content).texts), words)

    def has(self, text: str) -> bool:
        """Whether a cell is there; it is then used up."""
        if self.cells[text] > 0:
            self.cells[text] -= 1
            return True
        words = words_of(text)
        return bool(words) and all(word.text in self.words for word in words)


def _cell(cell: Cell, known: _Known | None) -> Markup:
    text: str | Markup = shown(cell.text)
    if known is not None and cell.text and not known.has(cell.text):
        text = Markup("<mark>{}</mark>").format(text)
    spans = "".join(f' {name}="{span}"' for name, span in _spans(cell))
    return Markup("<td{}>{}</td>").format(Markup(spans), text)  # noqa: S704 - whole numbers alone


def _spans(cell: Cell) -> Iterator[tuple[str, int]]:
    for name, span in (("colspan", cell.colspan), ("rowspan", cell.rowspan)):
        if span > 1:
            yield name, span


def shown(text: str) -> str:
    """A text without what no page can show, and not more of it than people read."""
    return _DROPPED.sub("", text[: 2 * MAX_SHOWN])[:MAX_SHOWN]


@functools.lru_cache(maxsize=50_000)
def _compared(token: str) -> str:
    return " ".join(word.text for word in words_of(normalise(token)))
