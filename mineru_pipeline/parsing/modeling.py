"""Writes finished pages in the raw vocabulary that docvortex assembles documents from.

docvortex binds captions, builds lists and joins tables and paragraphs itself, by geometry. It has
to be told what only the model knows: the rank of titles, where a paragraph goes on, which number
belongs to which formula.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from mineru_pipeline.parsing.blocks import FinishedBlock, FinishedPage, picture_name
from mineru_pipeline.parsing.spans import inline_spans
from mineru_pipeline.parsing.visuals import is_visual

RawBlock = dict[str, Any]

_MARGINS = frozenset({"header", "footer", "page_number", "aside_text", "page_footnote"})
#: Beside text that goes on after them, as docvortex sees it; anything else ends a paragraph.
_PASSED_OVER = (
    _MARGINS
    | {"image", "chart", "table", "code", "algorithm"}
    | {f"{kind}{role}" for kind in ("", "image_", "table_", "code_") for role in ("caption", "footnote")}
)
_STRING_CONTENT = frozenset({"image", "chart", "table", "equation"})
_AS_TEXT = frozenset({"phonetic", "list_item", "formula_number", "unknown"})
_TITLES = frozenset({"title", "doc_title", "paragraph_title"})
_SECTION_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,3})*)\.?\s")
_FENCE = re.compile(r"```(?P<language>[A-Za-z0-9_.+#-]{0,30})\n")
_DEEPEST_TITLE: Final = 6
#: Height of a line of text in ems, a guess that holds for most typesetting.
_LEADING: Final = 1.2


def raw_pages(pages: Sequence[FinishedPage], pictures: Collection[str]) -> list[list[RawBlock]]:
    """Model blocks for docvortex, page by page; visual blocks refer to those ``pictures`` that exist."""
    leading = _leading_title(pages)
    goes_on = _ContinuationTracker()
    raw = []
    for page in pages:
        numbered = _name_chart_notes(_tag_formulas(page.blocks))
        raw.append(
            [
                _raw_block(page, block, pictures, leads=block is leading, continues=goes_on.sees(block))
                for block in numbered
                if block.content or block.type == "list" or _has_picture(page, block, pictures)
            ]
        )
    return raw


def _raw_block(
    page: FinishedPage, block: FinishedBlock, pictures: Collection[str], *, leads: bool, continues: bool
) -> RawBlock:
    raw: RawBlock = {"type": "text" if block.type in _AS_TEXT else block.type, "bbox": list(block.bbox)}
    if block.type == "list":
        return raw
    if block.type in _TITLES:
        raw |= _title(block, leads=leads)
    if block.type == "code":
        return raw | _code(block.content)
    if block.sub_type and block.type in {"image", "chart"}:
        raw["sub_type"] = block.sub_type
    if _has_picture(page, block, pictures):
        raw["image_path"] = picture_name(page.index, block.source)
    if block.type in _STRING_CONTENT:
        raw["content"] = block.content
        return raw
    # docvortex takes what follows a tab in a table of contents for a page number, and drops it.
    text = block.content.replace("\t", " ") if block.type == "index" else block.content
    raw["content"] = inline_spans(text, literal=block.ending is not None)
    # Without lines docvortex takes our word; with lines it decides by itself what goes on.
    if continues:
        raw["continues_prev"] = True
    elif block.ending is None:
        raw["lines"] = _lines(page, block)
    return raw


def _code(content: str) -> RawBlock:
    """Language and code; without a language docvortex would load a model to guess one."""
    fence = _FENCE.match(content)
    code = content[fence.end() :].removesuffix("```").rstrip() if fence else content
    # Of a first line that starts with a fence docvortex keeps nothing.
    code = f"\n{code}" if code.startswith("```") else code
    return {"guess_lang": (fence["language"].lower() if fence else "") or "txt", "content": code}


def _has_picture(page: FinishedPage, block: FinishedBlock, pictures: Collection[str]) -> bool:
    return is_visual(block) and picture_name(page.index, block.source) in pictures


def _leading_title(pages: Sequence[FinishedPage]) -> FinishedBlock | None:
    """The first title of the document's first page, if only margins and pictures stand above it."""
    if not pages or pages[0].index != 0:
        return None
    blocks = pages[0].blocks
    title = next((block for block in blocks if block.type in _TITLES), None)
    if title is None:
        return None
    above = [block.type for block in blocks if (block.bbox[1] + block.bbox[3]) / 2 < title.bbox[1]]
    return title if set(above) <= _MARGINS | {"image", "chart"} else None


