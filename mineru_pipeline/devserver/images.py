"""Looking at the images of requests: refuses what a vision model would, and tells equal pictures, at little cost."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Iterator

from isal import isal_zlib
from PIL import Image, UnidentifiedImageError

from mineru_pipeline.devserver.apierror import ApiError, bad_request

MAX_ASPECT = 200
# The value at which vLLM's image loader (Pillow) refuses an image.
MAX_PIXELS = 178_956_970
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_TAIL = b"\0\0\0\0IEND\xaeB`\x82"
# Base64 turns 3 bytes into 4 characters: what is needed of the two ends of a PNG.
_HEAD_CHARS, _TAIL_CHARS = 32, 24
_SIGNATURE_BYTES = 8
# Its stub takes the class for an instance.
_DamagedError: type[Exception] = isal_zlib.error  # type: ignore[assignment]
#: Scanlines of more bytes are not unpacked; twice a page at 300 dpi in colour.
_MAX_SCANLINES = 64 << 20


def size_of(payload: bytes) -> tuple[int, int]:
    """Width and height in pixels of the image file that ``payload`` is the base64 of.

    Of a PNG, only its first and last bytes are decoded; other formats are opened by Pillow. Raises :class:`ApiError`:
    400 for bad base64, what is no image or ends early, and extreme aspects, and 500 for more than ``MAX_PIXELS``.
    """
    _check_base64(payload)
    head = base64.b64decode(payload[:_HEAD_CHARS])
    width, height = _png_size(payload, head) if head.startswith(_PNG_HEAD) else _pillow_size(payload)
    if width * height > MAX_PIXELS:
        raise ApiError(500, "InternalServerError", f"Image size ({width * height} pixels) exceeds {MAX_PIXELS} pixels.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise bad_request(f"absolute aspect ratio must be smaller than {MAX_ASPECT}", param="messages")
    return width, height


def scanlines(image: bytes) -> bytes:
    """Header and unpacked rows of a PNG: equal for equal pictures from one encoder, however well it compressed them.

    Deflate may find shorter ways on one day than on another (ISA-L's does, now and then). What is no such PNG is
    returned as it is.
    """
    if not image.startswith(_PNG_HEAD):
        return image
    header, packed = b"", []
    for kind, data in _chunks(image):
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            packed.append(data)
    inflating = isal_zlib.decompressobj()
    try:
        rows = inflating.decompress(b"".join(packed), _MAX_SCANLINES)
    except _DamagedError:
        return image
    return header + rows if inflating.eof else image


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = _SIGNATURE_BYTES
    while (start := offset + 8) <= len(image):
        length, kind = struct.unpack_from(">I4s", image, offset)
        yield kind, image[start : start + length]
        offset = start + length + 4


def _check_base64(payload: bytes) -> None:
    if not payload:
        raise bad_request("The image is empty.", param="messages")
    characters = payload.removesuffix(b"=").removesuffix(b"=")
    if len(payload) % 4 or characters.translate(None, _ALPHABET):
        raise bad_request("The image is not valid base64.", param="messages")


def _png_size(payload: bytes, head: bytes) -> tuple[int, int]:
    try:
        ends_well = base64.b64decode(payload[-_TAIL_CHARS:]).endswith(_PNG_TAIL)
    except binascii.Error:  # pragma: no cover - checked before
        ends_well = False
    width, height = struct.unpack(">II", head[16:24]) if len(head) == _HEAD_CHARS * 3 // 4 else (0, 0)
    if not ends_well or not width or not height:
        raise bad_request("The image is damaged: the PNG ends early.", param="messages")
    return width, height


def _pillow_size(payload: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(base64.b64decode(payload))) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                image.verify()
    except UnidentifiedImageError as error:
        raise bad_request("cannot identify image file", param="messages") from error
    except Image.DecompressionBombError as error:
        raise ApiError(500, "InternalServerError", str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise bad_request(f"The image is damaged: {error}", param="messages") from error
    return width, height
