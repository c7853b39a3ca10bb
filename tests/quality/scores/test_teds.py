from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.quality.scores.grid import MAX_SLOTS, Cell, Table, place, read_table
from mineru_pipeline.quality.scores.teds import constrained_distance, exact_distance, quick_distance, teds


def html(*rows: list[str]) -> str:
    return f"<table>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"


_TABLES = st.lists(
    st.lists(st.sampled_from(["", "a", "ab", "7", "17"]), min_size=1, max_size=4), min_size=1, max_size=5
)


@given(_TABLES)
def test_a_table_is_like_itself(rows: list[list[str]]) -> None:
    """TEDS of a table and itself is 1, with and without text."""
    table = read_table(html(*rows))
    assert teds(table, table) == 1.0
    assert teds(table, table, structure_only=True) == 1.0


@settings(deadline=None)
@given(_TABLES, _TABLES)
def test_teds_is_a_symmetric_similarity(one: list[list[str]], other: list[list[str]]) -> None:
    """TEDS is 0-1, symmetric, and never above the same without text."""
    first, second = read_table(html(*one)), read_table(html(*other))
    value = teds(first, second)
    assert 0.0 <= value <= 1.0
    assert value == pytest.approx(teds(second, first))
    assert value <= teds(first, second, structure_only=True) + 1e-9


@settings(deadline=None)
@given(_TABLES, _TABLES)
def test_the_distance_of_large_tables_is_never_too_small(one: list[list[str]], other: list[list[str]]) -> None:
    """What stands in for APTED beyond the bounds gives the exact distance or more."""
    first, second = read_table(html(*one)).rows, read_table(html(*other)).rows
    constrained = constrained_distance(first, second)
    assert constrained >= exact_distance(first, second) - 1e-9
    assert quick_distance(first, second) >= constrained - 1e-9


def test_what_an_edit_costs() -> None:
    """One of three rows with two cells each is three nodes of ten; a cell half misread is half a node."""
    whole = read_table(html(["a", "b"], ["c", "d"], ["e", "f"]))
    assert teds(whole, read_table(html(["a", "b"], ["e", "f"]))) == pytest.approx(0.7)
    assert teds(read_table(html(["ab"])), read_table(html(["ax"]))) == pytest.approx(1 - 0.5 / 3)
    assert teds(read_table(html(["ab"])), read_table(html(["ax"])), structure_only=True) == 1.0


def test_spans_are_structure() -> None:
    """A cell over two columns is not two cells, and not a cell over one."""
    wide = read_table("<table><tr><td colspan='2'>a</td></tr></table>")
    assert teds(wide, read_table(html(["a"])), structure_only=True) == pytest.approx(1 - 1 / 3)


def test_head_and_body_make_no_difference() -> None:
    """``thead``, ``tbody`` and ``th`` are ways to write the same table."""
    one = read_table("<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>")
    assert teds(one, read_table(html(["a"], ["b"]))) == 1.0


def test_a_large_table_is_scored_by_the_other_distance() -> None:
    """A table of a thousand cells that lacks a row scores what the missing nodes cost."""
    rows = [[f"{y}-{x}" for x in range(10)] for y in range(100)]
    value = teds(read_table(html(*rows)), read_table(html(*rows[:40], *rows[41:])))
    assert value == pytest.approx(1 - 11 / 1101)


@pytest.mark.parametrize(("rows", "kept"), [(20, 19), (60, 59), (300, 290)])
def test_every_size_of_table_is_scored_alike(rows: int, kept: int) -> None:
    """Whichever distance is taken, lost rows cost their nodes and one misread cell its share."""
    cells = [[f"{y}-{x}" for x in range(5)] for y in range(rows)]
    spoilt = [["x" * 9, *cells[0][1:]], *cells[1:kept]]
    cost = 6 * (rows - kept) + 1
    assert teds(read_table(html(*cells)), read_table(html(*spoilt))) == pytest.approx(1 - cost / (1 + 6 * rows))


def test_an_absurd_table_is_scored_at_all() -> None:
    """Two tables at the bound of what is read, with nothing in common, score low and in time."""
    one = Table(tuple(tuple(Cell(f"a{y}{x}") for x in range(100)) for y in range(100)))
    other = Table(tuple(tuple(Cell(f"zz{x}{y}q") for x in range(50)) for y in range(180)))
    assert teds(one, other) < 0.5


def test_markup_that_is_hostile() -> None:
    """Scripts are text, spans are clamped, cells beyond the bound are cut off, what is not closed ends somewhere."""
    table = read_table("<table><tr><td onclick='x()' colspan=99999999 rowspan='-3'>a<script>b</script>")
    assert table.rows == ((Cell("a<script>b</script>", 1000, 1),),)
    assert sum(len(row) for row in read_table(html(["x"] * (2 * MAX_SLOTS))).rows) == MAX_SLOTS
    assert read_table("<table" * 100_000).rows == ()
    assert read_table("<td>" * 300_000).cells == MAX_SLOTS
    assert read_table("").rows == ()


def test_a_table_within_a_cell_is_text_of_the_cell() -> None:
    """Nesting makes no cells of its own."""
    table = read_table("<table><tr><td>a<table><tr><td>b</td></tr></table></td><td>c</td></tr></table>")
    assert [cell.text for cell in table.rows[0]] == ["a b", "c"]


def test_the_grid_places_cells_as_browsers_do() -> None:
    """A cell over two rows pushes the next row's cells aside."""
    table = read_table("<table><tr><td rowspan=2>a</td><td>b</td></tr><tr><td>c</td></tr></table>")
    assert place(table) == {(0, 0): (0, 0), (1, 0): (0, 0), (0, 1): (0, 1), (1, 1): (1, 0)}
