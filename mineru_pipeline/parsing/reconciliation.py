"""Compares what buckets hold with what manifests and tables say, and requests what is missing.

A sensor sees what is new to it, and a message is read once; what both have missed, nobody would ever look for.
So from time to time everything is compared, and whatever is in a bucket and nowhere else becomes a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from minio.datatypes import Object as ListedObject

from mineru_pipeline.documents.manifest import BatchManifest, batch_key_for_folder, write_manifest
from mineru_pipeline.documents.refs import ORIGIN_FOLDER, ORIGIN_RECONCILIATION, DocumentRef, utc_moment, utc_text
from mineru_pipeline.documents.sweep import PAGE
from mineru_pipeline.documents.watching import ListObjects, is_document, listed_reference, own_prefix, shown_uri
from mineru_pipeline.errors import SourceError, StoreError
from mineru_pipeline.parsing.accounts import STANDINGS, VOID, Account, accounts
from mineru_pipeline.parsing.difference import CHANGED, FRESH, GONE, MISSING, OTHER, SHOWN, PlaceReport, Reconciliation
from mineru_pipeline.parsing.holdings import Comparison, CurrentVersion, Holding, Holdings, Place
from mineru_pipeline.storage import ObjectStore

#: Documents requested at once: partitions and the run queue want to be filled slowly. The rest is found next time.
MOST_REQUESTED = 100_000

#: Told of a place, and how many of its objects have been compared so far.
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A place to reconcile."""

    place: Place
    #: Whether what is found there is the tenant's, even where others have announced documents, too.
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares places with the batches of a store."""

    store: ObjectStore
    list_objects: ListObjects
    current_version: CurrentVersion
    tenant: str
    batch_size: int
    #: Younger objects are left to the sensors, which most likely are about to take them in.
    grace: timedelta
    most: int = MOST_REQUESTED

    def reconcile(
        self,
        targets: Sequence[Target],
        *,
        now: datetime,
        partitions: Callable[[], Collection[str]] | None = None,
        request: bool = True,
        progress: Progress = lambda _place, _listed: None,
    ) -> Reconciliation:
        """Compare every target and, where ``request`` says so, fix batches of what is missing.

        A place that cannot be listed keeps no other from being compared.

        Args:
            targets: what to compare; no object lies in two of them.
            now: the present moment.
            partitions: tells which batches have a partition; None leaves that open.
            request: whether to write manifests.
            progress: told after each page.

        Raises:
            StoreError: the batches cannot be read.
        """
        started, result = time.monotonic(), Reconciliation()
        comparisons = self._take_stock(targets, result, now - self.grace)
        for target, (comparison, tenants) in zip(targets, comparisons, strict=True):
            report = PlaceReport(str(target.place), note=self._reason_against(target, tenants))
            result.places.append(report)
            work = _Work(self, comparison, report, now, self.most - result.requested, request and not report.note)
            try:
                work.compare(progress)
            except StoreError as error:
                report.failure = str(error)
        self._name_gone(comparisons, result)
        # As late as possible: a sensor writes a manifest some moments before Dagster keeps the partition.
        known = frozenset(partitions() if partitions is not None else result.stranded)
        result.stranded = [batch for batch in result.stranded if batch not in known]
        result.seconds = time.monotonic() - started
        return result

    def _take_stock(
        self, targets: Sequence[Target], result: Reconciliation, settled: datetime
    ) -> list[tuple[Comparison, set[str]]]:
        holdings = [Holdings(target.place) for target in targets]
        for account in accounts(self.store):
            result.batches += 1
            if isinstance(account, str):
                result.damaged.append(account)
                continue
            batch = account.manifest.batch
            result.entries += len(account.manifest.refs)
            result.damaged += [account.damaged] if account.damaged else []
            if account.lacking:
                result.incomplete[batch] = len(account.lacking)
            if not account.tabled and _should_run(account, settled):
                result.stranded.append(batch)
            for holding in holdings:
                holding.add(account)
        return [(holding.close(self.current_version), holding.tenants) for holding in holdings]

    def _reason_against(self, target: Target, tenants: set[str]) -> str:
        others = ", ".join(sorted(tenants - {self.tenant}))
        if target.certain or not others:
            return ""
        return (
            f"Documents of other tenants were announced in {target.place} ({others}), so nothing tells whose the "
            "missing ones are, and none is requested. Name the tenant: mineru-pipeline reconcile "
            f"--bucket {target.place.bucket} --tenant …"
        )

    def _name_gone(self, comparisons: Sequence[tuple[Comparison, set[str]]], result: Reconciliation) -> None:
        """Name some objects that are gone: only their digests were kept, so the manifests are read once more."""
        pairs = [
            (report, comparison)
            for report, (comparison, _) in zip(result.places, comparisons, strict=True)
            if report.counts.get(GONE)
        ]
        if not pairs:
            return
        for account in accounts(self.store):
            if isinstance(account, str):
                continue
            for report, comparison in pairs:
                shown = report.examples.setdefault(GONE, [])
                # The same object may be in several batches.
                fresh = (uri for uri in comparison.gone_among(account) if uri not in shown)
                shown += list(dict.fromkeys(islice(fresh, SHOWN - len(shown))))
            if all(len(report.examples[GONE]) >= min(SHOWN, report.counts[GONE]) for report, _ in pairs):
                return


@dataclass(slots=True)
class _Work:
    """The comparison of one place."""

    reconciler: Reconciler
    comparison: Comparison
    report: PlaceReport
    now: datetime
    #: Documents that may be requested yet.
    left: int
    request: bool
    _wanting: list[tuple[DocumentRef, int]] = field(default_factory=list)

    def compare(self, progress: Progress) -> None:
        place, report = self.comparison.place, self.report
        own = own_prefix(self.reconciler.store, place.bucket)
        if own is not None and place.prefix.startswith(own):
            report.note = f"{place} is where the store itself lies; it is not compared."
            return
        listing = iter(self.reconciler.list_objects(place.bucket, place.prefix, ""))
        while page := list(islice(listing, PAGE)):
            for item, holding in zip(page, self.comparison.look_up(page), strict=True):
                kind = self._kind(item, holding, own)
                report.count(kind, shown_uri(place.bucket, str(item.object_name)))
                if kind in {MISSING, CHANGED}:
                    self._want(item, holding)
            report.listed += len(page)
            progress(report.place, report.listed)
        self._fix()
        if self.comparison.gone:
            report.counts[GONE] = self.comparison.gone

    def _kind(self, item: ListedObject, holding: Holding, own: str | None) -> str:
        if holding.standing != VOID:
            return STANDINGS[holding.standing]
        key = str(item.object_name)
        if not is_document(key) or (own is not None and key.startswith(own)):
            return OTHER
        if item.last_modified is not None and item.last_modified > self.now - self.reconciler.grace:
            return FRESH
        return CHANGED if holding.known and not holding.earlier else MISSING

    def _want(self, item: ListedObject, holding: Holding) -> None:
        if not self.request:
            return
        if self.left <= 0:
            most = self.reconciler.most
            self.report.note = f"At most {most} documents are requested at once; the rest is found the next time."
            return
        place = self.comparison.place
        try:
            ref = listed_reference(place.bucket, item, utc_text(self.now), ORIGIN_RECONCILIATION)
        except SourceError as error:
            self.report.note = f"Not all can be requested: {error}"
            return
        self.left -= 1
        self._wanting.append((ref, holding.earlier))
        if len(self._wanting) == self.reconciler.batch_size:
            self._fix()

    def _fix(self) -> None:
        """Fix a batch of what was found so far; the same documents give the same batch."""
        if not self._wanting:
            return
        refs, earlier = zip(*self._wanting, strict=True)
        tenant = self.reconciler.tenant
        batch = BatchManifest(batch_key_for_folder(refs, tenant, earlier), tenant, refs)
        write_manifest(self.reconciler.store, batch)
        self.report.batches.append(batch.batch)
        self.report.requested += len(refs)
        self._wanting.clear()


def _should_run(account: Account, settled: datetime) -> bool:
    """Whether a run should be under way; those of the command are the command's to run, and to repeat."""
    return all(ref.origin != ORIGIN_FOLDER and utc_moment(ref.received_at) <= settled for ref in account.manifest.refs)
