"""Turns the lines of a picture into running text: rows, columns, and words broken at line ends."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from mineru_pipeline.devserver.ocr.boxes import Box
from mineru_pipeline.devserver.ocr.order import reading_order
from mineru_pipeline.devserver.ocr.reader import TextLine

_MIN_SPLIT_ROWS, _MIN_SPLIT_SHARE = 3, 0.3


def paragraph(lines: Sequence[TextLine]) -> str:
    """All lines as one text in reading order; words that a line end broke are whole again."""
    text = ""
    for row in ordered_rows(lines):
        piece = " ".join(line.text.strip() for line in row)
        text = _joined(text, piece)
    return text


def ordered_rows(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines grouped into rows, in reading order; columns, where there are any, one after the other."""
    if not lines:
        return []
    height = median(line.box.height for line in lines)
    rows = rows_of(lines)
    merged = [_row_segments(row, 1.6 * height) for row in rows]
    segments = [segment for row in merged for segment in row]
    boxes = [_core(segment) for segment in segments]
    if not _has_columns(merged):
        return segments
    return [segments[index] for index in reading_order(boxes, gutter=0.8 * height, overlap=0.3 * height)]


def rows_of(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines that stand beside each other, top to bottom, each row left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda item: item.box.mid_y):
        if rows and _same_row(rows[-1], line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda item: item.box.x0) for row in rows]


def _same_row(row: Sequence[TextLine], box: Box) -> bool:
    top = median(line.box.y0 for line in row)
    bottom = median(line.box.y1 for line in row)
    shared = min(bottom, box.y1) - max(top, box.y0)
    return shared > 0.5 * min(bottom - top, box.height)


def _row_segments(row: Sequence[TextLine], gap: float) -> list[list[TextLine]]:
    segments: list[list[TextLine]] = []
    for line in row:
        if segments and line.box.x0 - segments[-1][-1].box.x1 < gap:
            segments[-1].append(line)
        else:
            segments.append([line])
    return segments


def _has_columns(rows: Sequence[Sequence[Sequence[TextLine]]]) -> bool:
    """Whether enough rows have gaps for the picture to hold columns rather than a spaced line or two."""
    split = sum(1 for row in rows if len(row) > 1)
    return split >= max(_MIN_SPLIT_ROWS, _MIN_SPLIT_SHARE * len(rows))


def _core(segment: Sequence[TextLine]) -> Box:
    left, top, right, bottom = zip(*(line.box for line in segment), strict=True)
    return Box(min(left), min(top), max(right), max(bottom))


def _joined(text: str, piece: str) -> str:
    if not text:
        return piece
    broken = text.endswith(("-", "\u2010", "\u00ad")) and text[-2:-1].isalpha() and piece[:1].islower()
    return text[:-1] + piece if broken else f"{text} {piece}"
