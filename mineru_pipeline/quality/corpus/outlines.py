"""Formulas as outlines: LaTeX in, curves out, so that no text layer gives the answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from mineru_pipeline.quality.corpus.sheet import Box, Shape, rectangle

_TOKEN = re.compile(r"[MLQZ]|-?\d+(?:\.\d+)?(?:e-?\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "Q": 4, "Z": 0}


@dataclass(frozen=True, slots=True)
class Outline:
    """A formula with its upper left corner at 0, 0."""

    width: float
    height: float
    #: The height of its baseline above its lower edge.
    descent: float
    shapes: tuple[Shape, ...]

    def moved(self, x: float, y: float) -> list[Shape]:
        """Return its shapes with the upper left corner at ``x, y``."""
        return [
            Shape(tuple((command, _shift(numbers, x, y)) for command, numbers in shape.path), fill=shape.fill)
            for shape in self.shapes
        ]


def outline(latex: str, size: float) -> Outline:
    """Set a formula in ``size`` points, display style."""
    # ziamath takes a while to load its font.
    from ziamath.zmath import Latex

    formula = Latex(latex, size=size)
    wide, tall = (float(value) for value in formula.getsize())
    descent = -float(formula.getyofst())
    drawing = formula.svgxml()
    symbols = {element.get("id"): element for element in drawing.iter("symbol")}
    # The drawing has its origin on the baseline.
    top = tall - descent
    shapes = [shape for use in drawing.iter("use") for shape in _glyph(use, symbols[str(use.get("href"))[1:]], top)]
    for rule in drawing.iter("rect"):
        x, y, w, h = (float(rule.get(key, "0")) for key in ("x", "y", "width", "height"))
        shapes.append(rectangle(Box(x, y + top, x + w, y + h + top), fill=0.0))
    return Outline(wide, tall, descent, tuple(shapes))


def _glyph(use: Element, symbol: Element, top: float) -> Iterator[Shape]:
    left, above, wide, _ = (float(value) for value in str(symbol.get("viewBox")).split())
    # The same symbol serves every size: what uses it says how wide it becomes.
    scale = float(use.get("width", wide)) / wide if wide else 1.0
    dx, dy = float(use.get("x", "0")) - left * scale, float(use.get("y", "0")) - above * scale + top
    for path in symbol.iter("path"):
        commands = tuple(_commands(str(path.get("d")), scale, dx, dy))
        if commands:
            yield Shape(commands, fill=0.0)


def _commands(data: str, scale: float, dx: float, dy: float) -> Iterator[tuple[str, tuple[float, ...]]]:
    x = y = 0.0
    tokens = iter(_TOKEN.findall(data))
    for command in tokens:
        raw = [float(next(tokens)) for _ in range(_ARGUMENTS[command])]
        numbers = _shift([value * scale for value in raw], dx, dy)
        if command == "Q":
            # PDF has only cubic curves; a quadratic one is raised by a degree without loss.
            cx, cy, ex, ey = numbers
            ends = (x + 2 / 3 * (cx - x), y + 2 / 3 * (cy - y), ex + 2 / 3 * (cx - ex), ey + 2 / 3 * (cy - ey))
            yield "C", (*ends, ex, ey)
        else:
            yield command, numbers
        if numbers:
            x, y = numbers[-2:]


def _shift(numbers: list[float] | tuple[float, ...], dx: float, dy: float) -> tuple[float, ...]:
    return tuple(value + (dy if place % 2 else dx) for place, value in enumerate(numbers))
