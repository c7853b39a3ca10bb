"""Page layout on drawn pages: all text found, in reading order, the right way up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mineru_pipeline.devserver.ocr.responder import OcrResponder
from mineru_pipeline.devserver.responder import PromptRequest

LEFT = (
    "The left column speaks of",
    "granite and of the quarry",
    "that closed in autumn when",
    "the last cart went down",
)
RIGHT = (
    "The right column answers",
    "with a list of the houses",
    "whose walls and thresholds",
    "came from that hillside",
)


def said(blocks: list[Any]) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", block.content or "") for block in blocks)


async def test_columns_are_read_one_after_the_other(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any
) -> None:
    """A heading comes first, then the whole left column, then the right one."""
    canvas.text(500, 150, "Stone and what became of it", 44)
    canvas.lines(150, 320, LEFT * 3, 36, 52)
    canvas.lines(880, 320, RIGHT * 3, 36, 52)
    text = said(await extracted(ocr, canvas.image, helpers.png))
    assert text.index("became") < text.index("granite") < text.index("cart") < text.index("answers")
    assert text.count("hillside") == 3
    assert text.count("quarry") == 3


@pytest.mark.parametrize("turn", [90, 180, 270])
async def test_a_turned_page_is_read_upright(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any, turn: int
) -> None:
    """However the page was scanned, its blocks say how to turn them, and then read as they should."""
    canvas.lines(150, 300, helpers.paragraph * 4, 34, 50)
    page = canvas.image.rotate(-turn, expand=True)
    blocks = await extracted(ocr, page, helpers.png)
    assert {block.angle for block in blocks} == {turn}
    assert said(blocks).count("harbour master keeps a ledger") == 4


async def test_a_lone_figure_in_the_margin_is_not_lost(
    ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any
) -> None:
    """A page number, which no region claims, becomes a block of its own at the end."""
    canvas.lines(150, 300, helpers.paragraph * 3, 34, 50)
    canvas.text(820, 2260, "47", 32)
    blocks = await extracted(ocr, canvas.image, helpers.png)
    assert blocks[-1].content.strip() == "47"


async def test_words_in_a_picture_are_kept(ocr: OcrResponder, extracted: Any, canvas: Any, helpers: Any) -> None:
    """Labels inside a drawing reach the output, whatever type its block has."""
    canvas.lines(150, 150, helpers.paragraph, 34, 50)
    canvas.pen.ellipse((300, 500, 1300, 1500), fill=(205, 220, 240), outline="black", width=6)
    canvas.text(650, 980, "Reservoir", 44)
    text = said(await extracted(ocr, canvas.image, helpers.png))
    assert "Reservoir" in text
    assert "ledger" in text


async def test_an_empty_page_has_no_blocks(ocr: OcrResponder, canvas: Any, helpers: Any) -> None:
    """White paper gives an empty layout, and an empty crop says that it holds no text."""
    blank = helpers.png(canvas.image.resize((1036, 1036)))
    assert (await ocr.answer(PromptRequest("\nLayout Detection:", blank))).text == ""
    assert (await ocr.answer(PromptRequest("\nText Recognition:", blank))).text == "[Non-Text]"
