"""Intake of a batch: read, hash and probe every manifest entry, so that each is accepted or says why not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from mineru_pipeline.documents.probe import DocumentInfo
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.documents.source import sha256_hex
from mineru_pipeline.errors import RejectedDocumentError, RenderError, SourceError

ACCEPTED = "accepted"
REJECTED = "rejected"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One manifest entry after intake; ``entry`` is its place in the manifest, from 0."""

    entry: int
    uri: str
    size: int | None
    etag: str | None
    version: str | None
    sha256: str | None
    #: ``accepted``, ``rejected`` or ``failed`` (its bytes could not be had).
    state: str
    reason: str = ""
    message: str = ""
    pages: int = 0
    #: URI of the first entry of this batch with the same bytes and tenant.
    duplicate_of: str | None = None
    #: Whose it is; another tenant's bytes are another document.
    tenant: str = ""


Read = Callable[[DocumentRef], bytes]
Probe = Callable[[bytes], Awaitable[DocumentInfo]]


async def examine(
    refs: Sequence[DocumentRef],
    read: Read,
    probe: Probe,
    *,
    settled: Callable[[int], SourceRow | None] = lambda _entry: None,
    parallel: int = 2,
) -> list[SourceRow]:
    """Examine all entries of a manifest, ``parallel`` at a time; one row each, in manifest order.

    What concerns one document ends up in its row; errors of the store or of the settings are raised. ``settled`` gives
    the earlier row of an entry that needs its source no more: it stands where the bytes cannot be had again.
    """
    slots = asyncio.Semaphore(parallel)

    async def one(entry: int, ref: DocumentRef) -> SourceRow:
        async with slots:
            row = await _examine_one(entry, ref, read, probe)
            if row.sha256 is not None:
                return row
            earlier: SourceRow | None = await asyncio.to_thread(settled, entry)
            return earlier or row

    rows = await asyncio.gather(*(one(entry, ref) for entry, ref in enumerate(refs)))
    return _mark_duplicates(rows)


async def _examine_one(entry: int, ref: DocumentRef, read: Read, probe: Probe) -> SourceRow:
    row = SourceRow(entry, ref.uri, ref.size, ref.etag, ref.version, None, FAILED, tenant=ref.tenant or "")
    try:
        data = await asyncio.to_thread(read, ref)
    except SourceError as error:
        return replace(row, reason=error.reason, message=str(error))
    except RejectedDocumentError as error:
        return replace(row, state=REJECTED, reason=error.reason, message=str(error))
    row = replace(row, sha256=sha256_hex(data), size=len(data))
    try:
        info = await probe(data)
    except RejectedDocumentError as error:
        return replace(row, state=REJECTED, reason=error.reason, message=str(error))
    except RenderError as error:
        return replace(row, state=FAILED, reason=error.code, message=str(error))
    return replace(row, state=ACCEPTED, pages=info.page_count)


def _mark_duplicates(rows: Sequence[SourceRow]) -> list[SourceRow]:
    first: dict[tuple[str, str], str] = {}
    marked = []
    for row in rows:
        original = first.get((row.tenant, row.sha256)) if row.sha256 else None
        if row.sha256 and original is None:
            first[row.tenant, row.sha256] = row.uri
        marked.append(replace(row, duplicate_of=original))
    return marked
