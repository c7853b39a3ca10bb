"""The manifest of a batch: an immutable list of documents, fixed the moment it is first written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mineru_pipeline.documents.refs import DocumentRef, utc_moment
from mineru_pipeline.errors import ObjectNotFoundError, SourceError, StoreError
from mineru_pipeline.storage import ObjectStore
from mineru_pipeline.storage.layout import MANIFEST_SUFFIX, MANIFESTS, manifest_key

SCHEMA = "mineru-pipeline.manifest/1"
_HASH_DIGITS = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogRange:
    """The part of a message log that a batch was made of: from ``first_offset`` up to, not with, ``next_offset``."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class BatchManifest:
    """A batch: its key, which is its partition, whose documents they are, and the documents."""

    batch: str
    #: Of every document that names no tenant itself.
    tenant: str
    refs: tuple[DocumentRef, ...]
    #: Where it was announced; None for what was found in folders and listings.
    source: LogRange | None = None

    def tenant_of(self, ref: DocumentRef) -> str:
        """Whose document this is."""
        return ref.tenant or self.tenant


def batch_key_for_folder(refs: Sequence[DocumentRef], tenant: str, earlier: Sequence[int] = ()) -> str:
    """Return the key of the batch of a listing, such as ``20261121T224005Z-0f3a9c51d2e4``.

    The same documents in the same state give the same key to the same tenant, whenever and in whatever order they are
    listed; the time is that of the newest modification, so keys sort by time. ``earlier`` says for each how many
    entries meant this very state already and came to nothing: then another batch is wanted, not one that is over.
    """
    times = earlier or [0] * len(refs)
    identities = sorted(
        json.dumps([*ref.identity, before] if before else ref.identity) for ref, before in zip(refs, times, strict=True)
    )
    digest = hashlib.sha256("\n".join([tenant, *identities]).encode()).hexdigest()[:_HASH_DIGITS]
    newest = max((utc_moment(ref.modified_at) for ref in refs if ref.modified_at), default=_EPOCH)
    return f"{newest:%Y%m%dT%H%M%SZ}-{digest}"


def batch_digest_for_log(topic: str, partition: int, first_offset: int, generation: int = 0) -> str:
    """Return what identifies the start of a batch in a log; ``generation`` counts how often the log began anew."""
    start = json.dumps([topic, partition, first_offset, *([generation] if generation else [])])
    return hashlib.sha256(start.encode()).hexdigest()[:_HASH_DIGITS]


def batch_key_for_log(digest: str, first_message_at: datetime) -> str:
    """Return the key of the batch that starts there; the time is that of its first message, so keys sort by time."""
    return f"{first_message_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest}"


def batches_by_digest(store: ObjectStore) -> dict[str, str]:
    """Return the keys of all batches by their last part, whatever time they start with; this lists every manifest."""
    keys = (item.key.removeprefix(MANIFESTS).removesuffix(MANIFEST_SUFFIX) for item in store.list(MANIFESTS))
    return {key.rpartition("-")[2]: key for key in keys}


def write_manifest(store: ObjectStore, manifest: BatchManifest) -> BatchManifest:
    """Fix the batch, unless it is fixed already; returns what the store holds, which is what counts."""
    store.put_if_absent(manifest_key(manifest.batch), _encode(manifest))
    return read_manifest(store, manifest.batch)


def read_manifest(store: ObjectStore, batch: str) -> BatchManifest:
    """Return the manifest; raises :class:`ObjectNotFoundError` and, if it is damaged, :class:`StoreError`."""
    key = manifest_key(batch)
    try:
        data = store.get(key)
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(
            f"There is no batch {batch!r}: {store.uri(key)} does not exist. Batches are made by "
            "`mineru-pipeline run PATH` and by the sensors, always before their run starts."
        ) from error
    try:
        return _decode(data, batch)
    except (ValueError, KeyError, TypeError, RecursionError, SourceError) as error:
        raise StoreError(
            f"The manifest {store.uri(key)} is damaged: {error}. Restore it from a backup, or remove it and announce "
            "its documents again."
        ) from error


def _encode(manifest: BatchManifest) -> bytes:
    header: dict[str, object] = {
        "schema": SCHEMA,
        "batch": manifest.batch,
        "tenant": manifest.tenant,
        "documents": len(manifest.refs),
    }
    if manifest.source is not None:
        header["source"] = asdict(manifest.source)
    lines = [json.dumps(header, ensure_ascii=False, separators=(",", ":")), *(ref.to_json() for ref in manifest.refs)]
    return "".join(f"{line}\n" for line in lines).encode()


def _decode(data: bytes, batch: str) -> BatchManifest:
    header_line, *lines = data.decode().removesuffix("\n").split("\n")
    header = json.loads(header_line)
    if header["schema"] != SCHEMA:
        raise ValueError(f"its schema is {header['schema']!r}, this version reads {SCHEMA!r}")
    if header["batch"] != batch:
        raise ValueError(f"it is the manifest of {header['batch']!r}")
    if header["documents"] != len(lines):
        raise ValueError(f"it announces {header['documents']} documents and lists {len(lines)}")
    source = _log_range(**header["source"]) if "source" in header else None
    return BatchManifest(batch, str(header["tenant"]), tuple(DocumentRef.from_json(line) for line in lines), source)


def _log_range(topic: Any, partition: Any, first_offset: Any, next_offset: Any) -> LogRange:
    if not isinstance(topic, str) or any(type(each) is not int for each in (partition, first_offset, next_offset)):
        raise ValueError("its source names no topic, partition and offsets")
    if not 0 <= first_offset < next_offset:
        # Whoever reads a log on from its end would come to the same batch again, for ever.
        raise ValueError(f"its source ends at offset {next_offset}, and begins at {first_offset}")
    return LogRange(topic, partition, first_offset, next_offset)
