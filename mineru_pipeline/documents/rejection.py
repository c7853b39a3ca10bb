"""Why a document cannot be parsed by anyone: a code for tables and a sentence for people."""

from __future__ import annotations

from enum import StrEnum

from mineru_pipeline.errors import RejectedDocumentError


class RejectionReason(StrEnum):
    """The codes of rejection; they are stored, so they never change their meaning."""

    EMPTY = "empty"
    NOT_A_PDF = "not-a-pdf"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"
    NO_PAGES = "no-pages"
    TOO_MANY_BYTES = "too-many-bytes"
    TOO_MANY_PAGES = "too-many-pages"
    PAGE_TOO_LARGE = "page-too-large"
    PROBE_TIMEOUT = "probe-timeout"
    CRASHES_RENDERER = "crashes-renderer"
    SOURCE_DELETED = "source-deleted"

    @property
    def sentence(self) -> str:
        """What the reason means and, where something can be done, what."""
        return _SENTENCES[self]


_SENTENCES = {
    RejectionReason.EMPTY: "The file is empty: it holds no bytes at all.",
    RejectionReason.NOT_A_PDF: "The file is not a PDF: it does not start like one and cannot be opened as one.",
    RejectionReason.CORRUPT: "The PDF is damaged, perhaps cut short, and cannot be opened; fetch it again.",
    RejectionReason.ENCRYPTED: "The PDF can only be opened with a password; store a copy without one.",
    RejectionReason.NO_PAGES: "The PDF has no pages.",
    RejectionReason.TOO_MANY_BYTES: "The file is larger than limits.max_bytes allows.",
    RejectionReason.TOO_MANY_PAGES: "The PDF has more pages than limits.max_pages allows.",
    RejectionReason.PAGE_TOO_LARGE: "A page of the PDF is larger than limits.max_page_edge_pt allows.",
    RejectionReason.PROBE_TIMEOUT: "Opening the PDF takes longer than limits.seconds_per_page allows, twice in a row.",
    RejectionReason.SOURCE_DELETED: "The object was deleted from its bucket after it had been found there.",
    RejectionReason.CRASHES_RENDERER: "Opening the PDF crashes the renderer or exhausts its memory, twice in a row.",
}


def rejected(reason: RejectionReason, detail: str = "") -> RejectedDocumentError:
    """Return the error for ``reason``, its sentence followed by what is special here."""
    return RejectedDocumentError(reason.value, f"{reason.sentence} {detail}".rstrip())
