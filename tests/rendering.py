"""PDFs of exactly the objects that a test wants, and the render service with one of them open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mineru_pipeline.documents.child import Outbox
from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.render_child import RenderService

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
LETTER = b"/MediaBox[0 0 612 792]"
FULL = {"dpi": 200, "max_edge": 3500}


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


HELLO = stream(b"BT /F1 24 Tf 100 700 Td (Hello) Tj ET")


def raw_pdf(*objects: bytes, xref: bool = True) -> bytes:
    """A PDF of exactly these objects, numbered from 1; the first is the catalog."""
    data, offsets = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    if not xref:
        return data + b"trailer<</Root 1 0 R>>\n%%EOF\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + tail


def one_page(page: bytes = LETTER + FONT, content: bytes = HELLO, *more: bytes, xref: bool = True) -> bytes:
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return raw_pdf(CATALOG, kids, b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s>>" % page, content, *more, xref=xref)


class Opened:
    """A service with one open document."""

    def __init__(self, data: bytes, descriptor: int) -> None:
        self.service = RenderService(Outbox(descriptor))
        self.info = self.call("open", bytearray(data), max_pages=10, max_page_edge_pt=14_400)[0]

    def call(self, operation: str, *blobs: bytearray, **values: Any) -> tuple[dict[str, Any], list[bytes]]:
        answer, out = self.service.call(operation, values, list(blobs))
        return answer, [bytes(blob) for blob in out]

    def image(self, **values: Any) -> tuple[dict[str, Any], Image.Image]:
        answer, (_, packed, layer, *_) = self.call("render", **({"index": 0} | FULL | values))
        answer["words"] = TextLayer(answer["words"], layer).words()
        pixels = PackedPixels(answer["width_px"], answer["height_px"], answer["channels"], packed)
        with pixels.unpacked() as unpacked:
            return answer, Image.fromarray(unpacked).convert("RGB")

    def words(self) -> tuple[Word, ...]:
        answer, (layer,) = self.call("words", index=0)
        return TextLayer(answer["words"], layer).words()


@contextmanager
def shared_memory() -> Iterator[int]:
    """What the service writes pixels into."""
    descriptor = os.memfd_create("test") if hasattr(os, "memfd_create") else pytest.skip("no memfd here")
    os.truncate(descriptor, 128 << 20)
    yield descriptor
    os.close(descriptor)


def dark_box(image: Image.Image) -> tuple[float, float, float, float]:
    """The smallest box around all dark pixels, in fractions."""
    dark = np.argwhere(np.asarray(image.convert("L")) < 128)
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0) + 1
    return left / image.width, top / image.height, right / image.width, bottom / image.height
