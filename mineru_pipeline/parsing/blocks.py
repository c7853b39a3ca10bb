"""Turns the model's raw answers for one page into final blocks, down the last rungs of the ladder.

A block whose answer failed ends as the PDF's own text, if that is allowed and there is some, or
else as a gap that says in the text what is missing. Answers that did arrive go through the
post-processing of ``mineru-vl-utils``; one that breaks it keeps its words and loses its form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from mineru_vl_utils.post_process.table_image_processor import (
    TABLE_IMAGE_ABSORBED_KEY,
    TABLE_IMAGE_TOKEN_MAP_KEY,
    build_table_image_map,
)
from mineru_vl_utils.structs import ContentBlock

from mineru_pipeline.errors import InvalidAnswerError
from mineru_pipeline.parsing.answers import MAX_CONTENT, PICTURES, SOURCE_KEY, Unusable, post_processed, rebuild
from mineru_pipeline.parsing.markup import clean_text, defused, is_tractable, strip_markup
from mineru_pipeline.parsing.pages import Degradation, PageExtraction
from mineru_pipeline.parsing.tables import clean_picture_text

#: How the ladder ended: the PDF's own text, a marked gap, or the model's words without their form.
Ending: TypeAlias = Literal["text-layer", "gap", "plain-text"]
BBox: TypeAlias = tuple[float, float, float, float]

WHOLE_PAGE: Final[BBox] = (0.0, 0.0, 1.0, 1.0)
#: ``FinishedBlock.source`` of what stands for a whole page whose layout failed.
PAGE_SOURCE: Final = -1

#: Blocks with a form of their own, which neither the text layer nor a gap can have.
_FORMS = frozenset({"table", "equation", "list", "image_block", "equation_block", "unknown", "formula_number"})
#: Blocks beside the text, not worth a picture when they cannot be read.
_MARGINS = frozenset({"header", "footer", "page_number", "aside_text"})
_MAX_INDEX_LINES = 300
#: Share of a picture's area that lies inside its container; the threshold of vl-utils' own filters.
_INSIDE = 0.9


@dataclass(frozen=True, slots=True)
class FinishedBlock:
    """One block as it will be assembled; ``bbox`` in fractions of the page, y down."""

    #: Index into ``PageExtraction.blocks``, or ``PAGE_SOURCE``.
    source: int
    #: MinerU's block type.
    type: str
    bbox: BBox
    #: Text with inline ``\\( … \\)``, HTML for tables, LaTeX for equations; "" for pictures without text.
    content: str = ""
    #: Quarter turns in degrees that bring the block upright, counter-clockwise: 0, 90, 180 or 270.
    angle: int = 0
    merge_prev: bool = False
    sub_type: str = ""
    #: Set where the content is not the model's answer in its own form; it is then literal text.
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class EndedDegradation:
    """Why a block or page is degraded, and what stands in its place."""

    #: Index into ``PageExtraction.blocks``; ``None`` for the page as a whole.
    block: int | None
    #: MinerU's type of the block that failed, or ``page``.
    kind: str
    cause: str
    message: str
    ending: Ending


@dataclass(frozen=True, slots=True)
class FinishedPage:
    """One page ready for assembly: text only, no pixels."""

    index: int
    width_pt: float
    height_pt: float
    blocks: tuple[FinishedBlock, ...]
    degradations: tuple[EndedDegradation, ...] = ()
    #: Pictures that tables show in their cells; they are cut out like blocks but stand in no order.
    embedded: tuple[FinishedBlock, ...] = ()


@dataclass(slots=True)
class _Draft:
    """What the ladder puts in the place of failed answers, and its record of them."""

    done: list[FinishedBlock] = field(default_factory=list)
    ended: list[EndedDegradation] = field(default_factory=list)

    def end(self, block: ContentBlock, failure: Degradation, ending: Ending, text: str) -> None:
        """Put ``text`` in the place of ``block`` and record why."""
        kind, source = block["type"], block[SOURCE_KEY]
        self.ended.append(EndedDegradation(source, kind, failure.cause, failure.message, ending))
        form = FinishedBlock(source, "image", tuple(block["bbox"]), angle=block["angle"] or 0)
        if kind in PICTURES:
            self.done.append(replace(form, type=kind, content=clean_picture_text(text), ending=ending))
            return
        merge = ending != "gap" and bool(block.get("merge_prev"))
        shown = "text" if kind in _FORMS else kind
        self.done.append(replace(form, type=shown, content=text, merge_prev=merge, ending=ending))
        if kind not in _MARGINS and (ending == "gap" or kind in _FORMS):
            # The pixels are all that is left of what could not be read, so the reader gets them.
            self.done.append(form)


def picture_name(page_index: int, source: int) -> str:
    """Key of a block's picture, relative to the document's folder; pages and blocks count from 1."""
    block = "page" if source == PAGE_SOURCE else f"b{source + 1:02}"
    return f"images/p{page_index + 1:04}-{block}.jpg"


def gap_text(kind: str, cause: str) -> str:
    """What a reader finds in the place of a block that nothing could read."""
    return f"[unreadable: {kind.replace('_', ' ')}, {cause.replace('-', ' ')}]"


def finish_page(page: PageExtraction, *, text_layer_fallback: bool) -> FinishedPage:
    """The final blocks of ``page`` and how each of its degradations ended; pure and deterministic.

    ``text_layer_fallback`` allows the PDF's own text in the place of answers that failed. No answer
    makes this raise: one that cannot be used becomes a degradation of its own.
    """
    draft = _Draft()
    failures = {failure.block: failure for failure in page.degradations}
    blocks = [rebuild(source, raw) for source, raw in enumerate(page.blocks)]
    embedded = _name_embedded_pictures(page.index, blocks)
    answers = []
    for block in blocks:
        if failure := failures.pop(block[SOURCE_KEY], None):
            _end_failed(draft, block, failure, allowed=text_layer_fallback)
        else:
            answers.append(block)
    processed, unusable = post_processed(answers)
    for answer in unusable:
        _end_unformed(draft, answer)
    shown = [_finished(block) for block in processed]
    for failure in failures.values():
        _end_page(draft, failure, allowed=text_layer_fallback)
    in_order = sorted([*shown, *draft.done], key=lambda block: block.source)
    tables = [block.content for block in in_order if block.type == "table"]
    inside = [block for block in embedded if any(picture_name(page.index, block.source) in table for table in tables)]
    # A token that the model left out of its answer would otherwise take the picture with it.
    outside = [replace(block, angle=0) for block in embedded if block not in inside]
    return FinishedPage(
        page.index,
        page.width_pt,
        page.height_pt,
        blocks=tuple(_fold_image_blocks(sorted([*in_order, *outside], key=lambda block: block.source))),
        degradations=tuple(sorted(draft.ended, key=lambda ended: -1 if ended.block is None else ended.block)),
        embedded=tuple(inside),
    )


def _name_embedded_pictures(page_index: int, blocks: Sequence[ContentBlock]) -> list[FinishedBlock]:
    """Let tables refer to the pictures in their cells by name instead of carrying them as base64.

    vl-utils paints a random token over each picture inside a table, in the order that
    ``build_table_image_map`` gives, and puts a data URI where the model read the token.
    """
    embedded = []
    for table, images in build_table_image_map(blocks).items():
        tokens = blocks[table].get(TABLE_IMAGE_TOKEN_MAP_KEY)
        if not isinstance(tokens, dict):
            continue
        absorbed = [image for image in images if blocks[image].get(TABLE_IMAGE_ABSORBED_KEY)]
        named = dict(zip(map(str, tokens), (picture_name(page_index, image) for image in absorbed), strict=False))
        blocks[table][TABLE_IMAGE_TOKEN_MAP_KEY] = named
        angle = blocks[table]["angle"] or 0
        embedded += [FinishedBlock(image, "image", tuple(blocks[image]["bbox"]), angle=angle) for image in absorbed]
    known = {block.source for block in embedded}
    for block in blocks:
        if block[SOURCE_KEY] not in known:
            block.pop(TABLE_IMAGE_ABSORBED_KEY, None)
    return embedded


def _end_failed(draft: _Draft, block: ContentBlock, failure: Degradation, *, allowed: bool) -> None:
    # docvortex takes half a second to import, which every start of the command would pay.
    from docvortex.content.text import merge_text_line_contents

    text = clean_text(failure.text_layer).strip() if allowed else ""
    if not text:
        draft.end(block, failure, "gap", gap_text(block["type"], failure.cause))
    elif block["type"] in _FORMS | {"code", "algorithm", "index"}:
        draft.end(block, failure, "text-layer", text)
    else:
        draft.end(block, failure, "text-layer", merge_text_line_contents(text.split("\n")))


def _end_page(draft: _Draft, failure: Degradation, *, allowed: bool) -> None:
    text = clean_text(failure.text_layer).strip() if allowed else ""
    ending: Ending = "text-layer" if text else "gap"
    draft.ended.append(EndedDegradation(None, "page", failure.cause, failure.message, ending))
    shown = text or gap_text("page", failure.cause)
    draft.done.append(FinishedBlock(PAGE_SOURCE, "text", WHOLE_PAGE, shown, ending=ending))
    draft.done.append(FinishedBlock(PAGE_SOURCE, "image", WHOLE_PAGE))


def _end_unformed(draft: _Draft, answer: Unusable) -> None:
    """Keep the words of an answer that cannot keep its form."""
    block = answer.block
    content: str = (block["content"] or "")[:MAX_CONTENT]
    text = strip_markup(content) if block["type"] == "table" else content.strip()
    text = text if is_tractable(text) else defused(text)
    failure = Degradation(block[SOURCE_KEY], InvalidAnswerError.code, answer.message)
    draft.end(block, failure, "plain-text" if text else "gap", text or gap_text(block["type"], failure.cause))


def _finished(block: ContentBlock) -> FinishedBlock:
    kind = block["type"]
    content: str = (block["content"] or "").strip()
    if kind in PICTURES | {"image_block"}:
        content = clean_picture_text(content)
    sub_type = str(block.get("sub_type") or "")
    return FinishedBlock(
        block[SOURCE_KEY],
        # Containers and placeholders have no text of their own; if a model gives them some, it is kept.
        "text" if (content and kind in {"list", "unknown"}) or _is_long_index(kind, content) else kind,
        tuple(block["bbox"]),
        content,
        angle=block["angle"] or 0,
        merge_prev=bool(block.get("merge_prev")),
        sub_type=sub_type if re.fullmatch(r"[a-z][a-z0-9_ -]{0,39}", sub_type) else "",
    )


def _is_long_index(kind: str, content: str) -> bool:
    """Whether a table of contents is longer than any page's; docvortex cuts its lines in quadratic time."""
    return kind == "index" and content.count("\n") > _MAX_INDEX_LINES


def _fold_image_blocks(blocks: Sequence[FinishedBlock]) -> list[FinishedBlock]:
    """Show a figure made of several pictures as one; what was read in them goes along.

    Blocks without content that are no pictures and no lists hold nothing and end here.
    """
    containers = [block for block in blocks if block.type == "image_block"]
    texts: dict[int, list[str]] = {id(container): [] for container in containers}
    kept = []
    for block in blocks:
        holder = next((c for c in containers if block.type in PICTURES and _share_inside(block.bbox, c.bbox)), None)
        if holder is not None:
            texts[id(holder)] += [block.content] if block.content else []
        elif block.content or block.type in {"image", "chart", "table", "equation", "list", "image_block"}:
            kept.append(block)
    return [
        replace(block, type="image", content="\n\n".join([block.content, *texts[id(block)]]).strip())
        if id(block) in texts
        else block
        for block in kept
    ]


def _share_inside(inner: BBox, outer: BBox) -> bool:
    width = max(0.0, min(inner[2], outer[2]) - max(inner[0], outer[0]))
    height = max(0.0, min(inner[3], outer[3]) - max(inner[1], outer[1]))
    return width * height >= _INSIDE * (inner[2] - inner[0]) * (inner[3] - inner[1])
