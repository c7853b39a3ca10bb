"""Says which blocks are kept as pictures too, and what these are called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mineru_pipeline.parsing.blocks import BBox, FinishedBlock, FinishedPage, picture_name

#: docvortex's set of block types with a picture.
VISUAL_TYPES: Final = frozenset({"image", "chart", "table", "equation"})


@dataclass(frozen=True, slots=True)
class VisualBox:
    """One picture to be cut: ``bbox`` in fractions of the page, ``angle`` as in ``FinishedBlock``."""

    #: Key of the picture relative to the document's folder, such as ``images/p0003-b07.jpg``.
    name: str
    #: Index of the page, from 0.
    page: int
    type: str
    bbox: BBox
    angle: int


def visual_boxes(pages: Iterable[FinishedPage]) -> tuple[VisualBox, ...]:
    """The pictures that the outputs of ``pages`` refer to, in reading order."""
    return tuple(
        VisualBox(picture_name(page.index, block.source), page.index, block.type, block.bbox, block.angle)
        for page in pages
        for block in (*page.blocks, *page.embedded)
        if is_visual(block)
    )


def is_visual(block: FinishedBlock) -> bool:
    """Whether ``block`` is kept as a picture."""
    return block.type in VISUAL_TYPES
