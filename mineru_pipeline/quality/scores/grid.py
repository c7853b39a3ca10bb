"""Reads the HTML of a table as rows of cells and as a grid, within bounds: a parse's markup is hostile input.

Only the tags that make a table are looked at, by one pattern that is linear in the markup; everything else
is text in normal form. Nothing is rendered, fetched or built by a tolerant parser that could recurse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mineru_pipeline.quality.scores.normal import normalise

#: Characters of markup and slots of the grid that are read of one table; what comes after is cut off.
MAX_MARKUP, MAX_SLOTS = 2_000_000, 10_000
_MAX_SPAN = 1000
_TAG = re.compile(r"(?i)<(/?)(table|tr|td|th)(?=[\s/>])([^<>]{0,1000})>")
_SPAN = re.compile(r"""(?i)(?<![\w-])(col|row)span\s{0,9}=\s{0,9}["']?\s{0,9}(\d{1,9})""")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text in normal form, its spans, and whether it is marked as a heading."""

    text: str
    colspan: int = 1
    rowspan: int = 1
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table with the cells that begin in each, and text that stands in no cell."""

    rows: tuple[tuple[Cell, ...], ...]
    stray: str = ""

    @property
    def cells(self) -> int:
        """Number of cells."""
        return sum(map(len, self.rows))

    @property
    def texts(self) -> Iterator[str]:
        """All text of the table, cell by cell."""
        if self.stray:
            yield self.stray
        for row in self.rows:
            for cell in row:
                yield cell.text


@dataclass(slots=True)
class _Reader:
    rows: list[list[Cell]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    open: Cell | None = None
    depth: int = 0
    slots: int = 0

    def tag(self, *, closing: bool, name: str, attributes: str) -> None:
        if name == "table":
            self.depth += -1 if closing else 1
        elif self.depth > 1:
            # A table within a cell is text of that cell.
            self.text.append(" ")
        elif name == "tr":
            self.close()
            if not closing:
                self.rows.append([])
        else:
            self.close()
            if not closing:
                spans = {axis.lower(): min(max(int(span), 1), _MAX_SPAN) for axis, span in _SPAN.findall(attributes)}
                self.open = Cell("", spans.get("col", 1), spans.get("row", 1), heading=name == "th")

    def close(self) -> None:
        if self.slots > MAX_SLOTS:
            self.text = []
            return
        text = normalise("".join(self.text))
        self.text = []
        cell, self.open = self.open, None
        if cell is None:
            self.stray += [text] if text else []
            return
        self.slots += cell.colspan * cell.rowspan
        if self.slots <= MAX_SLOTS:
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append(Cell(text, cell.colspan, cell.rowspan, cell.heading))


def read_table(markup: str) -> Table:
    """The cells of a table's HTML; rows without cells are left out."""
    markup = markup[:MAX_MARKUP]
    reader = _Reader()
    position = 0
    for match in _TAG.finditer(markup):
        reader.text.append(markup[position : match.start()])
        reader.tag(closing=bool(match[1]), name=match[2].lower(), attributes=match[3])
        position = match.end()
    reader.text.append(markup[position:])
    reader.close()
    return Table(tuple(tuple(row) for row in reader.rows if row), " ".join(reader.stray))


def place(table: Table) -> dict[tuple[int, int], tuple[int, int]]:
    """The grid: each slot (row, column) with the cell in it, named by the row and the number in it.

    Cells take the next free slot of their row, as in HTML
    (https://html.spec.whatwg.org/multipage/tables.html#forming-a-table); spans end with the last row.
    """
    slots: dict[tuple[int, int], tuple[int, int]] = {}
    for y, row in enumerate(table.rows):
        x = 0
        for number, cell in enumerate(row):
            while (y, x) in slots:
                x += 1
            for down in range(min(cell.rowspan, len(table.rows) - y)):
                for right in range(cell.colspan):
                    slots.setdefault((y + down, x + right), (y, number))
            x += cell.colspan
    return slots
