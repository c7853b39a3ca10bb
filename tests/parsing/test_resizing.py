"""The layout's picture is Pillow's to the last bit, whatever is blank or grey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mineru_pipeline.parsing.pictures import LAYOUT_SIZE, Pixels
from mineru_pipeline.parsing.resizing import _are_bands_exact, _first_pass, _weights, layout_pixels


def page(width: int, height: int, blank: float, coloured: float, seed: int) -> Pixels:
    """Noise with a share of blank rows; ``coloured`` of its rows, in two places, hold colours."""
    dice = np.random.default_rng(seed)
    if coloured == 0:
        pixels = dice.integers(0, 256, (height, width), dtype=np.uint8)
    else:
        pixels = np.repeat(dice.integers(0, 256, (height, width, 1), dtype=np.uint8), 3, axis=2)
        count = max(1, int(height * coloured / 2))
        for top in dice.integers(0, height - count + 1, 2):
            pixels[top : top + count] = dice.integers(0, 256, (count, width, 3), dtype=np.uint8)
    pixels[dice.random(height) < blank] = 255
    return pixels


@given(
    width=st.integers(900, 1900),
    height=st.integers(900, 2600),
    blank=st.sampled_from([0.0, 0.5, 0.97]),
    coloured=st.sampled_from([0.0, 0.001, 0.1, 0.4, 2.0]),
    seed=st.integers(0, 2**32),
)
@example(width=1654, height=2339, blank=0.5, coloured=0.0, seed=1)
@example(width=1654, height=2339, blank=0.5, coloured=0.05, seed=2)
@example(width=1700, height=2200, blank=0.5, coloured=0.05, seed=3)
@example(width=2339, height=1654, blank=0.5, coloured=0.05, seed=4)
@example(width=600, height=500, blank=0.5, coloured=0.05, seed=5)
@settings(deadline=None, max_examples=25)
def test_the_layout_is_resized_as_pillow_does(
    width: int, height: int, blank: float, coloured: float, seed: int
) -> None:
    """Whichever way Pillow goes first and however much is blank or grey: the model must see the same."""
    pixels = page(width, height, blank, min(coloured, 1.0), seed)
    whole = Image.fromarray(pixels).resize(LAYOUT_SIZE, Image.Resampling.BICUBIC)
    assert np.array_equal(layout_pixels(pixels), np.asarray(whole))


def test_this_pillows_way_is_known() -> None:
    """Else every page is resized at full cost; look the new version's order of passes up."""
    assert _first_pass(1654, 2339) == "columns"
    assert _first_pass(1700, 2200) == "rows"


@pytest.mark.parametrize("height", [2200, 2339, 700])
def test_weights_are_those_that_pillow_uses(height: int) -> None:
    """Pillow shows them when it resizes impulses as floating point, which it does in single precision."""
    first, weights, _ = _weights(height, 0.0, height / LAYOUT_SIZE[1], LAYOUT_SIZE[1])
    taps = weights.shape[1]
    impulses = (np.arange(height)[:, None] % taps == np.arange(taps)).astype(np.float32)
    shown = np.asarray(Image.fromarray(impulses).resize((taps, LAYOUT_SIZE[1]), Image.Resampling.BICUBIC))
    places = (first[:, None] + np.arange(taps)) % taps
    assert np.abs(np.take_along_axis(shown, places, axis=1) * 2.0**22 - weights).max() < 1.0


def test_most_heights_can_be_resized_in_bands() -> None:
    """The usual ones among them, or pages with a little colour cost twice as much; the others are few."""
    assert _are_bands_exact(2200)
    assert _are_bands_exact(2339)
    assert sum(map(_are_bands_exact, range(1100, 3500, 48))) > 25
