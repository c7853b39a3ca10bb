"""Tables: cells with spans, the widths of columns, rules or none, and the HTML that says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from html import escape

from mineru_pipeline.quality.corpus.fonts import Family, width
from mineru_pipeline.quality.corpus.prose import TIE
from mineru_pipeline.quality.corpus.sheet import Block, Box, Run, line, rectangle


class Ruling(Enum):
    """Which rules a table has."""

    GRID = auto()
    #: Above, below the header, and at the end, as in books.
    BOOK = auto()
    #: A thin line below each row.
    ROWS = auto()
    #: Every other row on grey.
    ZEBRA = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; a newline in its text begins another line."""

    text: str
    rows: int = 1
    columns: int = 1
    align: str = "left"
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; what a span covers is left out, as in HTML."""

    rows: tuple[tuple[Cell, ...], ...]
    family: Family
    size: float
    header: int = 1
    ruling: Ruling = Ruling.GRID
    pad: float = 4.0
    #: Fills the measure; otherwise it is as wide as its words need.
    stretched: bool = True
    #: Widths of the columns, where the words do not decide.
    widths: tuple[float, ...] = ()

    def html(self) -> str:
        """Return the table as HTML: ``td`` throughout, spans as attributes."""
        return "<table>" + "".join(f"<tr>{''.join(map(_html, row))}</tr>" for row in self.rows) + "</table>"

    def size_of(self, cell: Cell) -> tuple[float, float]:
        """Return width and height that a cell needs."""
        face = self.family.bold if cell.bold else self.family.roman
        texts = cell.text.split("\n")
        wide = max(width(text, face, self.size) for text in texts) + 2 * self.pad
        return wide, len(texts) * self._leading + 0.9 * self.pad

    def measured(self, measure: float) -> tuple[float, list[float]]:
        """Return the height of the table and the widths of its columns.

        Raises:
            ValueError: it is wider than ``measure``.
        """
        if self.widths:
            return sum(self._heights()), list(self.widths)
        widths = self._natural_widths()
        total = sum(widths)
        if total > measure + 0.01:
            raise ValueError(f"a table of {total:.0f} points in a measure of {measure:.0f}")
        if self.stretched:
            widths = [wide + (measure - total) / len(widths) for wide in widths]
        return sum(self._heights()), widths

    def draw(self, block: Block, x: float, y: float, measure: float) -> None:
        """Draw the table with its upper left corner at ``x, y``."""
        _, widths = self.measured(measure)
        lefts = _sums(x, widths)
        tops = _sums(y, self._heights())
        frame = Box(x, y, lefts[-1], tops[-1])
        if self.ruling is Ruling.ZEBRA:
            for row in range(self.header, len(self.rows), 2):
                block.put(rectangle(Box(x, tops[row], frame.x1, tops[row + 1]), fill=0.9))
        for row, column, cell in placed(self.rows):
            box = Box(lefts[column], tops[row], lefts[column + cell.columns], tops[row + cell.rows])
            if self.ruling is Ruling.GRID:
                block.put(rectangle(box, stroke=0.0, fill=0.92 if row < self.header else None))
            self._write(block, cell, box)
        block.put(*self._rules(frame, tops))

    def fixed(self, measure: float) -> Table:
        """Return the table with the widths that it has now, for its parts to keep."""
        return replace(self, widths=tuple(self.measured(measure)[1]))

    def split(self, room: float) -> tuple[Table | None, Table]:
        """Return the part that fits into ``room`` and the rest, both with the header; no span is cut."""
        heights = self._heights()
        if sum(heights) <= room:
            return self, replace(self, rows=())
        count, used = 0, 0.0
        for row, height in enumerate(heights):
            used += height
            if used > room:
                break
            if row + 1 > self.header and not _cuts(self.rows, row + 1):
                count = row + 1
        if count < self.header + 2:
            return None, self
        rest = (*self.rows[: self.header], *self.rows[count:])
        return replace(self, rows=self.rows[:count]), replace(self, rows=rest)

    @property
    def _leading(self) -> float:
        return 1.22 * self.size

    def _write(self, block: Block, cell: Cell, box: Box) -> None:
        face = self.family.bold if cell.bold else self.family.roman
        texts = cell.text.split("\n")
        y = (box.y0 + box.y1 - len(texts) * self._leading) / 2 + 0.5 * (self._leading - self.size) + 0.8 * self.size
        for text in texts:
            wide = width(text, face, self.size)
            x = {
                "left": box.x0 + self.pad,
                "right": box.x1 - self.pad - wide,
                "center": (box.x0 + box.x1 - wide) / 2,
            }[cell.align]
            if text:
                block.put(Run(x, y, text, face, self.size))
            y += self._leading

    def _rules(self, frame: Box, tops: Sequence[float]) -> Iterator:  # type: ignore[type-arg]
        if self.ruling in {Ruling.BOOK, Ruling.ZEBRA}:
            for y, weight in ((frame.y0, 1.0), (tops[self.header], 0.6), (frame.y1, 1.0)):
                yield line(frame.x0, y, frame.x1, y, weight)
        if self.ruling is Ruling.ROWS:
            for y in tops[1:]:
                yield line(frame.x0, y, frame.x1, y, 0.4, 0.4)

    def _natural_widths(self) -> list[float]:
        count = sum(cell.columns for cell in self.rows[0])
        widths = [0.0] * count
        cells = sorted(placed(self.rows), key=lambda each: each[2].columns)
        for _, column, cell in cells:
            wide, _ = self.size_of(cell)
            covered = range(column, column + cell.columns)
            missing = wide - sum(widths[each] for each in covered)
            if missing > 0:
                for each in covered:
                    widths[each] += missing / cell.columns
        return widths

    def _heights(self) -> list[float]:
        heights = [0.0] * len(self.rows)
        for row, _, cell in sorted(placed(self.rows), key=lambda each: each[2].rows):
            _, tall = self.size_of(cell)
            covered = range(row, row + cell.rows)
            missing = tall - sum(heights[each] for each in covered)
            if missing > 0:
                for each in covered:
                    heights[each] += missing / cell.rows
        return heights


def placed(rows: Sequence[Sequence[Cell]]) -> list[tuple[int, int, Cell]]:
    """Return each cell with its row and column, as HTML's rule for spans has it."""
    taken: set[tuple[int, int]] = set()
    found = []
    for row, cells in enumerate(rows):
        column = 0
        for cell in cells:
            while (row, column) in taken:
                column += 1
            taken |= {(row + i, column + k) for i in range(cell.rows) for k in range(cell.columns)}
            found.append((row, column, cell))
    return found


def _cuts(rows: Sequence[Sequence[Cell]], before: int) -> bool:
    return any(row < before < row + cell.rows for row, _, cell in placed(rows))


def _html(cell: Cell) -> str:
    spans = "".join(
        f' {name}="{count}"' for name, count in (("rowspan", cell.rows), ("colspan", cell.columns)) if count > 1
    )
    text = escape(cell.text.replace("\n", " ").replace(TIE, " "), quote=False)
    return f"<td{spans}>{text}</td>"


def _sums(start: float, parts: Sequence[float]) -> list[float]:
    found = [start]
    for part in parts:
        found.append(found[-1] + part)
    return found
