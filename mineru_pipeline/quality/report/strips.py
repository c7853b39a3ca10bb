"""Distributions as strips of SVG that are as wide as their place: one point a document, the baseline above.

Places along a strip are per cent, so that a strip fits a phone without letters growing small with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Final

from markupsafe import Markup

from mineru_pipeline.quality.report import plain
from mineru_pipeline.quality.report.model import Pair
from mineru_pipeline.quality.scores.model import Family

#: More documents than these are drawn as a box from quartile to quartile, and their lowest as points.
MAX_POINTS: Final = 40
_LOWEST: Final = 8
#: Scores lie close to 1, so losses are drawn by their square root: 0.99 stands a tenth from the end, 0.9 a third.
TICKS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
_LANES: Final = {"before": 9, "after": 25}
_JITTER: Final = (0, -3, 3)


@dataclass(frozen=True, slots=True)
class Strip:
    """The scores of a family in one stratum."""

    stratum: str
    documents: int
    before: float | None
    after: float | None
    svg: Markup


def place(score: float) -> float:
    """Where a score is drawn, in per cent of the width."""
    return 100 * (1 - math.sqrt(1 - min(max(score, 0.0), 1.0)))


def strips(pairs: Sequence[Pair], family: Family) -> list[Strip]:
    """A strip for each stratum, by name, those without a score in this family, too."""
    by_stratum: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_stratum.setdefault(pair.after.stratum, []).append(pair)
    return [_strip(stratum, found, family) for stratum, found in sorted(by_stratum.items())]


def _strip(stratum: str, pairs: Sequence[Pair], family: Family) -> Strip:
    before = _known(((pair.before.families[family] if pair.before else None), pair.name) for pair in pairs)
    after = _known((pair.after.families[family], pair.name) for pair in pairs)
    means = [fmean(score for score, _ in lane) if lane else None for lane in (before, after)]
    drawn = Markup().join(
        Markup('<g class="{}">{}</g>').format(lane, Markup().join(_lane(scores, _LANES[lane])))
        for lane, scores in (("before", before), ("after", after))
        if scores
    )
    words = f"{stratum}: baseline {plain.score(means[0])}, candidate {plain.score(means[1])}"
    svg = Markup('<svg class="strip" role="img" aria-label="{}">{}</svg>').format(words, drawn)
    return Strip(stratum, len(after), means[0], means[1], svg)


def _known(scores: Iterable[tuple[float | None, str]]) -> list[tuple[float, str]]:
    return sorted((value, name) for value, name in scores if value is not None)


def _lane(known: Sequence[tuple[float, str]], y: int) -> Iterable[Markup]:
    mean = place(fmean(value for value, _ in known))
    shown = known
    if len(known) > MAX_POINTS:
        low, middle, high = (place(value) for value in quantiles([value for value, _ in known], n=4))
        yield Markup('<rect x="{:.2f}%" y="{}" width="{:.2f}%" height="10"/>').format(low, y - 5, high - low)
        yield Markup('<line class="mid" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(middle, y - 5, y + 5)
        shown = known[:_LOWEST]
    for number, (value, name) in enumerate(shown):
        at = y + _JITTER[number % len(_JITTER)]
        yield Markup('<circle cx="{:.2f}%" cy="{}" r="3.5"><title>{} {}</title></circle>').format(
            place(value), at, name, plain.score(value)
        )
    yield Markup('<line class="mean" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(mean, y - 7, y + 7)
