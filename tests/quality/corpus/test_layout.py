"""The parts that lay out a page: lines, hyphens, columns, tables, and the check that a page is fair."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import CorpusError, CorpusRoomError
from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.draft import CorpusDocument, Draft
from mineru_pipeline.quality.corpus.flow import Flow, Frame
from mineru_pipeline.quality.corpus.fonts import SERIF, TIMES
from mineru_pipeline.quality.corpus.hyphens import breaks
from mineru_pipeline.quality.corpus.sheet import Box, Page, Picture, Run, rectangle
from mineru_pipeline.quality.corpus.style import draw_style
from mineru_pipeline.quality.corpus.tables import Cell, Ruling, Table, placed
from mineru_pipeline.quality.corpus.typeset import Setting, break_lines, words_of
from mineru_pipeline.quality.truth import TruthKind

_NARROW = Setting(SERIF.roman, 10, 12, justify=True, hyphenate=True, ligatures=True)
_TEXT = "Die städtische Verordnung veränderte den beschädigten Heizkessel innerhalb von 14 Tagen, sagte Jürgen Köpke."


def _run(text: str, x: float = 20, y: float = 50, face: str = SERIF.roman) -> Run:
    return Run(x, y, text, face, 10)


def test_lines_fit_and_give_the_text_back() -> None:
    """Broken into lines, some of them hyphenated, a text is no wider than its measure and can be joined again."""
    lines = break_lines(_TEXT, _NARROW, 110)
    assert words_of(lines) == _TEXT
    assert any(line.hyphenated for line in lines)
    assert all(_NARROW.measure(" ".join(line.words)) <= 110 for line in lines)


def test_words_break_between_syllables_and_never_inside_of_a_sound() -> None:
    """A break leaves three letters on each side and keeps together what is pronounced as one."""
    assert breaks("Verwaltung") == [3, 6]
    assert all("wszystkich"[at - 1 : at + 1] not in {"sz", "ch"} for at in breaks("wszystkich"))
    assert breaks("1234567") == []
    assert breaks("dort") == []


@pytest.mark.parametrize(
    ("marks", "fault"),
    [
        ([_run("beyond", x=190)], "outside the page: 'beyond'"),
        ([_run("one"), _run("two", y=52)], "'one' lies over 'two'"),
        ([_run("łąka", face=TIMES.roman)], "no letters for 'łąka'"),
        ([Picture(Box(0, 0, 100, 100), b"", (1, 1)), _run("over")], "'over' lies over Picture"),
    ],
)
def test_an_unfair_page_is_told(marks: list[Run], fault: str) -> None:
    """Text outside of the page, over other text or a picture, or without glyphs is a fault."""
    page = Page(200, 100)
    page.marks += marks
    assert page.faults() == [fault]


def test_a_fair_page_has_no_faults() -> None:
    """Lines of text below each other and inside of a frame are as they should be."""
    page = Page(200, 100)
    page.marks += [rectangle(Box(10, 10, 190, 90), stroke=0.0), _run("one"), _run("two", y=62)]
    assert page.faults() == []


def test_an_unfair_document_is_refused() -> None:
    """No document with a fault leaves the generator."""
    draft = Draft.begin("lists", "lists-01", Dice(1), ("en",))
    draft.page().marks.append(_run("far away", x=5_000))
    with pytest.raises(CorpusError, match=r"lists-01: page 1: outside the page: 'far away'"):
        draft.finish()


def test_a_paragraph_over_two_columns_becomes_two_blocks() -> None:
    """The second part carries on the first, both together say the text, and no word is torn at the column's end."""
    page = Page(400, 200)
    frames = [Frame(page, x, 10, 110, 46) for x in (10, 140)]
    flow = Flow([*frames, Frame(page, 270, 10, 110, 190)], draw_style(Dice(2), ("en",)))
    flow.text(_TEXT, setting=_NARROW)
    blocks = page.reading_order()
    assert [block.continues for block in blocks] == [None, *blocks[:-1]]
    assert " ".join(block.content for block in blocks) == _TEXT


def test_a_flow_without_room_says_so() -> None:
    """Text that its columns cannot hold is never cut in silence."""
    page = Page(400, 200)
    flow = Flow([Frame(page, 10, 10, 110, 46)], draw_style(Dice(2), ("en",)))
    with pytest.raises(CorpusRoomError):
        flow.text(_TEXT, setting=_NARROW)


def _table() -> Table:
    group = [(Cell("A & B", rows=2), Cell("1"), Cell("2")), (Cell("3", columns=2),)]
    return Table(((Cell("x"), Cell("y"), Cell("z")), *group, *group, *group), SERIF, 9, ruling=Ruling.GRID)


def test_html_says_what_spans() -> None:
    """Spans become attributes, markup in cells is escaped, and what a span covers is left out."""
    rows = _table().html().split("</tr>")
    assert rows[1] == '<tr><td rowspan="2">A &amp; B</td><td>1</td><td>2</td>'
    assert rows[2] == '<tr><td colspan="2">3</td>'
    assert [(row, column) for row, column, _ in placed(_table().rows)][:8] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1), (3, 0)
    ]  # fmt: skip


def test_a_table_is_split_between_groups_and_repeats_its_header() -> None:
    """A page's end never cuts a cell over several rows, and both parts begin with the header."""
    table = _table().fixed(200)
    height, _ = table.measured(200)
    part, rest = table.split(height * 0.9)
    assert part is not None
    assert len(part.rows) == 5
    assert len(rest.rows) == 3
    assert part.rows[0] == rest.rows[0]
    assert part.measured(200)[1] == rest.measured(200)[1]


def test_a_table_wider_than_its_measure_is_refused() -> None:
    """It would stick out of the page."""
    with pytest.raises(ValueError, match="in a measure of 20"):
        _table().measured(20)


def test_columns_are_read_one_after_the_other(baseline: tuple[CorpusDocument, ...]) -> None:
    """On pages in two columns, all blocks of the left one come before those of the right one."""
    for document in baseline:
        if document.truth.stratum != "two-columns":
            continue
        for page in range(document.truth.pages):
            boxes = [b.bbox for b in document.truth.blocks if b.page == page and b.kind is TruthKind.TEXT and b.bbox]
            narrow = [box[0] > 480 for box in boxes if box[2] - box[0] < 500]
            assert narrow == sorted(narrow), document.name
