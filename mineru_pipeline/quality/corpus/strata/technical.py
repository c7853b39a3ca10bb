"""Formulas and listings."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.draft import Draft
from mineru_pipeline.quality.corpus.flow import Flow
from mineru_pipeline.quality.corpus.fonts import TYPEWRITER, width
from mineru_pipeline.quality.corpus.latex import Formulas
from mineru_pipeline.quality.corpus.listings import Listings
from mineru_pipeline.quality.corpus.outlines import outline
from mineru_pipeline.quality.corpus.sheet import Box, Run, rectangle
from mineru_pipeline.quality.corpus.strata.parts import add_pages, caption_of, paragraph, section
from mineru_pipeline.quality.truth import TruthKind


def formulas(draft: Draft) -> None:
    """Displayed formulas between lines of text, most of them numbered."""
    add_pages(draft, 2)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    source, place, number, heading = Formulas(draft.dice.fork("formulas")), 0, 0, 0
    while flow.left > 24 * draft.style.leading:
        if place % 4 == 0:
            heading += 1
            section(draft, flow, str(heading))
        flow.text(draft.prose.paragraph(draft.dice.integer(1, 2)), first=place % 4 == 0)
        place += 1
        numbered = draft.dice.chance(0.75)
        number += numbered
        equation(draft, flow, source.draw(), number if numbered else None)
    paragraph(draft, flow)


def equation(draft: Draft, flow: Flow, latex: str, number: int | None) -> None:
    """Set a formula in the middle of the column, its number at the right edge."""
    size = draft.style.size * 1.15
    drawing = outline(latex, size)
    flow.skip(0.8 * draft.style.leading)
    flow.need(drawing.height + draft.style.leading)
    frame = flow.frame
    tag = "" if number is None else f" \\tag{{{number}}}"
    block = frame.page.block(TruthKind.EQUATION, latex + tag)
    block.put(*drawing.moved(frame.x + (frame.width - drawing.width) / 2, flow.y))
    if number is not None:
        face, label = draft.style.body_family.roman, f"({number})"
        right = frame.x + frame.width - width(label, face, draft.style.size)
        block.put(Run(right, flow.y + drawing.height - drawing.descent, label, face, draft.style.size))
    flow.y += drawing.height + 0.8 * draft.style.leading


def code(draft: Draft) -> None:
    """Listings in several languages of programs, with and without a frame."""
    add_pages(draft, 2)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    source, number = Listings(draft.dice.fork("listings")), 0
    while flow.left > 30 * draft.style.leading:
        number += 1
        section(draft, flow, str(number))
        flow.text(draft.prose.paragraph(draft.dice.integer(1, 3)))
        listing(draft, flow, source.draw(), number)


def listing(draft: Draft, flow: Flow, lines: list[str], number: int) -> None:
    """Set a listing below its caption, whole."""
    style, size = draft.style, 8.4
    leading, framed = 10.6, draft.dice.chance(0.5)
    height = len(lines) * leading
    flow.skip(style.leading)
    flow.need(height + 5 * style.leading)
    flow.whole(caption_of(draft, "listing", number), style.caption(), TruthKind.CAPTION)
    flow.y += 8
    frame = flow.frame
    if framed:
        box = Box(frame.x, flow.y - 3, frame.x + frame.width, flow.y + height + 4)
        frame.page.marks.append(rectangle(box, fill=0.95, stroke=0.5))
    block = frame.page.block(TruthKind.CODE, "\n".join(lines))
    for text in lines:
        flow.y += leading
        shift = len(text) - len(text.lstrip(" "))
        if text.strip():
            x = frame.x + 6 + shift * 0.6 * size
            block.put(Run(x, flow.y - 2.4, text.strip(), TYPEWRITER.roman, size))
    flow.y += style.leading
