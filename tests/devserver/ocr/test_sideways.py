"""Blocks that lie on their side on an upright page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PIL import Image

from mineru_pipeline.devserver.ocr.responder import OcrResponder

QUAYS = ("Amber Quay", "Basalt Pier", "Cobalt Wharf", "Dolomite Lock", "Emerald Basin", "Feldspar Slip")
HEADING = "Traffic of the inner harbour by quarter"


def ruled(helpers: Any) -> Any:
    """An upright table of six quays with four figures each."""
    part = helpers.canvas(1400, 560)
    for row in range(8):
        part.rule(20, 20 + 70 * row, 1380, 20 + 70 * row)
    for x in (20, 380, 630, 880, 1130, 1380):
        part.rule(x, 20, x, 510)
    _fill(part)
    return part.image


def prose(helpers: Any) -> Any:
    """A paragraph of three lines."""
    part = helpers.canvas(1100, 240)
    part.lines(30, 40, helpers.paragraph, 42, 62)
    return part.image


def _fill(part: Any) -> None:
    for column, name in enumerate(("Station", "Spring", "Summer", "Autumn", "Winter")):
        part.text(40 if not column else 160 + 250 * column, 36, name, 36)
    for row, name in enumerate(QUAYS):
        part.text(40, 106 + 70 * row, name, 36)
        for column in range(1, 5):
            part.text(160 + 250 * column, 106 + 70 * row, str(231 + 97 * row + 113 * column), 36)


def mixed(canvas: Any, helpers: Any, part: Image.Image, turn: int) -> Image.Image:
    """An upright page with a paragraph, and ``part`` on it so that it must be turned by ``turn`` to be read."""
    canvas.text(400, 130, HEADING, 44)
    canvas.lines(150, 230, helpers.paragraph * 2, 34, 45)
    canvas.lines(150, 2050, helpers.paragraph, 34, 50)
    canvas.image.paste(part.rotate(-turn, expand=True), (500, 560))
    canvas.text(800, 2240, "31", 32)
    page: Image.Image = canvas.image
    return page


@pytest.mark.parametrize("turn", [90, 270])
async def test_a_sideways_table_is_read_as_one_table(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any, turn: int
) -> None:
    """Whichever way it lies, every row of the table has its name and figures in order."""
    blocks = await extracted(ocr, mixed(canvas, helpers, ruled(helpers), turn), helpers.png)
    tables = [block for block in blocks if block.type == "table"]
    assert [table.angle for table in tables] == [turn]
    rows = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", tables[0].content, re.DOTALL)
    ]
    expected = [
        [name, *(str(231 + 97 * row + 113 * column) for column in range(1, 5))] for row, name in enumerate(QUAYS)
    ]
    assert rows[1:] == expected


@pytest.mark.parametrize("turn", [90, 270])
async def test_a_sideways_paragraph_is_read_in_order(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any, turn: int
) -> None:
    """Lines from top to bottom that belong together follow each other as they were written."""
    blocks = await extracted(ocr, mixed(canvas, helpers, prose(helpers), turn), helpers.png)
    text = " ".join(block.content for block in blocks if block.angle == turn)
    assert text.index("keeps a ledger") < text.index("before noon") < text.index("cargo of slate")


@pytest.mark.parametrize("draw", [ruled, prose])
async def test_upright_parts_of_the_page_stay_upright(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any, draw: Any
) -> None:
    """What stands around a sideways block is not turned with it."""
    blocks = await extracted(ocr, mixed(canvas, helpers, draw(helpers), 270), helpers.png)
    upright = " ".join(block.content for block in blocks if not block.angle)
    assert "inner harbour by quarter" in upright
    assert "keeps a ledger" in upright
    assert "31" in upright


@pytest.mark.parametrize("size", [(1654, 2339), (2339, 1654), (1100, 2600)])
async def test_an_upright_table_is_not_turned(
    ocr: OcrResponder, extracted: Any, helpers: Any, size: tuple[int, int]
) -> None:
    """Single figures and turned column heads do not lay a table on its side, whatever the page's proportions."""
    page = helpers.canvas(*size)
    page.text(60, 80, HEADING, 44)
    for row in range(8):
        page.rule(40, 340 + 60 * row, 840, 340 + 60 * row)
    for column in range(9):
        page.rule(40 + 100 * column, 150, 40 + 100 * column, 760)
    for column in range(8):
        head = helpers.canvas(180, 40)
        head.text(4, 2, ("Slate", "Gravel", "Timber", "Cement", "Herring", "Barley", "Copper", "Linen")[column], 32)
        page.image.paste(head.image.rotate(90, expand=True), (70 + 100 * column, 152))
        for row in range(7):
            page.text(78 + 100 * column, 352 + 60 * row, str((3 * row + column) % 10), 34)
    blocks = await extracted(ocr, page.image, helpers.png)
    assert {block.angle for block in blocks} == {0}


async def test_turned_axis_labels_do_not_turn_the_page_or_its_picture(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any
) -> None:
    """A line from top to bottom beside a plot gets a turn at most for itself; the text around it none."""
    canvas.lines(150, 150, helpers.paragraph * 2, 34, 50)
    canvas.rule(400, 700, 400, 1500, 1400, 1500)
    canvas.rule(400, 1480, 700, 1100, 1000, 1250, 1390, 760)
    label = helpers.canvas(420, 50)
    label.text(4, 4, "Cargo in thousand tons", 36)
    canvas.image.paste(label.image.rotate(90, expand=True), (250, 900))
    for tick in range(6):
        canvas.text(400 + 180 * tick, 1520, str(1890 + tick), 30)
    blocks = await extracted(ocr, canvas.image, helpers.png)
    turned = " ".join(block.content or "" for block in blocks if block.angle)
    assert "ledger" not in turned
    assert "1892" not in turned
