"""Tables: dense ones, ones without rules, spans, and tables that go on over pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mineru_pipeline.quality.corpus.draft import Draft
from mineru_pipeline.quality.corpus.flow import Flow
from mineru_pipeline.quality.corpus.strata.parts import add_pages, caption_of, paragraph, section, small_table
from mineru_pipeline.quality.corpus.tables import Cell, Ruling, Table

Row = tuple[Cell, ...]


def dense_tables(draft: Draft) -> None:
    """Pages full of small numbers."""
    _tables(draft, lambda: _numbers(draft, draft.dice.integer(7, 10), draft.dice.integer(17, 23)))


def borderless_tables(draft: Draft) -> None:
    """Tables that are held together by white space alone."""

    def make() -> Table:
        table = small_table(draft, draft.dice.integer(5, 10), ruling=Ruling.NONE)
        if draft.dice.chance(0.3):
            return _numbers(draft, 5, draft.dice.integer(6, 10), ruling=Ruling.NONE, size=0.9)
        return table

    _tables(draft, make)


def spanning_tables(draft: Draft) -> None:
    """Cells over several rows and columns, in the header and in the body."""
    _tables(draft, lambda: draft.dice.pick([_grouped, _two_row_header, _statement])(draft))


def tables_across_pages(draft: Draft) -> None:
    """One table that is too long for its page and repeats its header on the next."""
    pages = draft.dice.integer(2, 3)
    add_pages(draft, pages)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    paragraph(draft, flow, first=True)
    table = _two_row_header(draft, _rows_for(flow, draft, pages)) if draft.dice.chance(0.4) else None
    if table is None:
        table = _ledger(draft, _rows_for(flow, draft, pages))
    flow.long_table(table, caption_of(draft, "table", 1))
    paragraph(draft, flow, first=True)


def _rows_for(flow: Flow, draft: Draft, pages: int) -> int:
    """Return how many rows reach onto the last page."""
    row = 1.22 * 0.82 * draft.style.size + 0.9 * 4.0
    last = flow.frames[-1].height
    return int((flow.left - last * draft.dice.fraction(0.35, 0.7)) / row) - 4 * pages


def _tables(draft: Draft, make: Callable[[], Table]) -> None:
    """Set tables with a few lines between them until the pages are full."""
    add_pages(draft, 2)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(draft.prose.title(), 1)
    flow.text(draft.prose.paragraph(2))
    number = 1
    while True:
        table = make()
        tall = table.measured(flow.frame.width)[0] + 6 * draft.style.leading
        if not (flow.room >= tall or (flow.at == 0 and flow.frames[1].height >= tall)):
            break
        if flow.room >= tall + 6 * draft.style.leading and draft.dice.chance(0.6):
            section(draft, flow, str(number))
            flow.text(draft.prose.paragraph(2))
        note = f"{draft.prose.word('source')}: {draft.prose.value('person')}, {draft.prose.value('year')}"
        flow.table(table, caption_of(draft, "table", number), note=note if draft.dice.chance(0.3) else "")
        number += 1


def _numbers(draft: Draft, columns: int, rows: int, *, ruling: Ruling | None = None, size: float = 0.72) -> Table:
    """Return a table of figures, each column with its own order of magnitude."""
    prose, dice = draft.prose, draft.dice
    scales = [(dice.integer(1, 5), dice.integer(0, 3)) for _ in range(columns)]
    start = dice.integer(1980, 2010)
    head: Row = (
        Cell(prose.word("place"), bold=True),
        *(Cell(str(start + k), align="right", bold=True) for k in range(columns)),
    )

    def figure(digits: int, places: int) -> str:
        value = dice.integer(10 ** (digits - 1), 10**digits - 1) + dice.integer(0, 999) / 1000
        return prose.number(-value if dice.chance(0.08) else value, places)

    body = [
        (Cell(prose.value("place")), *(Cell(figure(*scale), align="right") for scale in scales)) for _ in range(rows)
    ]
    rulings = [Ruling.GRID, Ruling.BOOK, Ruling.ZEBRA, Ruling.ROWS]
    table = Table(
        (head, *body), draft.style.body_family, draft.style.size * size, ruling=ruling or dice.pick(rulings), pad=3
    )
    return _narrowed(table, draft.style.measure)


def _narrowed(table: Table, measure: float) -> Table:
    """Return the table with as many columns as fit the measure."""
    while True:
        try:
            table.measured(measure)
        except ValueError:
            table = replace(table, rows=tuple(row[:-1] for row in table.rows))
        else:
            return table


def _grouped(draft: Draft) -> Table:
    """Return a table whose first column spans the rows of a group, and whose last row spans two columns."""
    prose, dice = draft.prose, draft.dice
    head: Row = tuple(Cell(prose.word(key), bold=True) for key in ("group", "name", "unit", "amount"))
    body: list[Row] = []
    for _ in range(dice.integer(2, 4)):
        size = dice.integer(2, 4)
        for place in range(size):
            row: Row = (
                Cell(prose.thing()),
                Cell(dice.pick(prose.language.units)),
                Cell(prose.value("decimal"), align="right"),
            )
            body.append((Cell(prose.short_thing(), rows=size), *row) if place == 0 else row)
    total: Row = (
        Cell(prose.word("total"), columns=3, bold=True),
        Cell(prose.value("decimal"), align="right", bold=True),
    )
    ruling = dice.pick([Ruling.GRID, Ruling.GRID, Ruling.BOOK])
    return Table((head, *body, total), draft.style.body_family, draft.style.size * 0.88, ruling=ruling)


def _two_row_header(draft: Draft, rows: int | None = None) -> Table:
    """Return a table with a header of two rows: halves of the year above quarters."""
    prose, dice = draft.prose, draft.dice
    upper: Row = (
        Cell(prose.word("place"), rows=2, bold=True),
        Cell(prose.word("first"), columns=2, align="center", bold=True),
        Cell(prose.word("second"), columns=2, align="center", bold=True),
        Cell(prose.word("total"), rows=2, align="right", bold=True),
    )
    quarter = prose.word("quarter")
    lower: Row = tuple(Cell(f"{quarter} {place}", align="right", bold=True) for place in range(1, 5))
    body: list[Row] = []
    for _ in range(rows or dice.integer(5, 9)):
        parts = [dice.integer(120, 99_000) / 10 for _ in range(4)]
        cells = [Cell(prose.number(part, 1), align="right") for part in (*parts, sum(parts))]
        body.append((Cell(f"{prose.value('place')} {dice.integer(2, 99)}"), *cells))
    look = draft.style
    return Table(
        (upper, lower, *body),
        look.body_family,
        look.size * 0.82,
        header=2,
        ruling=dice.pick([Ruling.GRID, Ruling.BOOK]),
    )


def _statement(draft: Draft) -> Table:
    """Return a table with rows that span its whole width, as headings of groups."""
    prose, dice = draft.prose, draft.dice
    head: Row = tuple(Cell(prose.word(key), bold=True) for key in ("no", "name", "quantity", "amount"))
    body: list[Row] = []
    for letter in "ABC"[: dice.integer(2, 3)]:
        body.append((Cell(f"{letter}. {prose.short_thing()}", columns=4, bold=True),))
        for number in range(1, dice.integer(3, 5)):
            quantity = Cell(prose.value("measure"), align="right")
            body.append(
                (Cell(f"{letter}{number}"), Cell(prose.thing()), quantity, Cell(prose.value("money"), align="right"))
            )
        body.append(
            (
                Cell(prose.word("total"), columns=2, bold=True),
                Cell(""),
                Cell(prose.value("money"), align="right", bold=True),
            )
        )
    return Table(
        (head, *body), draft.style.body_family, draft.style.size * 0.88, ruling=dice.pick([Ruling.GRID, Ruling.ROWS])
    )


def _ledger(draft: Draft, rows: int) -> Table:
    """Return a long table of numbered entries."""
    prose, dice = draft.prose, draft.dice
    keys = ("no", "name", "place", "quantity", "amount")
    head: Row = tuple(
        Cell(prose.word(key), bold=True, align="right" if key in {"quantity", "amount"} else "left") for key in keys
    )
    body: list[Row] = [
        (
            Cell(str(number)),
            Cell(prose.thing()),
            Cell(prose.value("place")),
            Cell(prose.value("decimal"), align="right"),
            Cell(prose.value("money"), align="right"),
        )
        for number in range(1, rows + 1)
    ]
    ruling = dice.pick([Ruling.GRID, Ruling.ROWS, Ruling.BOOK, Ruling.ZEBRA])
    return Table((head, *body), draft.style.body_family, draft.style.size * 0.82, ruling=ruling)


def dense_table(draft: Draft, height: float) -> Table:
    """Return a table of small numbers that fills ``height``."""
    table = _numbers(draft, draft.dice.integer(7, 10), 80)
    while table.measured(draft.style.measure)[0] > height:
        table = replace(table, rows=table.rows[:-1])
    return table
