"""Figures without a word in them, so that the truth of a page with a figure stays exact."""

from __future__ import annotations

import math

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.sheet import Box, Page, Shape, line, rectangle


def draw_figure(page: Page, box: Box, dice: Dice) -> None:
    """Draw bars, curves, a map of fields or a mechanism into ``box``."""
    page.marks.append(rectangle(box, fill=0.97, stroke=0.3, weight=0.6))
    inner = Box(box.x0 + 12, box.y0 + 12, box.x1 - 12, box.y1 - 12)
    dice.pick([_bars, _curves, _fields, _rings])(page, inner, dice)


def _axes(page: Page, box: Box) -> None:
    page.marks += [line(box.x0, box.y0, box.x0, box.y1, 0.9), line(box.x0, box.y1, box.x1, box.y1, 0.9)]
    for step in range(1, 5):
        y = box.y1 - step * (box.y1 - box.y0) / 5
        page.marks.append(line(box.x0, y, box.x1, y, 0.3, 0.7))


def _bars(page: Page, box: Box, dice: Dice) -> None:
    _axes(page, box)
    count = dice.integer(5, 12)
    wide = (box.x1 - box.x0) / count
    for place in range(count):
        top = box.y1 - dice.fraction(0.15, 0.97) * (box.y1 - box.y0)
        x = box.x0 + place * wide
        page.marks.append(rectangle(Box(x + 0.15 * wide, top, x + 0.85 * wide, box.y1), fill=0.35, stroke=0.1))


def _curves(page: Page, box: Box, dice: Dice) -> None:
    _axes(page, box)
    for grey in (0.0, 0.45, 0.65)[: dice.integer(1, 3)]:
        waves, phase, rise = dice.fraction(1.5, 5), dice.fraction(0, 6), dice.fraction(0.1, 0.4)
        path = []
        for step in range(61):
            t = step / 60
            level = 0.5 + rise * math.sin(waves * t * 2 + phase) * (1 - 0.4 * t)
            path.append(("L" if step else "M", (box.x0 + t * (box.x1 - box.x0), box.y1 - level * (box.y1 - box.y0))))
        page.marks.append(Shape(tuple(path), stroke=grey, line=1.3))


def _fields(page: Page, box: Box, dice: Dice) -> None:
    columns, rows = dice.integer(4, 9), dice.integer(3, 6)
    wide, tall = (box.x1 - box.x0) / columns, (box.y1 - box.y0) / rows
    for place in range(columns * rows):
        x, y = box.x0 + place % columns * wide, box.y0 + place // columns * tall
        page.marks.append(rectangle(Box(x, y, x + wide, y + tall), fill=dice.fraction(0.3, 0.95), stroke=0.2))


def _rings(page: Page, box: Box, dice: Dice) -> None:
    for _ in range(dice.integer(3, 6)):
        radius = dice.fraction(0.1, 0.28) * min(box.x1 - box.x0, box.y1 - box.y0)
        x = dice.fraction(box.x0 + radius, box.x1 - radius)
        y = dice.fraction(box.y0 + radius, box.y1 - radius)
        spokes = dice.integer(3, 9)
        for share in (1.0, 0.55):
            page.marks.append(_circle(x, y, radius * share))
        for spoke in range(spokes):
            turn = 2 * math.pi * spoke / spokes
            page.marks.append(line(x, y, x + radius * math.cos(turn), y + radius * math.sin(turn), 0.6, 0.2))


def _circle(x: float, y: float, radius: float) -> Shape:
    k = 0.5523 * radius  # the usual approximation of a quarter circle by a cubic curve
    return Shape(
        (
            ("M", (x + radius, y)),
            ("C", (x + radius, y + k, x + k, y + radius, x, y + radius)),
            ("C", (x - k, y + radius, x - radius, y + k, x - radius, y)),
            ("C", (x - radius, y - k, x - k, y - radius, x, y - radius)),
            ("C", (x + k, y - radius, x + radius, y - k, x + radius, y)),
            ("Z", ()),
        ),
        stroke=0.1,
        line=0.8,
    )
