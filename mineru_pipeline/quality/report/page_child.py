"""Draws pages for the report in the sandboxed child: PDFs of a stored corpus are opened nowhere else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image

from mineru_pipeline.documents.child import Answer
from mineru_pipeline.documents.pdfium import PdfService

_MAX_HEIGHT: Final = 2_400
_QUALITY: Final = 50


class PageService(PdfService):
    """Holds one document; ``picture`` takes ``page`` and ``width`` and answers with a WebP, or nothing."""

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        """Do ``operation``."""
        if operation != "picture":
            return super().call(operation, values, blobs)
        if values["page"] >= len(self.document):
            return {}, ()
        sheet = self.document[values["page"]]
        scale = min(values["width"] / max(sheet.get_width(), 1), _MAX_HEIGHT / max(sheet.get_height(), 1))
        return {}, (packed(sheet.render(scale=scale).to_pil()),)

    def open(self) -> None:
        """Open the document with its forms, whose fields are drawn with the page."""
        super().open()
        self.document.init_forms()


def packed(image: Image.Image) -> bytes:
    """A picture as WebP: the same bytes for the same pixels."""
    data = io.BytesIO()
    image.convert("RGB").save(data, "WEBP", quality=_QUALITY, method=4)
    return data.getvalue()
