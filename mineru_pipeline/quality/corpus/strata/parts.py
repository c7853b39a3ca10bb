"""What documents of several strata are made of: titles, sections, figures, lists and small tables."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.charts import draw_figure
from mineru_pipeline.quality.corpus.draft import Draft
from mineru_pipeline.quality.corpus.flow import Flow
from mineru_pipeline.quality.corpus.prose import Prose
from mineru_pipeline.quality.corpus.sheet import Box
from mineru_pipeline.quality.corpus.tables import Cell, Ruling, Table
from mineru_pipeline.quality.corpus.typeset import break_lines
from mineru_pipeline.quality.truth import TruthKind


def add_pages(draft: Draft, pages: int) -> None:
    """Add ``pages`` pages with the same kind of margins on each."""
    header = draft.prose.title() if draft.dice.chance(0.6) else ""
    footer = f"{draft.prose.word('office')} {draft.prose.value('place')}, {draft.prose.value('ref')}"
    footer = footer if draft.dice.chance(0.5) else ""
    shape = draft.dice.integer(0, 3)
    for place in range(1, pages + 1):
        draft.margins(draft.page(), header=header, footer=footer, number=page_number(draft, shape, place, pages))


def page_number(draft: Draft, shape: int, place: int, pages: int) -> str:
    """Return the number of a page in one of several manners."""
    word = draft.prose.word
    return [
        str(place),
        f"– {place} –",
        f"{word('page')} {place} {word('of')} {pages}",
        f"{place}/{pages}",
    ][shape]


def section(draft: Draft, flow: Flow, number: str, level: int = 2) -> None:
    """Set a heading."""
    text = draft.prose.heading()
    flow.heading(f"{number} {text}" if draft.style.numbered else text, level)


def paragraph(draft: Draft, flow: Flow, *, first: bool = False, prose: Prose | None = None) -> bool:
    """Set a paragraph if there is room for it."""
    text = (prose or draft.prose).paragraph(draft.dice.integer(3, 6))
    need = len(break_lines(text, draft.style.body(), flow.frame.width)) + 1
    # A column may end early, for the sake of a heading or of lines that stay together.
    lost = 4 * (len(flow.frames) - flow.at - 1)
    if (need + lost) * draft.style.leading + draft.style.gap > flow.left:
        return False
    flow.text(text, first=first)
    return True


def fill(draft: Draft, flow: Flow, *, spare: float = 0.0, number: int = 1) -> None:
    """Set sections until less than ``spare`` points are left."""
    while flow.left > spare + 14 * draft.style.leading:
        section(draft, flow, str(number))
        for place in range(draft.dice.integer(2, 4)):
            if not paragraph(draft, flow, first=place == 0):
                if place == 0:
                    flow.text(draft.prose.sentence())
                return
            if flow.left < spare:
                return
        if draft.dice.chance(0.4) and flow.left > spare + 16 * draft.style.leading:
            section(draft, flow, f"{number}.1", 3)
            if not paragraph(draft, flow, first=True):
                flow.text(draft.prose.sentence())
                return
        number += 1


def figure(draft: Draft, flow: Flow, number: int, height: float) -> None:
    """Set a figure with its caption below, in the column."""
    setting = draft.style.caption()
    caption = caption_of(draft, "figure", number)
    flow.skip(0.6 * draft.style.leading)
    flow.need(height + 4 * setting.leading)
    frame = flow.frame
    draw_figure(
        frame.page, Box(frame.x, flow.y, frame.x + frame.width, flow.y + height), draft.dice.fork("figure", number)
    )
    flow.y += height + 5
    flow.whole(caption, setting, TruthKind.CAPTION)
    flow.y += 0.8 * draft.style.leading


def caption_of(draft: Draft, kind: str, number: int) -> str:
    """Return the caption of a table or figure."""
    return f"{draft.prose.word(kind)} {number}. {draft.prose.item()}."


def items(draft: Draft, count: int, *, ordered: bool, nested: bool = False) -> list[tuple[int, str, str]]:
    """Return a list, numbered or not, perhaps with a second level."""
    found = []
    mark = draft.dice.pick(["•", "–", "•"])
    pattern = draft.dice.pick(["{}.", "({})", "{})"])
    for place in range(1, count + 1):
        found.append((0, pattern.format(place) if ordered else mark, draft.prose.item()))
        if nested and draft.dice.chance(0.5):
            found += [
                (1, f"{letter})" if ordered else "–", draft.prose.item())
                for letter in "abc"[: draft.dice.integer(2, 3)]
            ]
    return found


def small_table(draft: Draft, rows: int, *, ruling: Ruling | None = None, narrow: bool = False) -> Table:
    """Return a table of a name and a few numbers a row."""
    prose, dice = draft.prose, draft.dice
    keys = (
        ["quantity", "amount"]
        if narrow
        else dice.pick([["quantity", "price", "amount"], ["year", "quantity", "change"]])
    )
    values = {"quantity": "decimal", "price": "decimal", "amount": "money", "year": "year", "change": "percent"}
    name = prose.short_thing if narrow else prose.thing
    head = (Cell(prose.word("name"), bold=True), *(Cell(prose.word(key), align="right", bold=True) for key in keys))
    body = [(Cell(name()), *(Cell(prose.value(values[key]), align="right") for key in keys)) for _ in range(rows)]
    family = draft.style.body_family
    size = draft.style.size * (0.84 if narrow else 0.9)
    return Table((head, *body), family, size, ruling=ruling or dice.pick([Ruling.GRID, Ruling.BOOK, Ruling.ROWS]))
