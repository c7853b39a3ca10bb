"""Measures how much of a page's own text layer is found in what was recognised."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from mineru_pipeline.parsing.layer import Word

_SOFT_HYPHEN = "\u00ad"
_LINE_END_HYPHENS = "-\u00ad\u2010\u2011\u2043"
_HYPHENS = tuple(_LINE_END_HYPHENS)
_BROKEN_WORD = re.compile(rf"(?<=\w)[{_LINE_END_HYPHENS}][ \t]*\n\s*(?=\w)")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
#: One word, or one character of the scripts that write without spaces between words.
_WORD = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\\W_]+"
)
_ASCII_WORD = re.compile("[a-z0-9]+")
_IDEOGRAPHIC = re.compile(
    "([\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)


def words_of(text: str) -> list[str]:
    """The words of ``text`` in order: NFKC (so without ligatures), case-folded, broken words joined.

    A word is a run of letters and digits; Han characters and kana count one by one.
    """
    if text.isascii() and "\n" not in text:
        # Nothing below would change such a text but its case, and nearly all words of most pages are such.
        return [text.lower()] if text.isalnum() else _ASCII_WORD.findall(text.lower())
    joined = _BROKEN_WORD.sub("", text).replace(_SOFT_HYPHEN, "")
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", joined)).casefold()
    return _WORD.findall(_IDEOGRAPHIC.sub(r" \1 ", unicodedata.normalize("NFKC", folded)))


def strip_tags(markup: str) -> str:
    """The text of HTML or Markdown with HTML in it: tags become spaces, entities characters."""
    without_tags = re.sub(r"<!--.{0,1000}?-->|</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>", " ", markup, flags=re.DOTALL)
    return html.unescape(without_tags)


class Comparison(NamedTuple):
    """A page's text beside its own text layer."""

    #: Share (0–1) of the layer's words that are found in the text, each as often as it occurs.
    agreement: float
    #: Share (0–1) of the text's words that the layer does not have, or not as often; None without any.
    surplus: float | None


def text_layer_agreement(words: Sequence[Word], texts: Iterable[str]) -> float | None:
    """The agreement of :func:`compare_with_layer`; ``None`` where the page has no words of its own."""
    compared = compare_with_layer(words, texts)
    return None if compared is None else compared.agreement


def compare_with_layer(words: Sequence[Word], texts: Iterable[str]) -> Comparison | None:
    """Compare ``texts`` with the words of the text layer; ``None`` where the page has no words of its own.

    A word broken at the end of a line counts as found whole or in its two parts: the layer does not say whether the
    hyphen belongs to it.
    """
    wanted = list(_wanted(words))
    if not wanted:
        return None
    found = Counter(word for text in texts for word in words_of(strip_tags(text)))
    came = found.total()
    hits = total = 0
    for whole, parts in wanted:
        total += len(whole)
        if len(whole) == 1:
            # The usual case needs no Counter; found[…] would make an entry for what is missing.
            if there := found.get(whole[0], 0):
                found[whole[0]] = there - 1
                hits += 1
            elif parts:
                hits += _take(found, parts)
        elif _take(found, whole) or (parts and _take(found, parts)):
            hits += len(whole)
        else:
            hits += sum(_take(found, [word]) for word in whole)
    return Comparison(hits / total, round(found.total() / came, 4) if came else None)


def lost_words(contents: Iterable[str], outputs: Iterable[str]) -> Mapping[str, int]:
    """The words of ``contents`` that ``outputs`` hold less often, and how often they are missing.

    Words that assembly joined over a block's end are looked for as parts of longer words too.
    """
    found = Counter(word for text in outputs for word in words_of(strip_tags(text)))
    wanted = Counter(word for text in contents for word in words_of(strip_tags(text)))
    missing = wanted - found
    longer = Counter(found - wanted)
    for word in list(missing):
        held = sum(count for other, count in longer.items() if word in other)
        missing[word] -= min(held, missing[word])
    return +missing


def _take(found: Counter[str], words: Sequence[str]) -> bool:
    """Take ``words`` out of ``found`` if all of them are there."""
    needed = Counter(words)
    if any(found.get(word, 0) < count for word, count in needed.items()):
        return False
    found.subtract(needed)
    return True


def _wanted(words: Sequence[Word]) -> Iterator[tuple[list[str], list[str]]]:
    """Each word of the layer as its normalised parts; broken ones joined, with the parts beside them."""
    pairs = pairwise([*words, Word("", 0, 0, 0, 0)])
    for word, following in pairs:
        # Asked in this order, for few words end with a hyphen and each page has hundreds.
        if word.text.endswith(_HYPHENS) and following.text and _is_broken(word, following):
            next(pairs, None)
            whole = words_of(word.text[:-1] + following.text)
            if whole:
                yield whole, words_of(f"{word.text} {following.text}")
        elif normalised := words_of(word.text):
            yield normalised, []


def _is_broken(word: Word, following: Word) -> bool:
    """Whether ``word``, which ends with a hyphen, ends its line and ``following`` starts a later one in lower case."""
    if len(word.text) == 1:
        return False
    starts_line = following.x0 < word.x1 and (
        following.y0 >= word.y1 - (word.y1 - word.y0) / 2 or following.y1 < word.y0
    )
    return starts_line and following.text[0].islower()
