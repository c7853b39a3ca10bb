"""Buckets in memory and batches with tables, for tests of their comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from minio.datatypes import Object as ListedObject

from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef, utc_text
from mineru_pipeline.errors import StoreUnavailableError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.difference import Reconciliation
from mineru_pipeline.parsing.holdings import Place
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.parsing.reconciliation import Reconciler, Target
from mineru_pipeline.storage import ObjectStore
from mineru_pipeline.storage.addresses import object_uri

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(hours=3), NOW - timedelta(minutes=1)
GRACE = timedelta(minutes=10)
BEFORE, AFTER = utc_text(OLD - timedelta(hours=1)), utc_text(OLD + timedelta(hours=1))


@dataclass
class Shelf:
    """Buckets in memory, a store in a folder, and batches with tables."""

    store: ObjectStore
    objects: dict[str, list[ListedObject]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    def put(self, key: str, etag: str = "e1", *, at: datetime = OLD, bucket: str = "inbox", size: int = 1) -> None:
        kept = [item for item in self.objects.get(bucket, []) if item.object_name != key]
        item = ListedObject(bucket, key, last_modified=at, etag=etag, size=size)
        self.objects[bucket] = sorted([*kept, item], key=lambda item: str(item.object_name))

    def remove(self, key: str) -> None:
        self.objects["inbox"] = [item for item in self.objects["inbox"] if item.object_name != key]

    def listing(self, bucket: str, prefix: str, _after: str) -> Iterator[ListedObject]:
        for item in self.objects.get(bucket, []):
            if str(item.object_name).startswith(prefix):
                yield item
        if bucket in self.failing:
            raise StoreUnavailableError(f"Cannot list s3://{bucket}/: it is down.")

    def version(self, _bucket: str, key: str) -> str | None:
        self.asked.append(key)
        return self.versions.get(key)

    def batch(self, name: str, *refs: DocumentRef, tenant: str = "default", states: Sequence[str] = ()) -> str:
        key = f"20261101T000000Z-{name:0>12}"
        write_manifest(self.store, BatchManifest(key, tenant, refs))
        if states:
            self.table(key, refs, states)
        return key

    def table(self, batch: str, refs: Sequence[DocumentRef], states: Sequence[str], revision: str = "r1") -> None:
        """A table; a state can have a reason behind a colon, and an empty one has no row."""
        parts = [state.partition(":") for state in states]
        rows = [
            ParsedRow(number, ref.uri, None, None, state, reason, "", 1, 1, 0, 0, 0.0, 0, None, "")
            for number, (ref, (state, _, reason)) in enumerate(zip(refs, parts, strict=True))
            if state
        ]
        ledger.write(self.store, PARSED_DOCUMENTS, revision, batch, rows, ParsedRow)

    def reconciler(self, **changes: object) -> Reconciler:
        plain = Reconciler(self.store, self.listing, self.version, "default", batch_size=3, grace=GRACE)
        return replace(plain, **changes)  # type: ignore[arg-type]  # passed on

    def reconcile(self, *targets: Target, request: bool = True, **changes: object) -> Reconciliation:
        meant = targets or (Target(Place("inbox")),)
        return self.reconciler(**changes).reconcile(meant, now=NOW, partitions=list, request=request)


def ref(key: str, etag: str | None = "e1", **changes: object) -> DocumentRef:
    plain = DocumentRef(object_uri("inbox", key), None, etag, None, AFTER, "kafka")
    return replace(plain, **changes)  # type: ignore[arg-type]  # passed on


def counts(found: Reconciliation) -> dict[str, int]:
    return {kind: count for kind, count in found.counts.items() if count}
