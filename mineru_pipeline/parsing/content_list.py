"""Writes the flat list of MinerU 3.x, which existing consumers read, from docvortex's document.

The fields are those that ``mineru`` 3.4 writes with a remote model: one entry a block in reading
order, what stands in the margins at the end of its page, ``bbox`` as integers 0–1000 of the page,
formulas between dollar signs.
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
#: What MinerU lists after the page's own blocks.
_MARGINS: Final = frozenset({"header", "footer", "page_number", "aside_text", "page_footnote"})
#: The styles without which words are misread: 10³ is not 103.
_SCRIPTS: Final = {"superscript": "sup", "subscript": "sub"}


def content_list(middle: MiddleJson) -> list[Entry]:
    """One entry a block of ``middle``, page by page: the blocks in reading order, then the margins.

    These are the physical blocks: one that goes on from the block before it, across columns or
    pages, is an entry of its own, and only ``middle`` says that it goes on.
    """
    return [
        _entry(block, page.page_idx)
        for page in middle.pages
        # The sort is stable: either kind stays in reading order.
        for block in sorted(page.blocks, key=lambda block: str(block.type) in _MARGINS)
    ]


def _entry(block: Any, page_idx: int) -> Entry:
    kind = str(block.type)
    if kind in {"doc_title", "paragraph_title"}:
        entry: Entry = {"type": "text", "text": _text(block.content), "text_level": block.level}
    elif kind == "equation":
        latex = f"$$\n{block.content}\n$$" if block.content else ""
        entry = {"type": "equation", "text": latex, "text_format": "latex"}
    elif kind == "list":
        entry = {"type": "list", "sub_type": str(block.sub_type or "text"), "list_items": _items(block)}
    elif kind == "index":
        entry = {"type": "list", "sub_type": "index", "list_items": _items(block)}
    elif kind in {"image", "table", "chart", "code"}:
        entry = _visual(block, kind)
    else:
        entry = {"type": kind, "text": _text(block.content)}
    return entry | {"bbox": _bbox(block), "page_idx": page_idx}


def _visual(block: Any, kind: str) -> Entry:
    """The entry of an image, table, chart or code block with its captions and footnotes."""
    bodies = [child for child in block.content if str(child.type).endswith("_body")]
    body = bodies[0]
    entry: Entry = {"type": kind}
    if getattr(block, "sub_type", None):
        entry["sub_type"] = str(block.sub_type)
    if kind == "code":
        entry["code_body"] = _code(block, body)
    else:
        entry["img_path"] = body.image_path or ""
        if kind == "table":
            entry["table_body"] = _INLINE_FORMULA.sub(lambda match: f"${html.unescape(match[1])}$", body.content)
        else:
            entry["content"] = body.content or ""
    for role in ("caption", "footnote"):
        children = [child for child in block.content if str(child.type).endswith(f"_{role}")]
        # MinerU knows no footnotes of code; one that is there is not dropped for that.
        if children or (kind, role) != ("code", "footnote"):
            entry[f"{kind}_{role}"] = [_text(child.content) for child in children]
    return entry


def _code(block: Any, body: Any) -> str:
    """Code between the fences of Markdown, as MinerU has it; an algorithm as text with formulas."""
    if not isinstance(body.content, str):
        return _text(body.content)
    if str(block.sub_type) != "code":
        return body.content
    return f"```{block.guess_lang or 'txt'}\n{body.content}\n```"


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
