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
from cramjam import DecompressionError, lz4
from isal import isal_zlib

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


def encode_png(pixels: Pixels) -> bytes:
    """Return a PNG (https://www.w3.org/TR/png-3/) that decodes to ``pixels``: greyscale if they are grey, else RGB."""
    pixels = one_channel(pixels)
    height, width = pixels.shape[:2]
    colour_type = _GREY if pixels.ndim == 2 else _RGB  # noqa: PLR2004 - rows and columns
    header = _HEADER.pack(width, height, 8, colour_type, 0, 0, 0)
    image = (*_chunk(b"IHDR", header), *_chunk(b"IDAT", *_deflated(_rows(pixels))), *_chunk(b"IEND"))
    return b"".join((_SIGNATURE, *image))


def is_layout_picture(data: bytes) -> bool:
    """Whether ``data`` starts as a PNG of ``LAYOUT_SIZE``."""
    start = struct.pack(">8sI4sII", _SIGNATURE, _HEADER.size, b"IHDR", *LAYOUT_SIZE)
    return data.startswith(start)


def one_channel(pixels: Pixels) -> Pixels:
    """Return a view of one channel if all three are equal everywhere, else ``pixels`` itself."""
    if pixels.ndim == COLOUR_CHANNELS and is_grey(pixels):
        return pixels[:, :, 0]
    return pixels


def is_grey(pixels: Pixels) -> bool:
    """Whether the three channels of RGB ``pixels`` are equal in every pixel; exact, and quick to say no."""
    return not any(part.max(initial=0) for part in _colour(pixels))


def coloured_rows(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Which rows of RGB ``pixels`` hold anything but greys."""
    return np.concatenate([part.max(axis=1, initial=0) for part in _colour(pixels)]).astype(np.bool_)


def _colour(pixels: Pixels) -> Iterator[Pixels]:
    """Yield what is zero for greys and for nothing else, some rows of RGB ``pixels`` at a time, in one buffer."""
    rows = _rows(pixels)
    width = rows.shape[1]
    difference: Pixels = np.empty((_stripe_height(width), width), np.uint8)
    # In a row r g b r g b … the difference of neighbours is zero but from one pixel to the next.
    inside: Pixels = np.resize(np.array([0xFF, 0xFF, 0], np.uint8), width - 1)
    for stripe in _stripes(rows):
        part = difference[: len(stripe), :-1]
        np.bitwise_xor(stripe[:, 1:], stripe[:, :-1], out=part)
        np.bitwise_and(part, inside, out=part)
        yield part


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
