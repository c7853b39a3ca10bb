"""Reads ``content_list.json``, the flat list of a parse, as the blocks that are scored.

The list is as hostile as the page it was made from: whatever a field holds that it should not is an error
with a sentence, and kinds that nobody knows are read as text rather than dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from mineru_pipeline.errors import ScoringInputError

Entry = Mapping[str, Any]


class ParsedKind(StrEnum):
    """What a block of the parse claims to be, as far as the scores tell kinds apart."""

    TITLE = "title"
    TEXT = "text"
    CAPTION = "caption"
    TABLE = "table"
    EQUATION = "equation"
    #: Header, footer, page number and text at the side: not part of the running text.
    MARGIN = "margin"
    #: What the parser read in a picture or chart: it is in the output, but the truth need not have a word for it.
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """One block of the parse; an entry with captions is several."""

    #: Position of its entry in ``content_list.json``, counted from 0.
    entry: int
    kind: ParsedKind
    #: The page it stands on, counted from 0.
    page: int
    #: Text; HTML of a table; LaTeX of an equation.
    content: str
    level: int | None = None


_MARGINS: Final = frozenset({"header", "footer", "page_number", "aside_text"})
#: Kinds with one field of content: what they count as, and the field.
_FIELDS: Final = {
    "table": (ParsedKind.TABLE, "table_body"),
    "equation": (ParsedKind.EQUATION, "text"),
    "code": (ParsedKind.TEXT, "code_body"),
    "image": (ParsedKind.PICTURE, "content"),
    "chart": (ParsedKind.PICTURE, "content"),
}
_CAPTIONED: Final = ("table", "image", "chart", "code")


def read_content_list(entries: Sequence[Entry]) -> tuple[ParsedBlock, ...]:
    """The blocks of a parse in its reading order; captions of a table stand before it, its footnotes behind.

    Raises:
        ScoringInputError: an entry is not what the format allows; the text names it.
    """
    if isinstance(entries, str | bytes | Mapping) or not isinstance(entries, Sequence):
        raise ScoringInputError("The content list is not a list of entries.")
    return tuple(block for index, entry in enumerate(entries) for block in _blocks(index, entry) if block.content)


def _blocks(index: int, entry: Entry) -> Iterator[ParsedBlock]:
    if not isinstance(entry, Mapping):
        raise ScoringInputError(f"Entry {index} of the content list is not an object.")
    kind, page = entry.get("type"), entry.get("page_idx")
    if not isinstance(kind, str) or type(page) is not int or page < 0:
        raise ScoringInputError(f"Entry {index} of the content list has no type or no page.")
    for caption in _strings(index, entry, f"{kind}_caption") if kind in _CAPTIONED else ():
        yield ParsedBlock(index, ParsedKind.CAPTION, page, caption)
    yield _body(index, entry, kind, page)
    for footnote in _strings(index, entry, f"{kind}_footnote") if kind in _CAPTIONED else ():
        yield ParsedBlock(index, ParsedKind.CAPTION, page, footnote)


def _body(index: int, entry: Entry, kind: str, page: int) -> ParsedBlock:
    if kind in _FIELDS:
        its_kind, field = _FIELDS[kind]
        content = _string(index, entry, field)
        return ParsedBlock(index, its_kind, page, _code(content) if kind == "code" else content)
    if kind == "list" or "list_items" in entry:
        return ParsedBlock(index, ParsedKind.TEXT, page, "\n".join(_strings(index, entry, "list_items")))
    text, level = _string(index, entry, "text"), entry.get("text_level")
    if kind == "text" and type(level) is int and level > 0:
        return ParsedBlock(index, ParsedKind.TITLE, page, text, level)
    return ParsedBlock(index, ParsedKind.MARGIN if kind in _MARGINS else ParsedKind.TEXT, page, text)


def _code(body: str) -> str:
    """Code without the fences of Markdown around it."""
    lines = body.split("\n")
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    return body


def _string(index: int, entry: Entry, field: str) -> str:
    value = entry.get(field) or ""
    if not isinstance(value, str):
        raise ScoringInputError(f"Entry {index} of the content list: {field} is not text.")
    return value


def _strings(index: int, entry: Entry, field: str) -> list[str]:
    value = entry.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ScoringInputError(f"Entry {index} of the content list: {field} is not a list of texts.")
    return value
