"""A page before it is drawn: what stands where, and to which block of the truth it belongs.

Everything is measured in points from the top left of the page as people see it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from mineru_pipeline.quality.corpus.fonts import covers, width
from mineru_pipeline.quality.corpus.prose import TIE
from mineru_pipeline.quality.truth import TruthKind

#: How far letters reach above and below their baseline, in sizes; a little generous for accents.
ASCENT, DESCENT = 0.80, 0.23
#: How far ink of plain letters reaches, for telling whether lines run into each other.
_INK_ABOVE, _INK_BELOW = 0.68, 0.14


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``y0`` is its upper edge."""

    x0: float
    y0: float
    x1: float
    y1: float

    def around(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box(min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1))

    def meets(self, other: Box) -> bool:
        """Tell whether the two have some area in common."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


@dataclass(frozen=True, slots=True)
class Run:
    """Text on one baseline."""

    x: float
    y: float
    text: str
    face: str
    size: float
    grey: float = 0.0

    @property
    def box(self) -> Box:
        """Where it lies, accents and descenders included."""
        return Box(self.x, self.y - ASCENT * self.size, self.x + self._width, self.y + DESCENT * self.size)

    @property
    def ink(self) -> Box:
        """Where most of its ink lies."""
        return Box(self.x, self.y - _INK_ABOVE * self.size, self.x + self._width, self.y + _INK_BELOW * self.size)

    @property
    def _width(self) -> float:
        return width(self.text.rstrip(" "), self.face, self.size)


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon or polyline of straight lines and cubic curves: ``M x y``, ``L x y``, ``C x y x y x y``, ``Z``."""

    path: tuple[tuple[str, tuple[float, ...]], ...]
    stroke: float | None = None
    fill: float | None = None
    line: float = 0.5

    @property
    def box(self) -> Box:
        """Where it lies, control points included."""
        numbers = [number for _, each in self.path for number in each]
        return Box(min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image: a grey JPEG, or a CCITT group 4 stream if ``fax``."""

    box: Box
    data: bytes
    pixels: tuple[int, int]
    fax: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an interactive form with what somebody filled in."""

    box: Box
    name: str
    value: str
    tick: bool = False


Mark = Run | Shape | Picture | Field


class Place(IntEnum):
    """In which order the parts of a page are read."""

    TOP = 0
    BODY = 1
    BOTTOM = 2
    FOOTNOTES = 3
    HEADER = 4
    FOOTER = 5
    PAGE_NUMBER = 6


@dataclass(slots=True, eq=False)
class Block:
    """A block of the truth while it is laid out."""

    page: Page
    kind: TruthKind
    content: str = ""
    level: int | None = None
    continues: Block | None = None
    box: Box | None = None

    def put(self, *marks: Mark) -> None:
        """Draw something that belongs to this block."""
        for mark in marks:
            self.page.marks.append(mark)
            self.box = self.box.around(mark.box) if self.box else mark.box

    def say(self, text: str) -> None:
        """Set the content; ties become ordinary spaces."""
        self.content = text.replace(TIE, " ")


@dataclass(slots=True, eq=False)
class Page:
    """One page: its size in points, what is drawn on it, and its blocks."""

    width: float
    height: float
    #: ``/Rotate`` of the page; everything else here is as people see it.
    rotation: int = 0
    marks: list[Mark] = field(default_factory=list)
    blocks: list[tuple[Place, Block]] = field(default_factory=list)

    def block(
        self,
        kind: TruthKind,
        content: str = "",
        *,
        place: Place = Place.BODY,
        level: int | None = None,
        continues: Block | None = None,
    ) -> Block:
        """Begin a block, which is read after those begun before at the same place."""
        block = Block(self, kind, level=level, continues=continues)
        block.say(content)
        self.blocks.append((place, block))
        return block

    def reading_order(self) -> list[Block]:
        """Return the blocks as people read them, margins last."""
        return [block for _, block in sorted(self.blocks, key=lambda each: each[0])]

    def faults(self) -> list[str]:
        """Say what lies outside the page, runs into something else, or has no glyph."""
        runs = [mark for mark in self.marks if isinstance(mark, Run) and mark.text.strip()]
        whole = Box(0, 0, self.width, self.height)
        found = [f"outside the page: {_name(mark)}" for mark in self.marks if whole.around(mark.box) != whole]
        found += [f"no letters for {_name(run)}" for run in runs if not covers(run.text, run.face)]
        solid = [mark for mark in self.marks if isinstance(mark, Picture | Field)]
        for place, run in enumerate(runs):
            ink = run.ink
            found += [f"{_name(run)} lies over {_name(other)}" for other in runs[place + 1 :] if ink.meets(other.ink)]
            found += [f"{_name(run)} lies over {_name(other)}" for other in solid if ink.meets(other.box)]
        return found


def _name(mark: Mark) -> str:
    return repr(mark.text) if isinstance(mark, Run) else type(mark).__name__


def line(x0: float, y0: float, x1: float, y1: float, weight: float = 0.5, grey: float = 0.0) -> Shape:
    """Return a straight line."""
    return Shape((("M", (x0, y0)), ("L", (x1, y1))), stroke=grey, line=weight)


def rectangle(box: Box, *, fill: float | None = None, stroke: float | None = None, weight: float = 0.5) -> Shape:
    """Return a rectangle, filled, outlined or both."""
    corners = (("M", (box.x0, box.y0)), ("L", (box.x1, box.y0)), ("L", (box.x1, box.y1)), ("L", (box.x0, box.y1)))
    return Shape((*corners, ("Z", ())), stroke=stroke, fill=fill, line=weight)
