"""The little languages that model answers are written in: plain text, table tags, formula delimiters.

What a model answers is as hostile as the page it read: everything here takes time linear in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

_STRUCTURE = "table|thead|tbody|tfoot|tr|td|th|caption|colgroup|col"
_INLINE = "br|p|div|span|ul|ol|li|sup|sub|b|strong|i|em|u|s|code|img"
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+)"""
#: A tag that tables are made of; only structure may have attributes without a value, ``a<b or c>d`` is text.
TABLE_TAG = re.compile(
    rf"</?(?:(?:{_STRUCTURE})(?:\s+[a-z-]+(?:\s*=\s*{_VALUE})?)*|(?:{_INLINE})(?:\s+[a-z-]+\s*=\s*{_VALUE})*)\s*/?>",
    re.IGNORECASE,
)
TABLE_TAGS = frozenset(f"{_STRUCTURE}|{_INLINE}".split("|"))
#: Characters that one pattern may look at in one text: some tenths of a second.
_MAX_SEARCH = 20_000_000
_COMMENT = ("<!--", "-->")
_FORMULA_ENDS = {r"\(": r"\)", r"\[": r"\]"}


def clean_text(text: str) -> str:
    """``text`` without control characters and lone surrogates, with line feeds as its only line breaks."""
    return _CONTROL.sub("", _LINE_BREAKS.sub("\n", text))


def strip_markup(markup: str) -> str:
    """The visible text of a table answer, OTSL or HTML: cells parted by tabs, rows by line breaks."""
    text = re.sub(r"(?i)</t[dh]>|<(?:fcel|ecel|lcel|ucel|xcel)>", "\t", markup)
    text = re.sub(r"(?i)</tr>|</?table[^<>]*>|<nl>|<br\s*/?>", "\n", text)
    text = html.unescape(TABLE_TAG.sub("", unmark_formulas(text)))
    text = re.sub(r" ?\t[ \t]*", "\t", re.sub(" +", " ", text))
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))


def formulas(text: str) -> Iterator[tuple[int, int]]:
    r"""Start and end of each ``\( … \)`` or ``\[ … \]``; linear in ``text`` even where nothing closes."""
    searches = {opening: text.find(opening) for opening in _FORMULA_ENDS}
    while found := [(start, opening) for opening, start in searches.items() if start >= 0]:
        start, opening = min(found)
        end = text.find(_FORMULA_ENDS[opening], start + 2)
        if end < 0:
            searches[opening] = -1
            continue
        yield start, end + 2
        searches = {opening: text.find(opening, end + 2) for opening in searches if searches[opening] >= 0}


def is_tractable(text: str) -> bool:
    """Whether ``text`` is safe from the libraries' patterns, which search on from every opening.

    Their time is the number of openings that never close times the length of what follows them.
    """
    unclosed = sum(text.count(start, max(text.rfind(end), 0)) for start, end in (*_FORMULA_ENDS.items(), _COMMENT))
    return unclosed * len(text) <= _MAX_SEARCH


def defused(text: str) -> str:
    """``text`` with its openings broken up, for texts that are not tractable as they stand."""
    for opening in (*_FORMULA_ENDS, _COMMENT[0]):
        text = text.replace(opening, f"{opening[0]} {opening[1:]}")
    return text


def mark_formulas(markup: str) -> str:
    """Formulas of cells as ``<eq>``, the form docvortex renders; one that crosses a tag is none."""
    pieces: list[str] = []
    position = 0
    for start, end in formulas(markup):
        latex = markup[start + 2 : end - 2].strip()
        if "<" not in latex and latex:
            pieces += (markup[position:start], f"<eq>{latex}</eq>")
            position = end
    return "".join([*pieces, markup[position:]])


def unmark_formulas(markup: str) -> str:
    """The inverse of ``mark_formulas``: sanitisers drop tags that HTML does not know, text and all."""
    return re.sub("(?i)</eq>", r"\\)", re.sub("(?i)<eq>", r"\\(", markup))
