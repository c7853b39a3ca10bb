"""Fills the grid of a table with words and joins the positions that one cell covers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from mineru_pipeline.devserver.ocr.boxes import Box
from mineru_pipeline.devserver.ocr.words import Word

# A rule stands between two cells when it covers this share of the side they have in common.
_COVERED = 0.4
_NEAR = 6.0
# A space between words of one text is at most this many line heights wide.
_WORD_SPACE = 0.45


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: first row and column, how many of each it spans, and its text."""

    row: int
    column: int
    rows: int
    columns: int
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ``rows`` by ``columns`` positions; positions no cell covers are empty."""

    rows: int
    columns: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Edges of columns and rows in pixels, and the rules; ``ruled_*`` says whether the edges are rules."""

    xs: Sequence[float]
    ys: Sequence[float]
    horizontal: Sequence[Box]
    vertical: Sequence[Box]
    ruled_columns: bool
    ruled_rows: bool


def fill(grid: Grid, pieces: Sequence[Sequence[Word]]) -> Table:
    """The table of ``pieces``: words of one row without a wide gap between them."""
    places: dict[tuple[int, int], list[Word]] = {}
    bridges: dict[tuple[int, int], int] = {}
    for piece in pieces:
        for word in piece:
            place = (position(grid.ys, word.box.mid_y), position(grid.xs, word.box.mid_x))
            places.setdefault(place, []).append(word)
        if not grid.ruled_columns:
            _note_bridge(grid, piece, bridges)
    fully_ruled = grid.ruled_rows and grid.ruled_columns
    used = list(range(len(grid.ys) - 1)) if fully_ruled else sorted({row for row, _ in places})
    cells = [cell for row in used for cell in _row_cells(grid, row, places, bridges)]
    if fully_ruled:
        cells = _joined_down(grid, cells)
    index = {row: number for number, row in enumerate(used)}
    kept = tuple(replace(cell, row=index[cell.row]) for cell in cells if cell.text)
    return Table(len(used), len(grid.xs) - 1, kept)


def position(edges: Sequence[float], value: float) -> int:
    """The number of the stretch between two edges that holds ``value``."""
    return min(len(edges) - 2, max(0, bisect_right(edges, value) - 1))


def _note_bridge(grid: Grid, piece: Sequence[Word], bridges: dict[tuple[int, int], int]) -> None:
    """Remember where a text runs across column edges: its first position, and its last column."""
    row = position(grid.ys, median(word.box.mid_y for word in piece))
    first = position(grid.xs, piece[0].box.mid_x)
    for left, right in pairwise(piece):
        column = position(grid.xs, right.box.mid_x)
        if right.box.x0 - left.box.x1 > _WORD_SPACE * left.box.height:
            first = column
        elif column > first:
            bridges[row, first] = column


def _row_cells(
    grid: Grid, row: int, places: dict[tuple[int, int], list[Word]], bridges: dict[tuple[int, int], int]
) -> list[Cell]:
    cells: list[Cell] = []
    column = 0
    columns = len(grid.xs) - 1
    while column < columns:
        last = _last_of_span(grid, row, column) if grid.ruled_columns else bridges.get((row, column), column)
        filled = [c for c in range(column, last + 1) if (row, c) in places]
        if grid.ruled_columns and len(filled) > 1 and not _runs_on([places[row, c] for c in filled]):
            last = column
        words = [word for c in range(column, last + 1) for word in places.get((row, c), [])]
        cells.append(Cell(row, column, 1, last - column + 1, text_of(words)))
        column = last + 1
    return cells


def _last_of_span(grid: Grid, row: int, column: int) -> int:
    """The last column that no rule parts from ``column`` in this row."""
    top, bottom = grid.ys[row], grid.ys[row + 1]
    last = column
    while last + 2 < len(grid.xs):
        x = grid.xs[last + 1]
        spans = [(rule.y0, rule.y1) for rule in grid.vertical if abs(rule.mid_x - x) < _NEAR]
        if _covered(spans, top, bottom) >= _COVERED:
            break
        last += 1
    return last


def _runs_on(parts: Sequence[Sequence[Word]]) -> bool:
    """Whether the words of neighbouring positions are one text that just runs across the edges."""
    words = sorted((word for part in parts for word in part), key=lambda word: word.box.x0)
    height = median(word.box.height for word in words)
    return all(b.box.x0 - a.box.x1 < height for a, b in pairwise(words))


def _joined_down(grid: Grid, cells: Sequence[Cell]) -> list[Cell]:
    """Cells above each other, empty ones too, joined where no rule parts them."""
    joined: dict[tuple[int, int], Cell] = {}
    for cell in sorted(cells, key=lambda item: (item.row, item.column)):
        above = next((other for other in joined.values() if _is_above(grid, other, cell)), None)
        if above is None:
            joined[cell.row, cell.column] = cell
        else:
            text = f"{above.text} {cell.text}".strip()
            joined[above.row, above.column] = replace(above, rows=cell.row - above.row + 1, text=text)
    return list(joined.values())


def _is_above(grid: Grid, upper: Cell, lower: Cell) -> bool:
    same = upper.column == lower.column and upper.columns == lower.columns
    return same and upper.row + upper.rows == lower.row and not _ruled_above(grid, lower)


def _ruled_above(grid: Grid, cell: Cell) -> bool:
    y = grid.ys[cell.row]
    spans = [(rule.x0, rule.x1) for rule in grid.horizontal if abs(rule.mid_y - y) < _NEAR]
    return _covered(spans, grid.xs[cell.column], grid.xs[cell.column + cell.columns]) >= _COVERED


def _covered(spans: Sequence[tuple[float, float]], low: float, high: float) -> float:
    """Share of the stretch from ``low`` to ``high`` that lies under ``spans``."""
    return sum(max(0.0, min(b, high) - max(a, low)) for a, b in spans) / max(1.0, high - low)


def text_of(words: Sequence[Word]) -> str:
    """The words of a cell, row by row."""
    if not words:
        return ""
    height = median(word.box.height for word in words)
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda item: item.box.mid_y):
        if rows and word.box.mid_y - rows[-1][-1].box.mid_y < 0.5 * height:
            rows[-1].append(word)
        else:
            rows.append([word])
    return " ".join(word.text for row in rows for word in sorted(row, key=lambda item: item.box.x0))
