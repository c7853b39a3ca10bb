"""The intervals of all families on one scale: how far each moved against the baseline, and what is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from markupsafe import Markup

from mineru_pipeline.quality.gates.model import Verdict
from mineru_pipeline.quality.report import plain

#: Changes that are always in the picture, and the widest that are; an interval beyond ends in an arrow.
_LEAST: Final = (-0.08, 0.04)
_MOST: Final = (-0.3, 0.2)
_STEPS: Final = (0.02, 0.05, 0.1)
_MAX_TICKS: Final = 8
_MIDDLE: Final = 13


@dataclass(frozen=True, slots=True)
class Scale:
    """Changes from ``low`` to ``high``."""

    low: float
    high: float

    @classmethod
    def over(cls, verdicts: Iterable[Verdict]) -> Self:
        """A scale that holds the intervals of all verdicts, within bounds."""
        found = [
            moved
            for verdict in verdicts
            for value in (verdict.lower, verdict.upper, verdict.estimate, verdict.margin)
            if (moved := plain.change(verdict, value)) is not None
        ]
        low = max(_MOST[0], min([_LEAST[0], *(value - 0.01 for value in found)]))
        high = min(_MOST[1], max([_LEAST[1], *(value + 0.01 for value in found)]))
        return cls(math.floor(low * 100) / 100, math.ceil(high * 100) / 100)

    def at(self, change: float) -> float:
        """Where a change is drawn, in per cent of the width."""
        return 100 * (min(max(change, self.low), self.high) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round changes."""
        step = next((step for step in _STEPS if (self.high - self.low) / step <= _MAX_TICKS), _STEPS[-1])
        first = math.ceil(round(self.low / step, 6))
        return [round(number * step, 6) for number in range(first, math.floor(round(self.high / step, 6)) + 1)]


def axis(scale: Scale) -> list[tuple[str, str]]:
    """Place and label of each tick."""
    return [(f"{scale.at(tick):.2f}", f"{plain.signed(100 * tick, 0)} %") for tick in scale.ticks()]


def bar(verdict: Verdict, scale: Scale) -> Markup:
    """Estimate and interval of one family, with its two lines."""
    lower, estimate, upper = (
        plain.change(verdict, value) for value in (verdict.lower, verdict.estimate, verdict.upper)
    )
    drawn = [
        _line("none", scale.at(0), 0, 26),
        *(
            _line(name, scale.at(change), 0, 26)
            for name, value in (("margin", verdict.margin), ("tolerated", verdict.tolerated))
            if (change := plain.change(verdict, value)) is not None
        ),
    ]
    if estimate is not None:
        drawn += _interval(scale, lower, estimate, upper)
    label = f"{verdict.family}: {verdict.reason}"
    return Markup('<svg class="bar" role="img" aria-label="{}">{}</svg>').format(label, Markup().join(drawn))


def _interval(scale: Scale, lower: float | None, estimate: float, upper: float | None) -> Sequence[Markup]:
    low = scale.low - 1 if lower is None else lower
    high = scale.high + 1 if upper is None else upper
    drawn = [
        Markup('<line class="span" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>').format(
            scale.at(low), scale.at(high), _MIDDLE, _MIDDLE
        )
    ]
    for value, beyond, arrow, anchor in (
        (low, low < scale.low, "◂", "start"),
        (high, high > scale.high, "▸", "end"),
    ):
        if beyond:
            drawn.append(
                Markup('<text x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(
                    scale.at(value), _MIDDLE + 5, anchor, arrow
                )
            )
        else:
            drawn.append(_line("end", scale.at(value), _MIDDLE - 5, _MIDDLE + 5))
    if scale.low <= estimate <= scale.high:
        drawn.append(Markup('<circle cx="{:.2f}%" cy="{}" r="5"/>').format(scale.at(estimate), _MIDDLE))
    return drawn


def _line(name: str, x: float, top: int, bottom: int) -> Markup:
    return Markup('<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{3}"/>').format(name, x, top, bottom)
