"""The values that pass between rendering, extraction and assembly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Word(NamedTuple):
    """One word of a PDF's own text layer; the box is in fractions of the displayed page, y down."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The pixels of one page as the model will see them, and what the PDF itself says of it."""

    index: int
    width_pt: float
    height_pt: float
    width_px: int
    height_px: int
    #: ``width_px * height_px * 3`` bytes, RGB, rows from the top.
    rgb: bytes
    #: Share of pixels (0–1) that differ visibly from the page's background.
    ink: float
    words: tuple[Word, ...] = ()


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
