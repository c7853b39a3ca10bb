"""The values that pass between rendering, extraction and assembly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.pixels import PackedPixels


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The pictures of one page as the model will see them, and what the PDF itself says of it."""

    index: int
    width_pt: float
    height_pt: float
    #: The whole page as a PNG, in the size in which its layout is asked for.
    layout: bytes
    #: The page in full, for its blocks to be cut from.
    pixels: PackedPixels
    #: Share of pixels (0–1) that differ visibly from the page's background.
    ink: float
    layer: TextLayer = field(default_factory=TextLayer)
    #: The page as people are shown it, PNG or JPEG; empty if they are not.
    shown: bytes = b""
    #: Where on the page ink is: see :mod:`mineru_pipeline.parsing.ink`.
    ink_map: bytes = b""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of its own text layer, unpacked anew each time."""
        return self.layer.words()

    @property
    def width_px(self) -> int:
        """Width of the page in full."""
        return self.pixels.width

    @property
    def height_px(self) -> int:
        """Height of the page in full."""
        return self.pixels.height

    @property
    def picture_bytes(self) -> int:
        """Memory that the pictures take."""
        return len(self.layout) + len(self.pixels.packed)

    def without_pictures(self) -> RenderedPage:
        """Return what is left when nothing of the page has to be cut any more."""
        return replace(self, layout=b"", shown=b"", pixels=replace(self.pixels, packed=b""))


@dataclass(frozen=True, slots=True)
class Degradation:
    """Why one block, or a whole page, is not what the model was asked for."""

    #: Index into ``PageExtraction.blocks``; ``None`` where the layout of the page itself failed.
    block: int | None
    #: ``code`` of the error that ended the model's part of the ladder.
    cause: str
    message: str
    #: What the PDF's own text layer holds at that place, in reading order; "" if nothing.
    text_layer: str = ""


@dataclass(frozen=True, slots=True)
class PageExtraction:
    """The model's raw answers for one page: what a checkpoint holds and assembly starts from.

    ``blocks`` are the dictionaries of ``mineru_vl_utils.structs.ContentBlock`` *before* its
    ``post_process``: ``type``, ``bbox`` (fractions 0–1), ``angle``, ``content`` (raw answer or
    None), ``merge_prev`` and, for tables that hold pictures, vl-utils' own bookkeeping keys.
    It holds no times and no counters: the same answers give the same bytes.
    """

    index: int
    width_pt: float
    height_pt: float
    width_px: int
    height_px: int
    ink: float
    blocks: tuple[dict[str, Any], ...]
    degradations: tuple[Degradation, ...] = field(default=())
