"""Makes the layout's picture of a page: the values that Pillow gives, without resizing what is blank or grey in full.

Pillow (``libImaging/Resample.c``) resizes each channel by itself, in two passes, one along the rows and one along the
columns, and rounds to whole values after each. So much is exact whatever is left out:

* A page of greys is resized as one channel, which gets the values that all three would get.
* Along the rows each row is on its own. Nearly half of the rows of a printed page are blank, and each run of equal
  ones is resized once; most rows of a page with colours hold none, and are resized as one channel.
* Along the columns a quarter of the page can be resized on its own: it begins at a multiple of 1/4, which is
  exact in the single precision in which Pillow takes places. What has no colour is resized as one channel. Nearly
  always the weights are the same to the last bit; for the heights for which they are not, all is done at once.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from mineru_pipeline.parsing.pictures import COLOUR_CHANNELS, LAYOUT_SIZE, Pixels, coloured_rows

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: The first version of Pillow that chooses which way to resize first, and the one that runs.
_FIRST_WITH_A_CHOICE: Final = 13
_PILLOW: Final = int(PIL.__version__.partition(".")[0])
#: With a larger share of rows that differ from the one before, putting them together costs more than it saves.
_MOST_DISTINCT: Final = 0.85
#: With a larger share of rows that hold a colour, telling them apart does; one row in so many is looked at first.
_MOST_COLOURED: Final = 0.4
_SAMPLE: Final = 8
_BANDS: Final = 4
#: How far Pillow's bicubic filter reaches, in pixels of the larger scale, and its parameter.
_REACH: Final = 2.0
_A: Final = -0.5
#: Binary digits of a weight in Pillow, which takes the nearest number that has so many.
_WEIGHT_BITS: Final = 22
#: So close to the middle between two such numbers another compiler may choose the other one.
_TIE: Final = 1e-6


def layout_pixels(pixels: Pixels) -> Pixels:
    """Return exactly what ``PIL.Image.resize`` makes of the page at ``LAYOUT_SIZE``, bicubic."""
    width, height = LAYOUT_SIZE
    rows = len(pixels)
    if (first := _first_pass(pixels.shape[1], rows)) is None:
        return _resized(pixels, width, height)
    coloured = after = None
    if pixels.ndim == COLOUR_CHANNELS and coloured_rows(pixels[::_SAMPLE]).mean() <= _MOST_COLOURED:
        coloured = coloured_rows(pixels)
        after = _coloured_after(coloured)
    if first == "columns":
        return _rows_resized(_columns_resized(pixels, after), width, after)
    return _columns_resized(_rows_resized(pixels, width, coloured), after)


def prepare(heights: tuple[int, ...] = (2200, 2339)) -> None:
    """Work the weights of usual pages out, US Letter and A4 at 200 dpi, before anybody waits for them."""
    for height in heights:
        _are_bands_exact(height)


def _first_pass(page_width: int, page_height: int) -> str | None:
    """Which way Pillow resizes to ``LAYOUT_SIZE`` first; None if this version's way is not known."""
    width, height = LAYOUT_SIZE
    if _PILLOW < _FIRST_WITH_A_CHOICE:
        return "rows"
    if _PILLOW > _FIRST_WITH_A_CHOICE:
        return None
    # Columns first where that leaves the other pass less to do.
    is_tall = page_height > height and page_height - height > 2 * (page_width - width)
    return "columns" if is_tall else "rows"


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


# ---- along the rows


def _rows_resized(pixels: Pixels, width: int, coloured: Mask | None) -> Pixels:
    rows = pixels.reshape(len(pixels), -1)
    is_new = np.empty(len(rows), np.bool_)
    is_new[0] = True
    np.any(rows[1:] != rows[:-1], axis=1, out=is_new[1:])
    if is_new.sum() > _MOST_DISTINCT * len(rows):
        return _each_row_resized(pixels, width, coloured)
    # Equal rows are alike in their colours, too.
    distinct = _each_row_resized(pixels[is_new], width, None if coloured is None else coloured[is_new])
    repeated: Pixels = distinct[np.cumsum(is_new) - 1]
    return repeated


def _each_row_resized(pixels: Pixels, width: int, coloured: Mask | None) -> Pixels:
    if coloured is None:
        return _resized(pixels, width, len(pixels))
    resized: Pixels = np.empty((len(pixels), width, COLOUR_CHANNELS), np.uint8)
    if (count := int(coloured.sum())) < len(pixels):
        grey = Image.fromarray(pixels[~coloured, :, 0]).resize((width, len(pixels) - count), Image.Resampling.BICUBIC)
        resized[~coloured] = np.asarray(grey.convert("RGB"))
    if count:
        resized[coloured] = _resized(pixels[coloured], width, count)
    return resized