def _title(block: FinishedBlock, *, leads: bool) -> RawBlock:
    """Type and level: 1 for the document's title, 2 and deeper for sections, by their number if any."""
    if leads or block.type == "doc_title":
        return {"type": "doc_title", "level": 1}
    number = _SECTION_NUMBER.match(block.content)
    depth = number[1].count(".") + 1 if number else 1
    return {"type": "paragraph_title", "level": min(depth + 1, _DEEPEST_TITLE)}


def _lines(page: FinishedPage, block: FinishedBlock) -> list[RawBlock]:
    """The block's box divided into as many lines as its text must have.

    The model gives no lines, but docvortex joins paragraphs across columns and pages only where it
    sees several. With characters half as wide as high (East Asian ones as wide), ``n`` ems of text
    in a box of ``w`` by ``h`` points fill ``sqrt(n * h / (leading * w))`` lines.
    """
    x0, y0, x1, y1 = block.bbox
    width, height = (x1 - x0) * max(page.width_pt, 1), (y1 - y0) * max(page.height_pt, 1)
    sample = block.content[:2000]
    wide = 0 if sample.isascii() else sum(unicodedata.east_asian_width(character) in "WF" for character in sample)
    ems = (len(sample) + wide) / 2 * len(block.content) / max(len(sample), 1)
    count = min(max(round(math.sqrt(ems * height / (_LEADING * width))), 1), 200)
    step = (y1 - y0) / count
    return [{"bbox": [x0, y0 + step * line, x1, min(y0 + step * (line + 1), y1)]} for line in range(count)]


class _ContinuationTracker:
    """Decides whether a block's ``merge_prev`` can be true, given what was read before it."""

    def __init__(self) -> None:
        self._text_is_open = False

    def sees(self, block: FinishedBlock) -> bool:
        """Whether ``block`` continues the last paragraph; called for every block in reading order."""
        continues = block.type == "text" and block.merge_prev and self._text_is_open
        if block.type not in _PASSED_OVER:
            self._text_is_open = block.type == "text" and block.ending != "gap"
        return continues


def _tag_formulas(blocks: Iterable[FinishedBlock]) -> list[FinishedBlock]:
    r"""Give each formula number to the formula on its height; docvortex knows it only as ``\tag``."""
    # Imported on use, like all of docvortex: it would slow down every start of the command.
    from docvortex.content.text import build_tagged_formula_content

    result = list(blocks)
    for number in [block for block in result if block.type == "formula_number" and block.ending is None]:
        middle = (number.bbox[1] + number.bbox[3]) / 2
        for position, block in enumerate(result):
            if block.type == "equation" and block.bbox[1] <= middle <= block.bbox[3] and r"\tag" not in block.content:
                tagged = build_tagged_formula_content(block.content, number.content)
                if tagged is not None:
                    result[position] = replace(block, content=tagged)
                    result.remove(number)
                break
    return result


def _name_chart_notes(blocks: Sequence[FinishedBlock]) -> list[FinishedBlock]:
    """The model has captions of images only; docvortex keeps those of charts apart and binds by type."""
    visuals = [(position, block.type) for position, block in enumerate(blocks) if block.type in {"image", "chart"}]
    if all(kind == "image" for _, kind in visuals):
        return list(blocks)
    named = []
    for position, block in enumerate(blocks):
        if block.type in {"image_caption", "image_footnote"}:
            _, nearest = min(visuals, key=lambda visual: (abs(visual[0] - position), visual[0]))
            named.append(replace(block, type=block.type.replace("image", nearest)))
        else:
            named.append(block)
    return named
