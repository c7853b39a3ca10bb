"""Runs vl-utils' post-processing over raw answers such that no answer can break it or be lost in it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from mineru_vl_utils.post_process import post_process
from mineru_vl_utils.post_process.image_analysis_postprocess import process_image_or_chart
from mineru_vl_utils.post_process.table_image_processor import TABLE_IMAGE_ABSORBED_KEY, TABLE_IMAGE_TOKEN_MAP_KEY
from mineru_vl_utils.structs import ANGLE_OPTIONS, BLOCK_TYPES, ContentBlock

from mineru_pipeline.errors import InvalidAnswerError
from mineru_pipeline.parsing.markup import clean_text, is_tractable
from mineru_pipeline.parsing.tables import as_table_markup, clean_table

#: Characters of one answer. The model's whole context holds fewer; beyond it an answer is not honest.
MAX_CONTENT: Final = 100_000
#: Where a block stands in the model's layout; post-processing keeps keys that it does not know.
SOURCE_KEY: Final = "_source"
#: Blocks that are pixels first, with what was read in them as an addition.
PICTURES: Final = frozenset({"image", "chart"})
#: Characters of a flowchart; vl-utils' repair of its code takes time quadratic in it.
_MAX_FLOWCHART: Final = 8_000
_CONTENT_FIELD: Final = re.compile(r"<\|content_start\|>(.*?)(?:<\|content_end\|>|\Z)", re.DOTALL)
_WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


class Unusable(NamedTuple):
    """An answer that cannot keep its form, and why."""

    block: ContentBlock
    message: str


def rebuild(source: int, raw: dict[str, Any]) -> ContentBlock:
    """vl-utils' block from a checkpoint's dictionary; whatever is absurd is brought into range."""
    kind = raw.get("type")
    kind = kind if isinstance(kind, str) and kind in BLOCK_TYPES else "text"
    angle, content = raw.get("angle"), raw.get("content")
    if kind == "equation_block" and content:
        # Containers are not asked for their content; whatever gave one meant the formula.
        kind = "equation"
    block = ContentBlock(
        kind,
        _sane_bbox(raw.get("bbox")),
        angle=angle if isinstance(angle, int) and angle in ANGLE_OPTIONS else None,
        content=clean_text(content) if isinstance(content, str) else None,
        merge_prev=kind == "text" and raw.get("merge_prev") is True,
    )
    for key in (TABLE_IMAGE_TOKEN_MAP_KEY, TABLE_IMAGE_ABSORBED_KEY):
        if raw.get(key):
            block[key] = raw[key]
    block[SOURCE_KEY] = source
    return block


def stock_post_process(blocks: list[ContentBlock]) -> list[ContentBlock]:
    """Run the post-processing of vl-utils with its default options."""
    done: list[ContentBlock] = post_process(
        blocks, simple_post_process=False, handle_equation_block=True, abandon_list=False, abandon_paratext=False
    )
    return done


def post_processed(
    blocks: Sequence[ContentBlock], process: Callable[[list[ContentBlock]], list[ContentBlock]] = stock_post_process
) -> tuple[list[ContentBlock], list[Unusable]]:
    """``blocks`` after ``process``, and those that it or the outputs cannot take.

    Where one answer breaks ``process`` for the whole page, the blocks go through it one by one.
    """
    healthy: list[ContentBlock] = []
    unusable: list[Unusable] = []
    for block in blocks:
        if problem := _prepare(block):
            unusable.append(Unusable(block, problem))
        else:
            healthy.append(block)
    processed, broken = _run(healthy, process)
    raw = {block[SOURCE_KEY]: str(block["content"]) for block in healthy}
    # Equations joined into their equation_block come back as a new block in its place.
    joined = {tuple(block["bbox"]): block[SOURCE_KEY] for block in healthy if block["type"] == "equation_block"}
    kept: list[ContentBlock] = []
    for block in processed:
        source = block.setdefault(SOURCE_KEY, joined.get(tuple(block["bbox"]), len(raw)))
        _restore_picture_text(block, raw.get(source, ""))
        if problem := _check_table(block):
            broken.append(Unusable(block, problem))
        else:
            kept.append(block)
    return kept, [*unusable, *broken]


def _sane_bbox(raw: Any) -> list[float]:
    """Four ordered fractions with some area; the whole page where there are no four numbers."""
    try:
        x0, y0, x1, y1 = (float(value) for value in raw)
    except (TypeError, ValueError, OverflowError):
        return list(_WHOLE)
    if any(math.isnan(value) for value in (x0, y0, x1, y1)):
        return list(_WHOLE)
    (left, right), (top, bottom) = _sane_range(x0, x1), _sane_range(y0, y1)
    return [left, top, right, bottom]


def _sane_range(first: float, second: float) -> tuple[float, float]:
    low, high = sorted(min(max(value, 0.0), 1.0) for value in (first, second))
    least = 0.001
    return (low, high) if high - low >= least else (min(low, 1 - least), min(low, 1 - least) + least)


def _prepare(block: ContentBlock) -> str:
    """Bring an answer into a form that loses nothing in post-processing; what is wrong with it, or ""."""
    # An equation without content would break the joining of equation blocks.
    content: str = block["content"] or ""
    block["content"] = content
    if len(content) > MAX_CONTENT:
        return f"the answer has {len(content)} characters, {MAX_CONTENT} are kept"
    if not is_tractable(content):
        return "the answer opens formulas or comments again and again without closing them"
    if block["type"] in PICTURES and "flowchart" in content[:200] and len(content) > _MAX_FLOWCHART:
        return f"the answer holds a flowchart of {len(content)} characters"
    if block["type"] == "table" and content.strip():
        try:
            block["content"] = as_table_markup(content.strip())
        except InvalidAnswerError as error:
            return str(error)
    return ""


def _run(
    blocks: Sequence[ContentBlock], process: Callable[[list[ContentBlock]], list[ContentBlock]]
) -> tuple[list[ContentBlock], list[Unusable]]:
    """Post-processing of the page at once, or block by block if one of them breaks it."""
    try:
        return process([_copy(block) for block in blocks]), []
    except Exception:  # noqa: BLE001  the answers are hostile and the library gives no list of what it raises
        done: list[ContentBlock] = []
        broken: list[Unusable] = []
    for block in blocks:
        try:
            done += process([_copy(block)])
        except Exception as error:  # noqa: BLE001  see above: this one answer is what breaks it
            broken.append(Unusable(block, f"post-processing failed: {type(error).__name__}"))
    return done, broken


def _copy(block: ContentBlock) -> ContentBlock:
    copy = ContentBlock(block["type"], list(block["bbox"]), angle=block["angle"], content=block["content"])
    copy.update(block)
    return copy


def _restore_picture_text(block: ContentBlock, raw: str) -> None:
    """Give back what was read in a picture where post-processing drops it for its form alone.

    Flowcharts that loop are emptied too, and stay so: that text was never in the picture.
    """
    if block["type"] not in PICTURES or not raw.strip():
        return
    fields = process_image_or_chart(raw)
    if not fields["class"]:
        block["content"] = re.sub(r"<\|[a-z_]+\|>", " ", raw).strip()
    elif not (block["content"] or "").strip():
        malformed = _CONTENT_FIELD.search(raw) if fields["class"] == "chart" else None
        block["content"] = (malformed[1].strip() if malformed else "") or fields["caption"]


def _check_table(block: ContentBlock) -> str:
    """Clean what became of a table; what is wrong with it, or ""."""
    if block["type"] != "table" or not (block["content"] or "").strip():
        return ""
    try:
        block["content"] = clean_table(block["content"])
    except InvalidAnswerError as error:
        return str(error)
    return ""
