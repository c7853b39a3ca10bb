"""Opening a PDF with PDFium, in the sandboxed child: never import this where documents are not hostile-proofed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c

from mineru_pipeline.documents.child import Answer, Outbox
from mineru_pipeline.documents.rejection import RejectionReason, rejected
from mineru_pipeline.errors import RenderFailedError

_HEADER_SEARCH_BYTES = 1024
_TEXT_CHARACTERS = 200
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")


class PdfService:
    """Holds one document; ``open`` is its first request, answered with what is known of the document."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._document: pypdfium2.PdfDocument | None = None
        self.data = b""

    @property
    def document(self) -> pypdfium2.PdfDocument:
        """The open document; raises :class:`RenderFailedError` before ``open`` has succeeded."""
        if self._document is None:
            raise RenderFailedError("No document is open.")
        return self._document

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        """Do ``operation``; see the methods for what each takes and returns."""
        if operation != "open":
            raise RenderFailedError(f"There is no operation {operation!r}.")
        self.data = bytes(blobs.pop())
        self.open()
        return describe(self.document, values), ()

    def open(self) -> None:
        """Open the document, anew if it is open already: PDFium keeps whatever it has ever read of a document."""
        if self._document is not None:
            self._document.close()
        self._document = open_document(self.data)


def open_document(data: bytes) -> pypdfium2.PdfDocument:
    """Open ``data``, which PDFium reads in place; raises :class:`RejectedDocumentError`."""
    if not data:
        raise rejected(RejectionReason.EMPTY)
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        # PDFium has no error of its own for a document without pages, and then may speak of success.
        detail = f"({error})" if error.err_code else ""
        raise rejected(_reason(data, error.err_code), detail) from error


def describe(document: pypdfium2.PdfDocument, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return page count, page sizes in points, and more; raises :class:`RejectedDocumentError` over a limit."""
    count = len(document)
    if count < 1:
        raise rejected(RejectionReason.NO_PAGES)
    if count > limits["max_pages"]:
        raise rejected(RejectionReason.TOO_MANY_PAGES, f"It has {count}; the limit is {limits['max_pages']}.")
    sizes = [_page_size(document, index) for index in range(count)]
    if not any(sizes):
        raise rejected(RejectionReason.CORRUPT, f"None of its {count} pages can be read.")
    _check_sizes(sizes, limits["max_page_edge_pt"])
    return {
        "page_count": count,
        "page_sizes": sizes,
        "encrypted": pdfium_c.FPDF_GetSecurityHandlerRevision(document) >= 0,
        "producer": _metadata(document, "Producer"),
        "title": _metadata(document, "Title"),
    }


def _reason(data: bytes, code: int | None) -> RejectionReason:
    if code in {pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY}:
        return RejectionReason.ENCRYPTED
    if b"%PDF" not in data[:_HEADER_SEARCH_BYTES]:
        return RejectionReason.NOT_A_PDF
    if b"%%EOF" in data[-_HEADER_SEARCH_BYTES:] and b"/ObjStm" not in data and not _PAGE.search(data):
        return RejectionReason.NO_PAGES
    return RejectionReason.CORRUPT


def _page_size(document: pypdfium2.PdfDocument, index: int) -> tuple[float, float] | None:
    try:
        width, height = document.get_page_size(index)
    except (pypdfium2.PdfiumError, AssertionError):
        # One broken page is a matter of that page, which will fail when it is rendered.
        return None
    return float(width), float(height)


def _check_sizes(sizes: list[tuple[float, float] | None], max_edge: float) -> None:
    for number, size in enumerate(sizes, start=1):
        if size and max(size) > max_edge:
            detail = f"Page {number} measures {size[0]:.0f} x {size[1]:.0f} pt; the limit is {max_edge:g} pt."
            raise rejected(RejectionReason.PAGE_TOO_LARGE, detail)


def _metadata(document: pypdfium2.PdfDocument, key: str) -> str:
    text = str(document.get_metadata_value(key))[:_TEXT_CHARACTERS]
    return text.encode("utf-8", "replace").decode()
