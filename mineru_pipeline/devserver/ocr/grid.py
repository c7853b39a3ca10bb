"""Finds the columns and rows of a table picture: by its rules where it has them, else by its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from mineru_pipeline.devserver.ocr.boxes import Box, hull
from mineru_pipeline.devserver.ocr.cells import Grid, Table, fill, position
from mineru_pipeline.devserver.ocr.ink import cluster
from mineru_pipeline.devserver.ocr.prose import rows_of
from mineru_pipeline.devserver.ocr.reader import Page, TextLine
from mineru_pipeline.devserver.ocr.words import Word, words_of

_MIN_EDGES = 4
_RULE_SHARE = 0.4
# Words further apart than this many line heights belong to different cells of a table without rules.
_CELL_GAP = 0.9
_CROWDED = 3
# From this many rows on, one of them may run across a column edge: a heading over several columns.
_ROWS_WITH_HEAD = 4


def arrange(page: Page) -> Table:
    """The table in a picture that was read."""
    rows = rows_of(page.lines)
    if not rows:
        return Table(0, 0, ())
    height = median(line.box.height for line in page.lines)
    pieces = [piece for row in rows for piece in _pieces(row, _CELL_GAP * height)]
    xs = _rule_edges([(rule.mid_x, rule.height) for rule in page.ink.vertical], page.width, page.height)
    ys = _rule_edges([(rule.mid_y, rule.width) for rule in page.ink.horizontal], page.height, page.width)
    ruled_columns = len(xs) >= _MIN_EDGES
    ruled_rows = len(ys) >= _MIN_EDGES and not _rules_group_rows(ys, rows)
    if not ruled_columns:
        xs = _gap_edges([hull(word.box for word in piece) for piece in pieces], page.width, height, len(rows))
    if not ruled_rows:
        ys = _row_edges(rows, page.height)
    words = [word for piece in pieces for word in piece]
    xs = _trimmed(xs, [word.box.mid_x for word in words])
    ys = _trimmed(ys, [word.box.mid_y for word in words])
    return fill(Grid(xs, ys, page.ink.horizontal, page.ink.vertical, ruled_columns, ruled_rows), pieces)


def _rule_edges(rules: Sequence[tuple[float, float]], size: float, across: float) -> list[float]:
    """Positions of rules that are long enough, between the edges of the picture."""
    found = cluster([where for where, length in rules if length >= _RULE_SHARE * across], 5)
    return [0.0, *(where for where in found if 0.015 * size < where < 0.985 * size), float(size)]


def _trimmed(edges: list[float], places: Sequence[float]) -> list[float]:
    """Edges without the empty strips outside the frame of a table."""
    first, last = position(edges, min(places)), position(edges, max(places))
    return edges[first : last + 2]


def _rules_group_rows(ys: Sequence[float], rows: Sequence[Sequence[TextLine]]) -> bool:
    """Whether most bands between rules hold several rows of cells, so that rules only group rows."""
    counts = [0] * (len(ys) - 1)
    for row in rows:
        if len(row) > 1:
            counts[position(ys, median(line.box.mid_y for line in row))] += 1
    busy = [count for count in counts if count]
    return bool(busy) and median(busy) >= _CROWDED


def _row_edges(rows: Sequence[Sequence[TextLine]], height: float) -> list[float]:
    middles = [
        (max(line.box.y1 for line in upper) + min(line.box.y0 for line in lower)) / 2 for upper, lower in pairwise(rows)
    ]
    return [0.0, *sorted(middles), float(height)]


def _gap_edges(pieces: Sequence[Box], width: int, height: float, rows: int) -> list[float]:
    """Column edges: the middle of every stretch that (almost) no row has ink in."""
    narrow = [box for box in pieces if box.width < 0.45 * width] or pieces
    crossed = np.zeros(width + 2, np.int32)
    for box in narrow:
        crossed[max(0, int(box.x0)) : min(width, int(box.x1)) + 1] += 1
    free = crossed <= max(rows >= _ROWS_WITH_HEAD, round(0.04 * rows))
    changes = np.flatnonzero(np.diff(free.astype(np.int8)))
    starts, ends = changes[free[changes + 1]], changes[~free[changes + 1]]
    edges = [0.0]
    for start in starts.tolist():
        end = next((e for e in ends.tolist() if e > start), None)
        if end is not None and end - start >= max(4.0, 0.3 * height):
            edges.append((start + end) / 2)
    return [*edges, float(width)]


def _pieces(row: Sequence[TextLine], gap: float) -> list[list[Word]]:
    """The words of a row, apart where the space between them is wider than between words."""
    found: list[list[Word]] = []
    for word in sorted((word for line in row for word in words_of(line)), key=lambda item: item.box.x0):
        if found and word.box.x0 - found[-1][-1].box.x1 < gap:
            found[-1].append(word)
        else:
            found.append([word])
    return found
