"""Writes the flat list of MinerU 3.x, which existing consumers read, from docvortex's document.

The fields follow MinerU's documentation of ``content_list.json``: one entry a block in reading
order, ``bbox`` as integers 0–1000 of the page, formulas between dollar signs.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docvortex.schema import BlockBase, InlineSpan, MiddleJson

Entry = dict[str, Any]

_INLINE_FORMULA = re.compile(r"<eq>(.*?)</eq>", re.DOTALL)
#: The styles without which words are misread: 10³ is not 103.
_SCRIPTS: Final = {"superscript": "sup", "subscript": "sub"}


def content_list(middle: MiddleJson) -> list[Entry]:
    """One entry a block of ``middle``, in reading order, margins included.

    A block that goes on from the one before it, across columns or pages, has ``continues_prev``;
    MinerU has no such field, and consumers that do not know it see the physical blocks.
    """
    return [_entry(block, page.page_idx) for page in middle.pages for block in page.blocks]


def _entry(block: Any, page_idx: int) -> Entry:
    kind = str(block.type)
    if kind in {"doc_title", "paragraph_title"}:
        entry: Entry = {"type": "text", "text": _text(block.content), "text_level": block.level}
    elif kind == "equation":
        entry = {"type": "equation", "img_path": block.image_path or ""}
        entry |= {"text": f"$$\n{block.content}\n$$" if block.content else "", "text_format": "latex"}
    elif kind == "list":
        entry = {"type": "list", "sub_type": str(block.sub_type or "text"), "list_items": _items(block)}
    elif kind == "index":
        entry = {"type": "list", "sub_type": "index", "list_items": _items(block)}
    elif kind in {"image", "table", "chart", "code"}:
        entry = _visual(block, kind)
    else:
        entry = {"type": kind, "text": _text(block.content)}
    if getattr(block, "continues_prev", None):
        entry["continues_prev"] = True
    return entry | {"bbox": _bbox(block), "page_idx": page_idx}


def _visual(block: Any, kind: str) -> Entry:
    """The entry of an image, table, chart or code block with its captions and footnotes."""
    bodies = [child for child in block.content if str(child.type).endswith("_body")]
    body = bodies[0]
    entry: Entry = {"type": kind}
    if getattr(block, "sub_type", None):
        entry["sub_type"] = str(block.sub_type)
    if kind == "code":
        if block.guess_lang:
            entry["guess_lang"] = block.guess_lang
        entry["code_body"] = body.content if isinstance(body.content, str) else _text(body.content)
    else:
        entry["img_path"] = body.image_path or ""
        if kind == "table":
            entry["table_body"] = _INLINE_FORMULA.sub(lambda match: f"${html.unescape(match[1])}$", body.content)
        elif body.content or kind == "chart":
            entry["content"] = body.content
    for role in ("caption", "footnote"):
        children = [child for child in block.content if str(child.type).endswith(f"_{role}")]
        entry[f"{kind}_{role}"] = [_text(child.content) for child in children]
    return entry


def _items(block: Any) -> list[str]:
    """The items of a list, those of lists inside it among them."""
    items: list[str] = []
    for child in block.content:
        items += _items(child) if str(child.type) in {"list", "index"} else [_text(child.content)]
    return items


def _text(spans: Sequence[InlineSpan]) -> str:
    return "".join(_span(span) for span in spans)


def _span(span: Any) -> str:
    if span.type == "equation_inline":
        return f"${span.content.strip()}$"
    if span.type == "hyperlink":
        return _text(span.content)
    for style, tag in _SCRIPTS.items():
        if style in getattr(span, "styles", ()):
            return f"<{tag}>{span.content}</{tag}>"
    return str(span.content)


def _bbox(block: BlockBase) -> list[int]:
    return [round(value * 1000) for value in block.bbox or (0.0, 0.0, 1.0, 1.0)]
