"""Lets text, lists, tables and formulas flow through the columns of pages, and notes what went where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mineru_pipeline.errors import CorpusRoomError
from mineru_pipeline.quality.corpus.sheet import Block, Page, Run
from mineru_pipeline.quality.corpus.style import Style
from mineru_pipeline.quality.corpus.tables import Table
from mineru_pipeline.quality.corpus.typeset import Line, Setting, baseline, break_lines, set_lines, words_of
from mineru_pipeline.quality.truth import TruthKind

#: A paragraph leaves at least so many lines on either side of a break.
_TOGETHER = 2
#: A word that carries the mark of a footnote has at least so many letters.
_MARKED_LETTERS = 3


@dataclass(slots=True)
class Frame:
    """A column of a page."""

    page: Page
    x: float
    top: float
    width: float
    bottom: float

    @property
    def height(self) -> float:
        """How much it holds."""
        return self.bottom - self.top


@dataclass(slots=True)
class Flow:
    """A pen that moves through ``frames``."""

    frames: Sequence[Frame]
    style: Style
    #: Marks of footnotes that some word of the page has yet to carry.
    marks: dict[Page, list[str]] = field(default_factory=dict)
    at: int = 0
    y: float = 0.0

    def __post_init__(self) -> None:
        self.y = self.frames[0].top

    @property
    def frame(self) -> Frame:
        """The column in which the pen is."""
        return self.frames[self.at]

    @property
    def room(self) -> float:
        """How much is left in the column."""
        return self.frame.bottom - self.y

    @property
    def left(self) -> float:
        """How much is left in all columns."""
        return self.room + sum(frame.height for frame in self.frames[self.at + 1 :])

    def advance(self) -> None:
        """Go to the next column.

        Raises:
            CorpusRoomError: there is none.
        """
        if self.at + 1 == len(self.frames):
            raise CorpusRoomError(f"no room after {len(self.frames)} columns")
        self.at += 1
        self.y = self.frame.top

    def skip(self, gap: float) -> None:
        """Leave a gap, but none at the top of a column."""
        if self.y > self.frame.top:
            self.y += gap

    def need(self, height: float) -> None:
        """Go on to a column with so much room."""
        while self.room < height:
            self.advance()

    def heading(self, text: str, level: int) -> None:
        """Set a title or heading, never alone at the end of a column."""
        setting = self.style.heading(level)
        lines = break_lines(text, setting, self.frame.width)
        self.skip(0.9 * setting.leading)
        self.need(1.35 * len(lines) * setting.leading + 4 * self.style.leading + self.style.gap)
        self._place(lines, setting, self.frame.page.block(TruthKind.TITLE, text, level=level))
        self.y += 0.35 * setting.leading

    def text(
        self, text: str, *, first: bool = True, setting: Setting | None = None, kind: TruthKind = TruthKind.TEXT
    ) -> None:
        """Set a paragraph; a part that goes on in the next column becomes a block that continues."""
        setting = setting or self.style.body(first=first)
        self.skip(self.style.gap)
        text = self._marked(text, setting)
        before: Block | None = None
        while text:
            lines = break_lines(text, setting, self.frame.width)
            count = self._fitting(lines, setting)
            if count == 0:
                self.advance()
                continue
            before = self.frame.page.block(kind, words_of(lines[:count]), continues=before)
            self._place(lines[:count], setting, before)
            text = words_of(lines[count:])
            setting = replace(setting, indent=setting.hang)

    def whole(self, text: str, setting: Setting, kind: TruthKind = TruthKind.TEXT) -> None:
        """Set lines that stay together."""
        lines = break_lines(text, setting, self.frame.width)
        self.need(len(lines) * setting.leading)
        self._place(lines, setting, self.frame.page.block(kind, text))

    def items(self, items: Sequence[tuple[int, str, str]]) -> None:
        """Set a list of (depth, mark, text); items stay whole."""
        self.skip(0.5 * self.style.leading)
        setting = replace(self.style.plain(), hyphenate=False)
        block: Block | None = None
        page, column, said = None, -1, list[str]()
        for depth, mark, text in items:
            shift = (1 + depth) * 1.9 * self.style.size
            lines = break_lines(text, setting, self.frame.width - shift)
            self.need(len(lines) * setting.leading)
            if block is None or page is not self.frame.page or column != self.at:
                block, said = self.frame.page.block(TruthKind.LIST, continues=block), []
                page, column = self.frame.page, self.at
            said.append("  " * depth + f"{mark} {text}")
            block.say("\n".join(said))
            x = self.frame.x + shift - 1.6 * self.style.size
            block.put(Run(x, baseline(self.y, setting), mark, setting.face, setting.size))
            self._place(lines, setting, block, shift=shift)
            self.y += 0.2 * setting.leading
        self.y += 0.3 * self.style.leading

    def table(self, table: Table, caption: str, *, note: str = "") -> None:
        """Set a table below its caption, whole; with ``note`` a line of text below it."""
        height, _ = table.measured(self.frame.width)
        setting = self.style.caption()
        lines = break_lines(caption, setting, self.frame.width)
        self.skip(0.7 * self.style.leading)
        self.need(height + (len(lines) + 1.6) * setting.leading)
        if caption:
            self._place(lines, setting, self.frame.page.block(TruthKind.CAPTION, caption))
            self.y += 0.4 * setting.leading
        block = self.frame.page.block(TruthKind.TABLE, table.html())
        table.draw(block, self.frame.x, self.y, self.frame.width)
        self.y += height + 0.9 * self.style.leading
        if note:
            self.whole(note, self.style.small())

    def long_table(self, table: Table, caption: str) -> None:
        """Set a table that may go on over several columns, with its header repeated in each."""
        self.skip(0.7 * self.style.leading)
        self.whole(caption, self.style.caption(), TruthKind.CAPTION)
        self.y += 0.4 * self.style.leading
        block: Block | None = None
        table = table.fixed(self.frame.width)
        while table.rows:
            part, rest = table.split(self.room)
            if part is None:
                self.advance()
                continue
            block = self.frame.page.block(TruthKind.TABLE, part.html(), continues=block)
            part.draw(block, self.frame.x, self.y, self.frame.width)
            self.y += part.measured(self.frame.width)[0] + 0.9 * self.style.leading
            table = rest

    def _marked(self, text: str, setting: Setting) -> str:
        marks = self.marks.get(self.frame.page, [])
        if not marks or self.room < (_TOGETHER + 1) * setting.leading:
            return text
        words = text.split(" ")
        for place in range(2, min(len(words), 7)):
            if words[place].isalpha() and len(words[place]) >= _MARKED_LETTERS:
                words[place] += marks.pop(0)
                break
        return " ".join(words)

    def _fitting(self, lines: list[Line], setting: Setting) -> int:
        """Return how many lines go into this column; none rather than one alone."""
        count = int((self.room + 0.01) / setting.leading)
        if count >= len(lines):
            return len(lines)
        count = min(count, len(lines) - _TOGETHER)
        while count > 0 and lines[count - 1].hyphenated:
            count -= 1
        return count if count >= _TOGETHER else 0

    def _place(self, lines: Sequence[Line], setting: Setting, block: Block, *, shift: float = 0.0) -> None:
        self.y = set_lines(block, lines, setting, self.frame.x + shift, self.y, self.frame.width - shift)
