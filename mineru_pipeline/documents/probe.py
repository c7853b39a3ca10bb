"""Probing: can this document be parsed at all, and if not, why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mineru_pipeline.documents.rejection import RejectionReason, rejected
from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig
from mineru_pipeline.errors import RenderCrashedError, RenderTimeoutError

SERVICE = "mineru_pipeline.documents.pdfium:PdfService"
#: A machine under load, or out of memory for a moment, must not condemn a good file for good.
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be and how long one step of it may take."""

    max_bytes: int = 200 << 20
    max_pages: int = 2000
    #: The largest edge of a page in points (1/72 inch); 14400 is PDF's own limit, 5 metres.
    max_page_edge_pt: float = 14400.0
    #: Wall-clock seconds for opening a document, and for each page of it.
    seconds_per_page: float = 30.0
    #: What a render child may use beyond what it inherits, in MiB.
    memory_mib: int = 1024


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What a PDF says of itself. Sizes are (width, height) in points as displayed; None: unreadable page."""

    page_count: int
    page_sizes: tuple[tuple[float, float] | None, ...]
    #: Encrypted, but readable without a password.
    encrypted: bool = False
    producer: str = ""
    title: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> DocumentInfo:
        """Build it from what the child's ``open`` answered."""
        sizes = tuple((float(size[0]), float(size[1])) if size else None for size in values["page_sizes"])
        return cls(
            int(values["page_count"]),
            sizes,
            encrypted=bool(values["encrypted"]),
            producer=str(values["producer"]),
            title=str(values["title"]),
        )


def probing_config(limits: Limits) -> SandboxConfig:
    """Return the configuration of a sandbox that only probes: its children know no more than that takes.

    A child is forked for each document, and costs what its parent's memory costs to be mapped again.
    """
    return SandboxConfig(preload=(SERVICE.partition(":")[0],), memory_mib=limits.memory_mib)


async def probe(sandbox: Sandbox, data: bytes, limits: Limits) -> DocumentInfo:
    """Open ``data`` in a child of its own; raises :class:`RejectedDocumentError` with the reason.

    :class:`RenderUnavailableError` is raised when no child can be had, which says nothing about the document.
    """
    check_size(len(data), limits)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _open_once(sandbox, data, limits)
        except (RenderTimeoutError, RenderCrashedError) as error:
            if attempt == _ATTEMPTS:
                hung = isinstance(error, RenderTimeoutError)
                reason = RejectionReason.PROBE_TIMEOUT if hung else RejectionReason.CRASHES_RENDERER
                raise rejected(reason, f"({error})") from error
    raise AssertionError("unreachable: the last attempt returns or raises")


def check_size(size: int, limits: Limits) -> None:
    """Raise :class:`RejectedDocumentError` for a file with no bytes or with too many."""
    if size == 0:
        raise rejected(RejectionReason.EMPTY)
    if size > limits.max_bytes:
        raise rejected(RejectionReason.TOO_MANY_BYTES, f"It has {size} bytes; the limit is {limits.max_bytes}.")


def opening_values(limits: Limits) -> dict[str, Any]:
    """Return what a child's ``open`` has to know of the limits."""
    return {"max_pages": limits.max_pages, "max_page_edge_pt": limits.max_page_edge_pt}


async def _open_once(sandbox: Sandbox, data: bytes, limits: Limits) -> DocumentInfo:
    child = await sandbox.spawn(SERVICE)
    try:
        reply = await child.request("open", opening_values(limits), [data], seconds=limits.seconds_per_page)
    finally:
        child.close()
    return DocumentInfo.from_values(reply.values)