# ---- along the columns


def _columns_resized(pixels: Pixels, coloured: Mask | None) -> Pixels:
    """Resize to the layout's height; ``coloured`` says which rows of the result may hold a colour."""
    (rows, width), height = pixels.shape[:2], LAYOUT_SIZE[1]
    if coloured is None or coloured.all() or not _are_bands_exact(rows):
        return _resized(pixels, width, height)
    resized: Pixels = np.empty((height, width, COLOUR_CHANNELS), np.uint8)
    for band in range(_BANDS):
        target = slice(band * height // _BANDS, (band + 1) * height // _BANDS)
        source, begin, end = _source_of(band, rows)
        part = pixels[source] if coloured[target].any() else np.ascontiguousarray(pixels[source, :, 0])
        size, box = (width, target.stop - target.start), (0, begin, width, end)
        resized[target] = np.asarray(
            Image.fromarray(part).resize(size, Image.Resampling.BICUBIC, box=box).convert("RGB")
        )
    return resized


def _source_of(band: int, rows: int) -> tuple[slice, float, float]:
    """The rows that a band is made of, those that the filter reaches included, and where in them it begins and ends."""
    begin, end = rows * band / _BANDS, rows * (band + 1) / _BANDS
    reach = math.ceil(_REACH * max(1.0, rows / LAYOUT_SIZE[1])) + 1
    source = slice(max(0, math.floor(begin) - reach), min(rows, math.ceil(end) + reach))
    return source, begin - source.start, end - source.start


def _coloured_after(coloured: Mask) -> Mask:
    """Which rows of the result may hold a colour, given those of the page that do."""
    height, scale = LAYOUT_SIZE[1], len(coloured) / LAYOUT_SIZE[1]
    centres = (np.arange(height) + 0.5) * scale
    reach = _REACH * max(1.0, scale) + 1
    before = np.concatenate(([0], np.cumsum(coloured)))
    first = np.clip(np.floor(centres - reach), 0, len(coloured)).astype(np.intp)
    last = np.clip(np.ceil(centres + reach), 0, len(coloured)).astype(np.intp)
    return np.asarray(before[last] > before[first])


@functools.lru_cache(maxsize=64)
def _are_bands_exact(rows: int) -> bool:
    """Whether the weights of every band are, in Pillow's precision, those that the whole page has there."""
    height = LAYOUT_SIZE[1]
    places, weights, safe = _weights(rows, 0.0, rows / height, height)
    for band in range(_BANDS):
        source, begin, end = _source_of(band, rows)
        count = height // _BANDS
        part = slice(band * count, (band + 1) * count)
        own_places, own, own_safe = _weights(source.stop - source.start, begin, (end - begin) / count, count)
        same = np.array_equal(own_places + source.start, places[part]) and np.array_equal(own, weights[part])
        if not (same and safe and own_safe):
            return False
    return True


def _weights(rows: int, begin: float, scale: float, count: int) -> tuple[npt.NDArray[np.intp], Floats, bool]:
    """Of each of ``count`` results the first row that counts, and the weights of the rows from there.

    As ``precompute_coeffs`` and ``normalize_coeffs_8bpc`` of libImaging have them. The last value says whether all of
    them are clearly nearest to one number.
    """
    stretch = max(1.0, scale)
    reach = _REACH * stretch
    centres = begin + (np.arange(count) + 0.5) * scale
    first = np.maximum(centres - reach + 0.5, 0.0).astype(np.intp)
    last = np.minimum(centres + reach + 0.5, float(rows)).astype(np.intp)
    places = first[:, None] + np.arange(2 * math.ceil(reach) + 1)
    away = np.abs((places - centres[:, None] + 0.5) * (1.0 / stretch))
    near = ((_A + 2.0) * away - (_A + 3.0)) * away * away + 1
    far = (((away - 5) * away + 8) * away - 4) * _A
    weights = np.where(away < 1.0, near, np.where(away < _REACH, far, 0.0))
    weights[places >= last[:, None]] = 0.0
    exact = weights / weights.sum(axis=1, keepdims=True) * 2.0**_WEIGHT_BITS
    nearest = np.floor(np.abs(exact) + 0.5)
    safe = bool((np.abs(np.abs(exact) + 0.5 - np.round(np.abs(exact) + 0.5))[exact != 0] > _TIE).all())
    return first, np.copysign(nearest, exact), safe
