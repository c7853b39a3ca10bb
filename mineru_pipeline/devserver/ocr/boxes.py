"""Axis-aligned boxes and the few measures of them that layout and tables need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in pixels or fractions: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Horizontal extent, never negative."""
        return max(0.0, self.x1 - self.x0)

    @property
    def height(self) -> float:
        """Vertical extent, never negative."""
        return max(0.0, self.y1 - self.y0)

    @property
    def area(self) -> float:
        """Width times height."""
        return self.width * self.height

    @property
    def mid_x(self) -> float:
        """Horizontal centre."""
        return (self.x0 + self.x1) / 2

    @property
    def mid_y(self) -> float:
        """Vertical centre."""
        return (self.y0 + self.y1) / 2

    def shared(self, other: Box) -> float:
        """Area of the intersection."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(0.0, width) * max(0.0, height)

    def share_inside(self, other: Box) -> float:
        """Share of this box's area that lies inside ``other``, 0 to 1."""
        return self.shared(other) / self.area if self.area else 0.0

    def overlap_x(self, other: Box) -> float:
        """Length of the common horizontal stretch; negative is the gap between the two."""
        return min(self.x1, other.x1) - max(self.x0, other.x0)

    def overlap_y(self, other: Box) -> float:
        """Length of the common vertical stretch; negative is the gap between the two."""
        return min(self.y1, other.y1) - max(self.y0, other.y0)

    def grown(self, dx: float, dy: float) -> Box:
        """The box with ``dx`` added left and right and ``dy`` above and below."""
        return Box(self.x0 - dx, self.y0 - dy, self.x1 + dx, self.y1 + dy)

    def clipped(self, width: float, height: float) -> Box:
        """The part inside a page of this size."""
        return Box(max(0.0, self.x0), max(0.0, self.y0), min(width, self.x1), min(height, self.y1))


def hull(boxes: Iterable[Box]) -> Box:
    """The smallest box around all ``boxes``, of which there must be at least one."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return Box(min(left), min(top), max(right), max(bottom))
