"""Edge cases for calibration: one document each, known by name."""

from __future__ import annotations

from dataclasses import replace

from mineru_pipeline.quality.corpus.charts import draw_figure
from mineru_pipeline.quality.corpus.draft import Draft, put_text
from mineru_pipeline.quality.corpus.scanning import clipping, draw_wear, scan_page
from mineru_pipeline.quality.corpus.sheet import Box, Page, Picture, Place
from mineru_pipeline.quality.corpus.strata.articles import two_columns
from mineru_pipeline.quality.corpus.strata.parts import add_pages, caption_of, fill, paragraph, small_table
from mineru_pipeline.quality.corpus.strata.tabulated import dense_table
from mineru_pipeline.quality.corpus.style import Style
from mineru_pipeline.quality.truth import TruthKind

_TINY = (283.5, 212.6)


def blank_page(draft: Draft) -> None:
    """A page of text, a page without any mark, a page of text."""
    for blank in (False, True, False):
        page = draft.page()
        if not blank:
            flow = draft.flow(draft.frames(page))
            flow.heading(draft.prose.heading(), 1 if len(draft.pages) == 1 else 2)
            fill(draft, flow, spare=flow.frames[0].height * 0.15)


def mostly_figure(draft: Draft) -> None:
    """Pages that hold a large figure, its caption, and nothing else but a line of text."""
    for number in (1, 2):
        page = draft.page()
        style = draft.style
        bottom = page.height - style.bottom - draft.dice.fraction(70, 120)
        draw_figure(
            page, Box(style.left, style.top, style.left + style.measure, bottom), draft.dice.fork("figure", number)
        )
        caption = caption_of(draft, "figure", number)
        y = put_text(
            page, Place.BODY, TruthKind.CAPTION, caption, style.caption(), style.left, bottom + 8, style.measure
        )
        put_text(
            page, Place.BODY, TruthKind.TEXT, draft.prose.sentence(), style.plain(), style.left, y + 10, style.measure
        )


def tiny_page(draft: Draft) -> None:
    """Cards of ten by seven and a half centimetres."""
    draft.style = replace(draft.style, size=8.5, leading=10.5, left=20, right=20, top=18, bottom=18, indented=False)
    for _ in range(2):
        flow = draft.flow(draft.frames(draft.page(_TINY)))
        flow.heading(draft.prose.heading(), 1 if len(draft.pages) == 1 else 2)
        while paragraph(draft, flow, first=True):
            pass


def table_only(draft: Draft) -> None:
    """A table that fills the page, without a caption or any other word."""
    for _ in range(2):
        page = draft.page()
        frame = draft.frames(page)[0]
        table = dense_table(draft, frame.height)
        table.draw(page.block(TruthKind.TABLE, table.html()), frame.x, frame.top, frame.width)


def columns_with_floats(draft: Draft) -> None:
    """The article in two columns, once more, so that calibration finds it by name."""
    two_columns(draft)


def scan_and_text(draft: Draft) -> None:
    """A page of text with a scanned clipping in its middle, then a page that is a scan as a whole."""
    add_pages(draft, 2)
    style = draft.style
    flow = draft.flow(draft.frames(draft.pages[0]))
    flow.heading(draft.prose.title(), 1)
    paragraph(draft, flow, first=True)
    _clip(draft, flow.frame.page, flow.y + 10)
    rest = draft.frames(draft.pages[0], top=flow.y + 10 + _CLIP - style.top + 10)
    flow = draft.flow([*rest, *draft.frames(draft.pages[1])])
    flow.text(draft.prose.paragraph(3))
    flow.table(small_table(draft, 5), caption_of(draft, "table", 1))
    fill(draft, flow, spare=flow.frames[-1].height * 0.4)
    draft.pages[1] = scan_page(draft.pages[1], draw_wear(draft.dice, "clean"), draft.dice.fork("wear"))


_CLIP = 150.0


def _clip(draft: Draft, page: Page, y: float) -> None:
    """Put a scanned piece of paper, which holds text alone, on the page."""
    style: Style = draft.style
    piece = Page(style.measure, _CLIP)
    text = draft.prose.paragraph(4)
    put_text(piece, Place.BODY, TruthKind.TEXT, text, style.body(), 14, 14, piece.width - 28)
    data, pixels = clipping(piece, draw_wear(draft.dice, "clean"), draft.dice.fork("clip"))
    block = page.block(TruthKind.TEXT, text)
    block.put(Picture(Box(style.left, y, style.left + piece.width, y + piece.height), data, pixels))
