"""Running text: one column, two columns with floats, lists, several languages, headers and footnotes."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.charts import draw_figure
from mineru_pipeline.quality.corpus.draft import Draft, put_text
from mineru_pipeline.quality.corpus.flow import Frame
from mineru_pipeline.quality.corpus.sheet import Box, Page, Place
from mineru_pipeline.quality.corpus.strata.parts import (
    add_pages,
    caption_of,
    figure,
    fill,
    items,
    page_number,
    paragraph,
    section,
    small_table,
)
from mineru_pipeline.quality.corpus.typeset import break_lines, set_lines
from mineru_pipeline.quality.truth import TruthKind

_SUPERSCRIPTS = "¹²³⁴"


def one_column(draft: Draft) -> None:
    """A report over two or three pages."""
    pages = draft.dice.integer(2, 3)
    add_pages(draft, pages)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    flow.text(draft.prose.paragraph(3))
    if draft.dice.chance(0.5):
        figure(draft, flow, 1, draft.dice.fraction(90, 150))
    fill(draft, flow, spare=draft.dice.fraction(0.0, 0.5) * flow.frames[-1].height)


def two_columns(draft: Draft) -> None:
    """An article in two columns: title over both, a wide float on the second page, narrow ones in the columns."""
    add_pages(draft, 2)
    first, second = draft.pages
    used = _masthead(draft, first)
    float_height = _wide_float(draft, second, at_top=draft.dice.chance(0.5))
    frames = draft.frames(first, columns=2, top=used)
    top, bottom = float_height
    frames += draft.frames(second, columns=2, top=top, bottom=bottom)
    flow = draft.flow(frames)
    section(draft, flow, "1")
    paragraph(draft, flow, first=True)
    flow.table(small_table(draft, draft.dice.integer(4, 7), narrow=True), caption_of(draft, "table", 1))
    paragraph(draft, flow)
    figure(draft, flow, 1, draft.dice.fraction(80, 120))
    fill(draft, flow, spare=draft.dice.fraction(0.0, 0.4) * frames[-1].height, number=2)


def _masthead(draft: Draft, page: Page) -> float:
    """Set title, author and summary over the whole width; return their height."""
    style, prose = draft.style, draft.prose
    x, y, measure = style.left, style.top, style.measure
    title = prose.title()
    block = page.block(TruthKind.TITLE, title, place=Place.TOP, level=1)
    setting = style.heading(1)
    y = set_lines(block, break_lines(title, setting, measure), setting, x, y, measure) + 6
    author = f"{prose.value('person')}, {prose.value('place')}"
    y = put_text(page, Place.TOP, TruthKind.TEXT, author, style.plain(), x, y, measure) + 8
    summary = f"{prose.word('summary')}: {prose.paragraph(4)}"
    return put_text(page, Place.TOP, TruthKind.TEXT, summary, style.body(), x, y, measure) + 6 - style.top


def _wide_float(draft: Draft, page: Page, *, at_top: bool) -> tuple[float, float]:
    """Set a figure over both columns; return how much it takes from the top and from the bottom of the page."""
    style, setting = draft.style, draft.style.caption()
    height = draft.dice.fraction(110, 170)
    caption = caption_of(draft, "figure", 2)
    lines = break_lines(caption, setting, style.measure)
    total = height + 6 + len(lines) * setting.leading
    y = style.top if at_top else page.height - style.bottom - total
    draw_figure(page, Box(style.left, y, style.left + style.measure, y + height), draft.dice.fork("float"))
    place = Place.TOP if at_top else Place.BOTTOM
    put_text(page, place, TruthKind.CAPTION, caption, setting, style.left, y + height + 6, style.measure)
    return (total + 14, 0.0) if at_top else (0.0, total + 14)


def lists(draft: Draft) -> None:
    """Lists of all kinds, with a few lines of text between them."""
    add_pages(draft, 2)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    number = 0
    while flow.left > 32 * draft.style.leading:
        number += 1
        section(draft, flow, str(number))
        flow.text(draft.prose.paragraph(2))
        flow.items(
            items(
                draft, draft.dice.integer(4, 7), ordered=number % 2 == draft.dice.integer(0, 1), nested=number % 3 == 0
            )
        )


def mixed_languages(draft: Draft) -> None:
    """The same kind of text in three or four languages: beside each other, or one after the other."""
    add_pages(draft, 2)
    beside = draft.dice.chance(0.5)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page, columns=2 if beside else 1)])
    proses = [draft.prose, *map(draft.prose_in, draft.languages[1:])]
    flow.heading(draft.prose.title(), 1)
    number = 0
    while flow.left > 20 * draft.style.leading:
        number += 1
        prose = proses[(number - 1) % len(proses)]
        flow.heading(f"{number} {prose.heading()}" if draft.style.numbered else prose.heading(), 2)
        flow.text(prose.paragraph(2))
        if not paragraph(draft, flow, prose=prose):
            break
        if not beside and draft.dice.chance(0.3):
            quoted = draft.dice.pick(proses)
            flow.text(f"{prose.sentence()[:-1]}: „{quoted.sentence()}“")


def headers_footnotes(draft: Draft) -> None:
    """A book: running heads that differ from page to page, footnotes, numbers at changing places."""
    pages = 3
    start = draft.dice.integer(3, 240)
    frames, marks = list[Frame](), dict[Page, list[str]]()
    for place in range(pages):
        page = draft.page()
        head = f"{draft.prose.word('chapter')} {draft.dice.integer(2, 9)}: {draft.prose.short_thing()}"
        draft.margins(
            page,
            header=head if place % 2 else draft.prose.value("person"),
            footer=f"{draft.prose.word('draft')}, {draft.prose.value('date')}" if draft.dice.chance(0.6) else "",
            number=page_number(draft, draft.dice.integer(0, 1), start + place, pages),
        )
        signs = _SUPERSCRIPTS[: draft.dice.integer(1, 3)]
        bottom = page.height - draft.style.bottom
        edge = draft.footnotes(page, [f"{sign} {draft.prose.sentence()}" for sign in signs], bottom)
        marks[page] = list(signs)
        frames += draft.frames(page, bottom=bottom - edge)
    flow = draft.flow(frames)
    flow.marks = marks
    flow.heading(draft.prose.title(), 1)
    fill(draft, flow)
