"""What scanning does to pages and to the boxes of their blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.fonts import SERIF
from mineru_pipeline.quality.corpus.scanning import Wear, draw_wear, scan_page
from mineru_pipeline.quality.corpus.sheet import Page, Picture, Run
from mineru_pipeline.quality.truth import TruthKind


def _page() -> Page:
    page = Page(300, 200)
    block = page.block(TruthKind.TEXT, "a line of words")
    block.put(Run(30, 40, "a line of words", SERIF.roman, 14), Run(30, 60, "and another", SERIF.roman, 14))
    return page


def _picture(page: Page) -> Picture:
    (mark,) = page.marks
    assert isinstance(mark, Picture)
    return mark


@pytest.mark.parametrize(
    "wear",
    [Wear(), Wear(skew=2.0), Wear(skew=-2.0), Wear(quarters=1), Wear(quarters=3, skew=1.5), Wear(quarters=2)],
    ids=lambda wear: f"{wear.skew} degrees, {wear.quarters} quarters",
)
def test_boxes_follow_the_ink(wear: Wear) -> None:
    """After skew and turns, the box of a block still holds its ink, and fits it closely."""
    scanned = scan_page(_page(), wear, Dice(1))
    (block,) = scanned.reading_order()
    assert block.box is not None
    pixels = np.asarray(Image.open(io.BytesIO(_picture(scanned).data)))
    rows, columns = np.nonzero(pixels < 120)
    scale = pixels.shape[1] / scanned.width
    left, right, top, bottom = (value / scale for value in (columns.min(), columns.max(), rows.min(), rows.max()))
    assert block.box.x0 - 1 <= left <= right <= block.box.x1 + 1
    assert block.box.y0 - 1 <= top <= bottom <= block.box.y1 + 1
    assert left - block.box.x0 < 8
    assert block.box.x1 - right < 8
    turned = wear.quarters % 2 == 1
    assert (scanned.width, scanned.height) == ((200, 300) if turned else (300, 200))


def test_the_same_wear_gives_the_same_bytes() -> None:
    """Noise comes from the dice alone."""
    wear = draw_wear(Dice(7), "noise")
    first, second, other = (_picture(scan_page(_page(), wear, Dice(seed))).data for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_kinds_of_wear_are_what_their_names_say() -> None:
    """Pale scans have little contrast, faxes two tones, skewed ones more than a degree and no more than two."""
    pale, fax, skew = (draw_wear(Dice(3), kind) for kind in ("pale", "fax", "skew"))
    assert pale.paper - pale.ink < 100
    assert fax.fax
    assert _picture(scan_page(_page(), fax, Dice(1))).fax
    assert 1 <= abs(skew.skew) <= 2
