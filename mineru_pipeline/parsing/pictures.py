"""Encodes pixels as PNG and packs them for waiting, at a twentieth of what the usual libraries spend on it.

Every array of pixels is ``uint8`` of shape ``(height, width)`` for one channel or ``(height, width,
3)`` for RGB. What is encoded here decodes to exactly the same colours; only the way there differs:

* Most pages, and most parts of the others, hold only greys. One channel stands for three equal ones,
  and a PNG of one channel decodes to the same RGB values.
* Deflate comes from Intel's ISA-L: on pages at 200 dpi its level 1 takes a fifteenth of the time of zlib's
  default level, and without a PNG row filter its output is smaller, for rendered text repeats itself.
* Pixels that only wait are packed with LZ4: they take 6% more memory than as deflate, and come back in a sixth
  of the time.
* Rows pass through one small buffer. Large fresh memory costs more than the compression: the system
  has to map and clear every page of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL
from cramjam import DecompressionError, lz4
from isal import isal_zlib
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]

COLOUR_CHANNELS: Final = 3
#: Width and height that every page has when its layout is asked for: ``mineru-vl-utils``' own default.
LAYOUT_SIZE: Final = (1036, 1036)
_LEVEL: Final = 1
#: Fits a processor's second-level cache, and is below what allocators ask the system for.
_STRIPE_BYTES: Final = 128 * 1024
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = struct.Struct(">IIBBBBB")
_GREY, _RGB = 0, 2
#: The first version of Pillow that chooses which way to resize first, and the one that runs.
_FIRST_WITH_A_CHOICE: Final = 13
_PILLOW: Final = int(PIL.__version__.partition(".")[0])
#: With a larger share of rows that differ from the one before, putting them together costs more than it saves.
_MOST_DISTINCT: Final = 0.85


def encode_png(pixels: Pixels) -> bytes:
    """Return a PNG (https://www.w3.org/TR/png-3/) that decodes to ``pixels``: greyscale if they are grey, else RGB."""
    pixels = one_channel(pixels)
    height, width = pixels.shape[:2]
    colour_type = _GREY if pixels.ndim == 2 else _RGB  # noqa: PLR2004 - rows and columns
    header = _HEADER.pack(width, height, 8, colour_type, 0, 0, 0)
    image = (*_chunk(b"IHDR", header), *_chunk(b"IDAT", *_deflated(_rows(pixels))), *_chunk(b"IEND"))
    return b"".join((_SIGNATURE, *image))


def layout_picture(pixels: Pixels) -> bytes:
    """Return the PNG by which the layout of a page is asked for."""
    return encode_png(layout_pixels(pixels))


def layout_pixels(pixels: Pixels) -> Pixels:
    """Return what :func:`layout_picture` encodes: exactly what ``PIL.Image.resize`` makes of the page.

    Pillow resizes each channel by itself, so that the one channel of a grey page gets the values that all
    three would get. It resizes in two passes, one along the rows and one along the columns, and rounds to whole
    values after each. Along the rows, equal rows stay equal, and nearly half of the rows of a printed page are
    blank: each run of equal ones is resized once.
    """
    width, height = LAYOUT_SIZE
    if (first := _first_pass(pixels.shape[1], pixels.shape[0])) is None:
        return _resized(pixels, width, height)
    if first == "columns":
        return _rows_resized(_resized(pixels, pixels.shape[1], height), width)
    return _resized(_rows_resized(pixels, width), width, height)


def _first_pass(page_width: int, page_height: int) -> str | None:
    """Which way Pillow resizes to ``LAYOUT_SIZE`` first; None if this version's way is not known."""
    width, height = LAYOUT_SIZE
    if _PILLOW < _FIRST_WITH_A_CHOICE:
        return "rows"
    if _PILLOW > _FIRST_WITH_A_CHOICE:
        return None
    # From libImaging/Resample.c: columns first where that leaves the other pass less to do.
    is_tall = page_height > height and page_height - height > 2 * (page_width - width)
    return "columns" if is_tall else "rows"


def _rows_resized(pixels: Pixels, width: int) -> Pixels:
    rows = _rows(pixels)
    is_new = np.empty(len(rows), np.bool_)
    is_new[0] = True
    np.any(rows[1:] != rows[:-1], axis=1, out=is_new[1:])
    count = int(is_new.sum())
    if count > _MOST_DISTINCT * len(rows):
        return _resized(pixels, width, len(rows))
    repeated: Pixels = _resized(pixels[is_new], width, count)[np.cumsum(is_new) - 1]
    return repeated


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def is_layout_picture(data: bytes) -> bool:
    """Whether ``data`` starts as what :func:`layout_picture` returns."""
    start = struct.pack(">8sI4sII", _SIGNATURE, _HEADER.size, b"IHDR", *LAYOUT_SIZE)
    return data.startswith(start)


def one_channel(pixels: Pixels) -> Pixels:
    """Return a view of one channel if all three are equal everywhere, else ``pixels`` itself."""
    if pixels.ndim == COLOUR_CHANNELS and is_grey(pixels):
        return pixels[:, :, 0]
    return pixels


def is_grey(pixels: Pixels) -> bool:
    """Whether the three channels of RGB ``pixels`` are equal in every pixel; exact, and quick to say no."""
    rows = _rows(pixels)
    width = rows.shape[1]
    difference: Pixels = np.empty((_stripe_height(width), width), np.uint8)
    # In a row r g b r g b … the difference of neighbours is zero but from one pixel to the next.
    inside: Pixels = np.resize(np.array([0xFF, 0xFF, 0], np.uint8), width - 1)
    for stripe in _stripes(rows):
        part = difference[: len(stripe), :-1]
        np.bitwise_xor(stripe[:, 1:], stripe[:, :-1], out=part)
        np.bitwise_and(part, inside, out=part)
        if part.max(initial=0):
            return False
    return True


def pack(pixels: Pixels) -> bytes:
    """Return contiguous ``pixels`` as one LZ4 block, a twentieth of their size on a page of text."""
    return bytes(lz4.compress_block(pixels.data, store_size=False))


def unpack(packed: bytes, into: memoryview) -> None:
    """Fill ``into`` with what :func:`pack` was given; other threads go on meanwhile.

    Raises:
        ValueError: ``packed`` is damaged, or holds more or fewer bytes.
    """
    try:
        size = lz4.decompress_block_into(packed, into)
    except DecompressionError as error:
        raise ValueError(f"packed pixels are damaged, or more than the {len(into)} bytes announced: {error}") from error
    if size != len(into):
        raise ValueError(f"packed pixels have {size} bytes instead of the {len(into)} that were announced")


def _rows(pixels: Pixels) -> Pixels:
    """View ``pixels`` as two-dimensional: one row of bytes a row of pixels."""
    return pixels if pixels.ndim != COLOUR_CHANNELS else pixels.reshape(len(pixels), -1)


def _stripe_height(row_bytes: int) -> int:
    return max(1, _STRIPE_BYTES // (row_bytes + 1))


def _stripes(rows: Pixels) -> Iterator[Pixels]:
    step = _stripe_height(rows.shape[1])
    return (rows[top : top + step] for top in range(0, len(rows), step))


def _deflated(rows: Pixels) -> Iterator[bytes]:
    deflating = isal_zlib.compressobj(_LEVEL)
    # The first byte of each row names its filter; 0 is none.
    buffer: Pixels = np.zeros((_stripe_height(rows.shape[1]), rows.shape[1] + 1), np.uint8)
    for stripe in _stripes(rows):
        part = buffer[: len(stripe)]
        part[:, 1:] = stripe
        yield deflating.compress(part)
    yield deflating.flush()


def _chunk(kind: bytes, *pieces: bytes) -> tuple[bytes, ...]:
    checksum = isal_zlib.crc32(kind)
    for piece in pieces:
        checksum = isal_zlib.crc32(piece, checksum)
    return struct.pack(">I", sum(map(len, pieces))), kind, *pieces, struct.pack(">I", checksum)
