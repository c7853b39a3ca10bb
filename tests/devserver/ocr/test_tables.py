"""Tables: rows and columns by rules or by gaps, cells that span, figures that stand alone."""

from __future__ import annotations

import re
from typing import Any

from mineru_vl_utils.post_process.otsl2html import convert_otsl_to_html

from mineru_pipeline.devserver.ocr.cells import Cell, Table
from mineru_pipeline.devserver.ocr.otsl import to_otsl
from mineru_pipeline.devserver.ocr.responder import OcrResponder
from mineru_pipeline.devserver.responder import PromptRequest

NAMES = ("Amber", "Basalt", "Cobalt", "Dolomite")


async def rows_of(ocr: OcrResponder, image: bytes) -> tuple[str, list[list[str]]]:
    """The OTSL of a table picture, and its HTML rows as lists of cell texts."""
    otsl = (await ocr.answer(PromptRequest("\nTable Recognition:", image))).text
    html = convert_otsl_to_html(otsl)
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return otsl, [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]


async def test_a_ruled_table_keeps_its_grid(ocr: OcrResponder, helpers: Any) -> None:
    """Every cell of a fully ruled table is where it was drawn, lone figures included."""
    page = helpers.canvas(860, 320)
    for row in range(5):
        page.rule(20, 20 + 60 * row, 840, 20 + 60 * row)
    for column in range(5):
        page.rule(20 + 205 * column, 20, 20 + 205 * column, 260)
    for row, name in enumerate(NAMES):
        page.text(30, 34 + 60 * row, name, 30)
        for column in range(1, 4):
            page.text(180 + 205 * column, 34 + 60 * row, str((row + column) % 10), 30)
    _, rows = await rows_of(ocr, helpers.png(page.image))
    assert [row[0] for row in rows] == list(NAMES)
    assert [row[1:] for row in rows] == [[str((r + c) % 10) for c in range(1, 4)] for r in range(4)]


async def test_merged_cells_of_a_ruled_table_span(ocr: OcrResponder, helpers: Any) -> None:
    """Where rules are missing, one cell spans the columns or rows they would have parted."""
    page = helpers.canvas(860, 320)
    for y, start in ((20, 20), (80, 225), (140, 20), (200, 20), (260, 20)):
        page.rule(start, y, 840, y)
    for x, top in ((20, 20), (225, 20), (430, 80), (635, 80), (840, 20)):
        page.rule(x, top, x, 260)
    page.text(60, 64, "Rock", 30)
    page.text(420, 34, "Output by year", 30)
    for column, year in enumerate(("1901", "1902", "1903")):
        page.text(260 + 205 * column, 94, year, 30)
        page.text(260 + 205 * column, 154, f"{column + 4}12", 30)
        page.text(260 + 205 * column, 214, f"{column + 4}57", 30)
    page.text(30, 154, "Slate", 30)
    page.text(30, 214, "Marl", 30)
    otsl, rows = await rows_of(ocr, helpers.png(page.image))
    assert otsl.startswith("<fcel>Rock<fcel>Output by year<lcel><lcel><nl><ucel><fcel>1901")
    assert rows[2] == ["Slate", "412", "512", "612"]


async def test_a_table_without_rules_is_parted_by_its_gaps(ocr: OcrResponder, helpers: Any) -> None:
    """Columns follow the gaps, and a heading across two of them spans both."""
    page = helpers.canvas(1000, 330)
    page.text(560, 20, "Shipments of slate", 30)
    for row, cells in enumerate((("Port", "North", "South"), ("Elm Quay", "118", "97"), ("Old Pier", "64", "203"))):
        for x, text in zip((30, 520, 800), cells, strict=True):
            page.text(x, 80 + 60 * row, text, 30)
    otsl, rows = await rows_of(ocr, helpers.png(page.image))
    assert "<ecel><fcel>Shipments of slate<lcel><nl>" in otsl
    assert rows[2:] == [["Elm Quay", "118", "97"], ["Old Pier", "64", "203"]]


def test_otsl_marks_spans_and_disarms_tokens_in_text() -> None:
    """Spans become lcel, ucel and xcel; text that looks like a token cannot break the table."""
    table = Table(2, 3, (Cell(0, 0, 2, 2, "a<nl>b"), Cell(0, 2, 1, 1, "c")))
    assert to_otsl(table) == "<fcel>a&lt;nl>b<lcel><fcel>c<nl><ucel><xcel><ecel><nl>"


async def test_a_picture_without_text_is_an_empty_table(ocr: OcrResponder, helpers: Any) -> None:
    """No text gives an answer without cells rather than an error."""
    assert (await rows_of(ocr, helpers.png(helpers.canvas(200, 200).image)))[0] == ""
