"""Mean scores by stratum and family as one table, with what moved against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mineru_pipeline.quality.report import plain
from mineru_pipeline.quality.report.model import Compared
from mineru_pipeline.quality.scores.model import Family
from mineru_pipeline.quality.scores.summary import FamilyMean, summarise

#: From which change a cell is coloured, and from which in full.
_SHADES: Final = (0.002, 0.01, 0.03)


@dataclass(frozen=True, slots=True)
class Cell:
    """One mean; ``tone`` is ``worse1`` to ``worse3``, ``better1`` to ``better3`` or "" where little moved."""

    after: str
    delta: str
    tone: str
    documents: int


@dataclass(frozen=True, slots=True)
class Row:
    """All families of one stratum, or of the whole corpus."""

    name: str
    cells: tuple[Cell, ...]


def matrix(compared: Compared) -> list[Row]:
    """The whole corpus first, then each stratum by name."""
    after, before = summarise(compared.candidate), summarise(compared.baseline)
    rows = [_row("all documents", after.overall, before.overall)]
    return rows + [_row(name, means, before.strata.get(name, {})) for name, means in after.strata.items()]


def _row(name: str, after: Mapping[Family, FamilyMean], before: Mapping[Family, FamilyMean]) -> Row:
    return Row(name, tuple(_cell(after[family], before.get(family)) for family in Family))


def _cell(after: FamilyMean, before: FamilyMean | None) -> Cell:
    was = before.mean if before else None
    moved = 0.0 if was is None or after.mean is None else after.mean - was
    shade = sum(abs(moved) >= level for level in _SHADES)
    tone = f"{'better' if moved > 0 else 'worse'}{shade}" if shade else ""
    return Cell(plain.score(after.mean), plain.delta(was, after.mean), tone, after.documents)
