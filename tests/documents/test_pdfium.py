"""The child's view of a document by itself: opened, described, or rejected with the reason that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mineru_pipeline.documents.child import Outbox
from mineru_pipeline.documents.pdfium import PdfService
from mineru_pipeline.errors import RejectedDocumentError, RenderFailedError

LIMITS = {"max_pages": 20, "max_page_edge_pt": 14_400}


@pytest.fixture
def service(tmp_path: Path) -> PdfService:
    with (tmp_path / "unused").open("w+b") as file:
        return PdfService(Outbox(file.fileno()))


def test_a_document_is_described_once_it_is_open(service: PdfService, plain_pdf: bytes) -> None:
    """Before there is nothing to ask; afterwards pages, sizes and producer are known, and it may be opened again."""
    with pytest.raises(RenderFailedError, match="No document"):
        _ = service.document
    values, blobs = service.call("open", LIMITS, [bytearray(plain_pdf)])
    assert (values["page_count"], len(values["page_sizes"]), values["encrypted"], blobs) == (3, 3, False, ())
    service.open()
    assert len(service.document) == 3


@pytest.mark.parametrize("reason", ["empty", "not-a-pdf", "corrupt", "encrypted", "no-pages"])
def test_what_cannot_be_opened_is_rejected(service: PdfService, bad_pdfs: dict[str, bytes], reason: str) -> None:
    """Each kind of unusable file has its own reason, and nothing is open afterwards."""
    with pytest.raises(RejectedDocumentError) as raised:
        service.call("open", LIMITS, [bytearray(bad_pdfs[reason])])
    assert raised.value.reason == reason


@pytest.mark.parametrize("reason", ["too-many-pages", "page-too-large"])
def test_what_is_over_a_limit_is_rejected(service: PdfService, bad_pdfs: dict[str, bytes], reason: str) -> None:
    """The limits come with the request."""
    with pytest.raises(RejectedDocumentError) as raised:
        service.call("open", LIMITS, [bytearray(bad_pdfs[reason])])
    assert raised.value.reason == reason


def test_a_document_without_one_readable_page_is_corrupt(service: PdfService) -> None:
    """One broken page is that page's matter; when all are, there is nothing to parse."""
    kids = b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"
    data = b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj%sendobj\ntrailer<</Root 1 0 R>>\n%%%%EOF\n"
    with pytest.raises(RejectedDocumentError) as raised:
        service.call("open", LIMITS, [bytearray(data % kids)])
    assert raised.value.reason in {"corrupt", "no-pages"}


def test_unknown_operations_are_errors(service: PdfService) -> None:
    """A service does what it knows."""
    with pytest.raises(RenderFailedError, match="no operation 'render'"):
        service.call("render", {}, [])
