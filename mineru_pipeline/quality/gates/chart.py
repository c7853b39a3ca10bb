"""Evidence over documents as SVG, for reports and metadata: the same bytes for the same figures, and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import numpy as np

from mineru_pipeline.quality.gates.drift import Point

if TYPE_CHECKING:
    # It needs the extra, which the picture of drift on a worker does without.
    from mineru_pipeline.quality.gates.sequential import Evidence

_WIDTH: Final = 720
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 28, 44, 44
#: Told apart by hue and by dashes, so that they can be told apart without colours, too.
_STYLES: Final = (("#1f6feb", ""), ("#b42318", "6 3"), ("#18794e", "2 3"), ("#8250df", "8 3 2 3"))
_INK, _SOFT, _GRID = "#1b1f24", "#5b6470", "#d8dde3"
#: Where no evidence at all is drawn.
_LEAST: Final = 0.01
_TICKS: Final = 6
#: Powers of ten up to here are written out.
_IN_FULL: Final = 4
_SUPERSCRIPT: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Line:
    """Evidence after each document; all lines of a chart are of the same documents."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level at which something is decided."""

    label: str
    value: float


def evidence_chart(family: str, evidence: Evidence, alpha: float) -> str:
    """The two e-processes of a sequential gate and the evidence that decides."""
    good, worse = (np.exp(np.maximum(path, math.log(_LEAST))).tolist() for path in evidence)
    lines = (Line("it keeps the margin", good), Line("it is worse than tolerated", worse))
    return line_chart(f"{family}: evidence that …", lines, Threshold(f"decided at {1 / alpha:g}", 1 / alpha))


def drift_chart(points: Sequence[Point], every: int) -> str:
    """The evidence of drift, and the level of a warning."""
    threshold = Threshold(f"warning at {every:,}", every)
    return line_chart("evidence of drift", (Line("all signals", [point.evidence for point in points]),), threshold)


def line_chart(title: str, lines: Sequence[Line], threshold: Threshold) -> str:
    """Draw lines over documents on a logarithmic scale, with one threshold."""
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
            "width": str(_WIDTH),
            "height": str(_HEIGHT),
            "role": "img",
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
        },
    )
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#fff"})
    _text(svg, _LEFT, 18, title, {"font-weight": "600"})
    documents = max((len(line.values) for line in lines), default=0)
    scale = _Scale.over([value for line in lines for value in line.values] + [threshold.value], documents)
    _axes(svg, scale)
    _draw_threshold(svg, scale, threshold)
    # Labels stand side by side under the title, as wide as their letters are at most.
    place = float(_LEFT)
    for line, (colour, dashes) in zip(lines, _STYLES, strict=False):
        stroke = {"stroke": colour, "stroke-width": "1.8", "fill": "none", **_dashed(dashes)}
        ET.SubElement(svg, "polyline", {"points": scale.points(line.values), "stroke-linejoin": "round", **stroke})
        ET.SubElement(svg, "path", {"d": f"M{place:.0f} 32h24", **stroke})
        _text(svg, place + 30, 36, line.label, {"fill": colour})
        place += 54 + 7 * len(line.label)
    return ET.tostring(svg, encoding="unicode")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a document and its evidence are drawn: powers of ten from ``low`` to ``high``."""

    low: int
    high: int
    documents: int

    @classmethod
    def over(cls, values: Sequence[float], documents: int) -> _Scale:
        exponents = [math.log10(max(value, _LEAST)) for value in values]
        return cls(math.floor(min(0.0, *exponents)), math.ceil(max(0.2, *exponents) + 0.1), documents)

    def x(self, document: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * document / max(1, self.documents)

    def y(self, value: float) -> float:
        share = (math.log10(max(value, _LEAST)) - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def points(self, values: Sequence[float]) -> str:
        """At most one point for each pixel, the highest, so that no crossing of a threshold is lost."""
        size = max(1, math.ceil(len(values) / (_WIDTH - _LEFT - _RIGHT)))
        drawn = []
        for start in range(0, len(values), size):
            place, value = max(enumerate(values[start : start + size], start + 1), key=lambda pair: pair[1])
            drawn.append(f"{self.x(place):.1f},{self.y(value):.1f}")
        return " ".join(drawn)


def _axes(svg: ET.Element, scale: _Scale) -> None:
    powers = max(1, math.ceil((scale.high - scale.low) / _TICKS))
    for exponent in range(scale.low, scale.high + 1, powers):
        y = scale.y(10.0**exponent)
        ET.SubElement(svg, "path", {"d": f"M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}", "stroke": _GRID})
        _text(svg, _LEFT - 6, y + 4, _power(exponent), {"text-anchor": "end", "fill": _SOFT})
    for document in range(0, scale.documents + 1, _step(scale.documents)):
        anchor = {"text-anchor": "middle", "fill": _SOFT}
        _text(svg, scale.x(document), _HEIGHT - _BOTTOM + 16, f"{document:,}", anchor)
    _text(svg, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "documents", {"text-anchor": "middle", "fill": _SOFT})


def _draw_threshold(svg: ET.Element, scale: _Scale, threshold: Threshold) -> None:
    y = scale.y(threshold.value)
    ET.SubElement(svg, "path", {"d": f"M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}", "stroke": _INK, **_dashed("4 4")})
    # On the left, where all evidence begins at none.
    _text(svg, _LEFT + 4, y - 5, threshold.label, {})


def _power(exponent: int) -> str:
    if exponent > _IN_FULL:
        return "10" + str(exponent).translate(_SUPERSCRIPT)
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:g}"


def _step(documents: int) -> int:
    """A round number of documents between two labels."""
    rough = max(1.0, documents / _TICKS)
    power = 10 ** math.floor(math.log10(rough))
    return int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))


def _dashed(dashes: str) -> dict[str, str]:
    return {"stroke-dasharray": dashes} if dashes else {}


def _text(svg: ET.Element, x: float, y: float, words: str, attributes: dict[str, str]) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": _INK, **attributes}).text = words
