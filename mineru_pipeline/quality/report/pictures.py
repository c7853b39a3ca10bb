"""Pictures of the pages of the corpus, small enough for a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import pypdfium2
from PIL import Image

from mineru_pipeline.quality.report.model import Picture

#: Pixels: enough to read the small print, and some 50 KB a page.
WIDTH: Final = 900
_MAX_HEIGHT: Final = 2_400
_QUALITY: Final = 50


def corpus_pictures(pdf: Callable[[str], bytes], *, width: int = WIDTH) -> Picture:
    """A way to the pictures of a corpus' documents; ``pdf`` gives the bytes of one by its name.

    Only for what our own script drew: PDFium opens it in this process, and strangers' bytes belong into the sandbox.
    """

    def picture(document: str, page: int) -> bytes | None:
        with pypdfium2.PdfDocument(pdf(document)) as opened:
            if page >= len(opened):
                return None
            opened.init_forms()
            sheet = opened[page]
            scale = min(width / sheet.get_width(), _MAX_HEIGHT / sheet.get_height())
            return packed(sheet.render(scale=scale).to_pil())

    return picture


def packed(image: Image.Image) -> bytes:
    """A picture as WebP: the same bytes for the same pixels."""
    data = io.BytesIO()
    image.convert("RGB").save(data, "WEBP", quality=_QUALITY, method=4)
    return data.getvalue()
