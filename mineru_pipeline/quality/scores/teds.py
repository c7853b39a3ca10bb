"""TEDS, the tree edit distance based similarity of two tables, and TEDS-Struct, the same without text.

Zhong, ShafieiBavani and Jimeno Yepes, "Image-based table recognition: data, model, and evaluation",
https://arxiv.org/abs/1911.10683: a table is a tree of rows and cells, an edit costs 1, a changed text its
normalised Levenshtein distance, and TEDS = 1 - distance / nodes of the larger tree. As is usual, ``thead``,
``tbody`` and ``th`` make no difference.

The distance is exact (APTED, Pawlik and Augsten 2016) up to :data:`EXACT_NODES`. Beyond, it is that of the
best edit which maps rows to rows and their cells to cells, both in order: the constrained distance of
Zhang (1995, "Algorithms for the constrained editing distance between ordered labeled trees"). Beyond
:data:`MAX_PAIRS` or :data:`MAX_CHARACTERS` it is that of one good edit of this kind: equal rows stay, the rows
between them are paired one by one, and so are their cells. Each is never below the one before, so that a large
table may be scored too low, never too high.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rapidfuzz.distance import Levenshtein

from mineru_pipeline.quality.scores.distance import similarity
from mineru_pipeline.quality.scores.grid import Cell, Table

#: Nodes of both trees multiplied: 200 each take a third of a second, and time grows with the third power.
EXACT_NODES = 40_000
#: Nodes of both trees multiplied up to which the constrained distance is taken: about a second.
MAX_PAIRS = 300_000
#: The same of the characters of all cells.
MAX_CHARACTERS = 4_000_000_000
_Row = tuple[Cell, ...]
_Item = TypeVar("_Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Node:
    label: Cell | str
    children: tuple[_Node, ...] = ()


def teds(truth: Table, parsed: Table, *, structure_only: bool = False) -> float:
    """Similarity 0-1 of two tables; 0 where one of them has no cell."""
    if not truth.rows or not parsed.rows:
        return 0.0
    one, other = (_stripped(table, structure_only=structure_only) for table in (truth, parsed))
    if one == other:
        return 1.0
    return max(0.0, 1.0 - _distance(one, other) / max(_nodes(one), _nodes(other)))


def _distance(one: Sequence[_Row], other: Sequence[_Row]) -> float:
    nodes, characters = _nodes(one) * _nodes(other), _characters(one) * _characters(other)
    if characters > MAX_CHARACTERS or nodes > MAX_PAIRS:
        return quick_distance(one, other)
    return exact_distance(one, other) if nodes <= EXACT_NODES else constrained_distance(one, other)


def _nodes(rows: Sequence[_Row]) -> int:
    return 1 + len(rows) + sum(map(len, rows))


def _characters(rows: Sequence[_Row]) -> int:
    return sum(len(cell.text) for row in rows for cell in row)


def change(one: Cell, other: Cell) -> float:
    """What it costs to make one cell the other: 1 where the spans differ, else by how much the texts do."""
    if (one.colspan, one.rowspan) != (other.colspan, other.rowspan):
        return 1.0
    return 1.0 - similarity(one.text, other.text)


def constrained_distance(one: Sequence[_Row], other: Sequence[_Row]) -> float:
    """Cost of the best edit that maps rows to rows in order and within them cells to cells in order."""
    above = [0.0]
    for row in other:
        above.append(above[-1] + 1 + len(row))
    for row in one:
        here = [above[0] + 1 + len(row)]
        for x, candidate in enumerate(other, 1):
            swapped = above[x - 1] + _row_distance(row, candidate)
            here.append(min(swapped, above[x] + 1 + len(row), here[x - 1] + 1 + len(candidate)))
        above = here
    return above[-1]


def _row_distance(one: _Row, other: _Row) -> float:
    if one == other:
        return 0.0
    above = [float(x) for x in range(len(other) + 1)]
    for y, cell in enumerate(one, 1):
        here = [float(y)]
        for x, candidate in enumerate(other, 1):
            here.append(min(above[x - 1] + change(cell, candidate), above[x] + 1, here[x - 1] + 1))
        above = here
    return above[-1]


def quick_distance(one: Sequence[_Row], other: Sequence[_Row]) -> float:
    """Cost of the edit that keeps equal rows and pairs the rows between them, and their cells, one by one."""
    total = 0.0
    for left, right in _replaced(one, other):
        total += sum(_quick_row(row, candidate) for row, candidate in zip(left, right, strict=False))
        total += sum(1 + len(row) for row in (*left[len(right) :], *right[len(left) :]))
    return total


def _quick_row(one: _Row, other: _Row) -> float:
    total = 0.0
    for left, right in _replaced(one, other):
        total += sum(change(cell, candidate) for cell, candidate in zip(left, right, strict=False))
        total += abs(len(left) - len(right))
    return total


def _replaced(one: Sequence[_Item], other: Sequence[_Item]) -> Iterator[tuple[Sequence[_Item], Sequence[_Item]]]:
    """The stretches of two sequences in which they differ, along the edit of fewest items."""
    numbers: dict[_Item, int] = {}
    ids = [[numbers.setdefault(item, len(numbers)) for item in side] for side in (one, other)]
    for step in Levenshtein.opcodes(ids[0], ids[1]):
        if step.tag != "equal":
            yield one[step.src_start : step.src_end], other[step.dest_start : step.dest_end]


def _stripped(table: Table, *, structure_only: bool) -> list[_Row]:
    rows = [tuple(replace(cell, heading=False) for cell in row) for row in table.rows]
    return [tuple(replace(cell, text="") for cell in row) for row in rows] if structure_only else rows


def exact_distance(one: Sequence[_Row], other: Sequence[_Row]) -> float:
    """The tree edit distance, by APTED."""
    # Only needed where tables differ, and slow to import.
    from apted import APTED, Config

    class Costs(Config):  # type: ignore[misc]
        def rename(self, node1: _Node, node2: _Node) -> float:
            if isinstance(node1.label, Cell) and isinstance(node2.label, Cell):
                return change(node1.label, node2.label)
            return 0.0 if node1.label == node2.label else 1.0

        def children(self, node: _Node) -> tuple[_Node, ...]:
            return node.children

    return float(APTED(_tree(one), _tree(other), Costs()).compute_edit_distance())


def _tree(rows: Sequence[_Row]) -> _Node:
    return _Node("table", tuple(_Node("tr", tuple(_Node(cell) for cell in row)) for row in rows))
