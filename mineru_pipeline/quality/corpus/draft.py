"""A document in the making: its pages, what stands in their margins, and in the end PDF and truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mineru_pipeline.errors import CorpusError
from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.flow import Flow, Frame
from mineru_pipeline.quality.corpus.paint import paint
from mineru_pipeline.quality.corpus.prose import Prose
from mineru_pipeline.quality.corpus.sheet import Block, Box, Page, Place, Run, line
from mineru_pipeline.quality.corpus.style import Style, draw_style
from mineru_pipeline.quality.corpus.typeset import Setting, break_lines, set_lines
from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

_THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    """One document: the PDF, and what it says."""

    name: str
    pdf: bytes
    truth: DocumentTruth


@dataclass(slots=True)
class Draft:
    """What the maker of a document works with."""

    stratum: str
    name: str
    dice: Dice
    prose: Prose
    style: Style
    #: All languages of the document, the main one first.
    languages: tuple[str, ...]
    pages: list[Page] = field(default_factory=list)

    @classmethod
    def begin(cls, stratum: str, name: str, dice: Dice, languages: tuple[str, ...], *, columns: int = 1) -> Draft:
        """Draw a look and a subject matter by lot."""
        style = draw_style(dice.fork("style"), languages, columns=columns)
        prose = Prose(languages[0], dice.fork("prose"), plain=not style.body_family.extended)
        return cls(stratum, name, dice, prose, style, languages)

    def page(self, size: tuple[float, float] | None = None, *, rotation: int = 0) -> Page:
        """Add a page."""
        wide, tall = size or self.style.paper
        self.pages.append(Page(wide, tall, rotation))
        return self.pages[-1]

    def prose_in(self, code: str) -> Prose:
        """Return what the document says in another of its languages."""
        return Prose(code, self.dice.fork("prose", code), plain=not self.style.body_family.extended)

    def margins(self, page: Page, *, header: str = "", footer: str = "", number: str = "") -> None:
        """Write into the margins of a page."""
        setting = replace(self.style.small(), size=8.4, leading=10.2)
        style = self.style
        outside = page.width - style.right
        if header:
            y = style.top - 34
            put_text(page, Place.HEADER, TruthKind.HEADER, header, setting, style.left, y, outside - style.left)
            page.marks.append(line(style.left, y + 12.5, outside, y + 12.5, 0.4))
        y = page.height - style.bottom + 26
        if footer:
            put_text(page, Place.FOOTER, TruthKind.FOOTER, footer, setting, style.left, y, outside - style.left)
        if number:
            block = page.block(TruthKind.PAGE_NUMBER, number, place=Place.PAGE_NUMBER)
            wide = setting.measure(number)
            x = outside - wide if footer else (page.width - wide) / 2
            block.put(Run(x, y + 9, number, setting.face, setting.size))

    def footnotes(self, page: Page, notes: Sequence[str], bottom: float) -> float:
        """Set footnotes above ``bottom`` and return the upper edge of their room."""
        if not notes:
            return bottom
        setting, measure = replace(self.style.small(), hang=8.0), page.width - self.style.left - self.style.right
        broken = [break_lines(note, setting, measure) for note in notes]
        y = bottom - setting.leading * sum(map(len, broken)) - 2.0 * len(notes)
        page.marks.append(line(self.style.left, y - 4, self.style.left + 110, y - 4, 0.4))
        for note, lines in zip(notes, broken, strict=True):
            block = page.block(TruthKind.PAGE_FOOTNOTE, note, place=Place.FOOTNOTES)
            y = set_lines(block, lines, setting, self.style.left, y, measure) + 2.0
        return bottom - setting.leading * sum(map(len, broken)) - 2.0 * len(notes) - 12

    def frames(
        self, page: Page, *, columns: int = 1, gap: float = 20.0, top: float = 0.0, bottom: float = 0.0
    ) -> list[Frame]:
        """Return the columns of a page; ``top`` and ``bottom`` are taken away from their height."""
        style = self.style
        wide = (page.width - style.left - style.right - gap * (columns - 1)) / columns
        upper, lower = style.top + top, page.height - style.bottom - bottom
        return [Frame(page, style.left + place * (wide + gap), upper, wide, lower) for place in range(columns)]

    def flow(self, frames: Sequence[Frame]) -> Flow:
        """Return a pen for ``frames``."""
        return Flow(frames, self.style)

    def finish(self) -> CorpusDocument:
        """Draw the pages and write down what they say.

        Raises:
            CorpusError: something lies outside of a page or over something else.
        """
        faults = [f"page {place + 1}: {fault}" for place, page in enumerate(self.pages) for fault in page.faults()]
        if faults:
            raise CorpusError(f"{self.name}: {'; '.join(faults[:5])}")
        return CorpusDocument(self.name, paint(self.pages, self.name), self.truth())

    def truth(self) -> DocumentTruth:
        """Return what the pages say, in the order of reading."""
        ordered = [(place, block) for place, page in enumerate(self.pages) for block in page.reading_order()]
        identities: dict[Block, str] = {}
        for place, page in enumerate(self.pages):
            for count, block in enumerate(page.reading_order(), start=1):
                identities[block] = f"p{place + 1}-b{count:02d}"
        blocks = tuple(_stated(block, place, identities) for place, block in ordered)
        return DocumentTruth(self.name, self.stratum, self.languages, len(self.pages), blocks)


def put_text(
    page: Page, place: Place, kind: TruthKind, text: str, setting: Setting, x: float, y: float, measure: float
) -> float:
    """Set ``text`` outside of any flow, from the upper edge ``y`` on; return the lower edge."""
    return set_lines(page.block(kind, text, place=place), break_lines(text, setting, measure), setting, x, y, measure)


def thousandths(box: Box, page: Page) -> tuple[int, int, int, int]:
    """Return a box in thousandths of its page, rounded outwards."""
    return (
        max(0, math.floor(box.x0 / page.width * _THOUSANDTHS)),
        max(0, math.floor(box.y0 / page.height * _THOUSANDTHS)),
        min(_THOUSANDTHS, math.ceil(box.x1 / page.width * _THOUSANDTHS)),
        min(_THOUSANDTHS, math.ceil(box.y1 / page.height * _THOUSANDTHS)),
    )


def _stated(block: Block, place: int, identities: dict[Block, str]) -> TruthBlock:
    return TruthBlock(
        id=identities[block],
        kind=block.kind,
        page=place,
        content=block.content,
        level=block.level,
        bbox=thousandths(block.box, block.page) if block.box else None,
        continues=identities[block.continues] if block.continues else None,
    )
