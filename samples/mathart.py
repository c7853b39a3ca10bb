"""Displayed formulas as vector drawings: ziamath sets them, reportlab draws their outlines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from reportlab.lib.colors import black
from reportlab.platypus import Flowable
from ziamath.zmath import Latex

_TOKEN = re.compile(r"[MLQZ]|-?\d+(?:\.\d+)?(?:e-?\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "Q": 4, "Z": 0}
Segment = tuple[str, tuple[float, ...]]


class DisplayedFormula(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A centred formula with its number at the right edge of the column."""

    def __init__(self, latex: str, number: int, *, size: float = 12.5) -> None:
        super().__init__()
        formula = Latex(latex, size=size)
        self._drawing = formula.svgxml()
        self._size: tuple[float, float] = formula.getsize()
        self._descent = -float(formula.getyofst())
        self._number = number
        self._available = 0.0
        self.spaceBefore, self.spaceAfter = 5, 7

    def wrap(self, available_width: float, _available_height: float) -> tuple[float, float]:
        """Take the whole width of the column and the height of the formula, in points."""
        self._available = available_width
        return available_width, self._size[1]

    def draw(self) -> None:
        """Draw outlines and rules; SVG's y axis points down, a PDF's up."""
        canvas = self.canv
        canvas.setFont("Times-Roman", 9.6)
        canvas.drawRightString(self._available, self._descent - 3, f"({self._number})")
        canvas.saveState()
        canvas.setFillColor(black)
        canvas.translate((self._available - self._size[0]) / 2, self._descent)
        canvas.scale(1, -1)
        symbols = {element.get("id"): element for element in self._drawing.iter("symbol")}
        for use in self._drawing.iter("use"):
            _draw_glyph(canvas, use, symbols[str(use.get("href"))[1:]])
        for rule in self._drawing.iter("rect"):
            x, y, width, height = (float(rule.get(key, "0")) for key in ("x", "y", "width", "height"))
            canvas.rect(x, y, width, height, stroke=0, fill=1)
        canvas.restoreState()


def _draw_glyph(canvas: Any, use: Element, symbol: Element) -> None:
    left, top, width, _ = (float(value) for value in str(symbol.get("viewBox")).split())
    # The same symbol serves every size: what uses it says how wide it becomes.
    scale = float(use.get("width", width)) / width if width else 1.0
    dx, dy = float(use.get("x", "0")) - left * scale, float(use.get("y", "0")) - top * scale
    for outline in symbol.iter("path"):
        path = canvas.beginPath()
        _trace(path, segments(str(outline.get("d"))), scale, dx, dy)
        canvas.drawPath(path, stroke=0, fill=1, fillMode=1)


def _trace(path: Any, outline: Iterator[Segment], scale: float, dx: float, dy: float) -> None:
    x = y = 0.0
    for command, numbers in outline:
        points = [(numbers[i] * scale + dx, numbers[i + 1] * scale + dy) for i in range(0, len(numbers), 2)]
        if command == "Z":
            path.close()
            continue
        if command == "M":
            path.moveTo(*points[0])
        elif command == "L":
            path.lineTo(*points[0])
        else:
            # PDF has only cubic curves; a quadratic one is raised by a degree without loss.
            (cx, cy), (ex, ey) = points
            path.curveTo(
                x + 2 / 3 * (cx - x), y + 2 / 3 * (cy - y), ex + 2 / 3 * (cx - ex), ey + 2 / 3 * (cy - ey), ex, ey
            )
        x, y = points[-1]


def segments(data: str) -> Iterator[Segment]:
    """Split SVG path data with absolute M, L, Q and Z into commands with their coordinates."""
    tokens = iter(_TOKEN.findall(data))
    for command in tokens:
        yield command, tuple(float(next(tokens)) for _ in range(_ARGUMENTS[command]))
