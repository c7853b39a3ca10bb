"""The reconciler of the settings: which places it compares, and what it asks."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import dagster as dg

from mineru_pipeline import launch
from mineru_pipeline.documents.refs import is_unicode
from mineru_pipeline.documents.watching import split
from mineru_pipeline.errors import ObjectNotFoundError, SettingsError
from mineru_pipeline.parsing.difference import Reconciliation
from mineru_pipeline.parsing.holdings import CurrentVersion, Place
from mineru_pipeline.parsing.reconciliation import Reconciler, Target
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage.s3 import S3Connection
from resources.documents import PipelineSettings, connect, open_store

#: Pages between two lines in a run's log.
_PAGES_A_LINE = 50


class BucketReconciler(dg.ConfigurableResource[None]):
    """Compares the buckets of the settings with the tables, and requests what is missing."""

    settings: dg.ResourceDependency[PipelineSettings]

    def reconcile(self, instance: dg.DagsterInstance, log: Callable[[str], None]) -> Reconciliation:
        """Compare everything, and give what is missing a partition, for ``unfinished_batches`` to run.

        Raises:
            SettingsError: the S3 server is not set.
            StoreError: the batches cannot be read.
        """
        settings = self.settings.load()
        calls = 0

        def progress(place: str, listed: int) -> None:
            nonlocal calls
            calls += 1
            if calls % _PAGES_A_LINE == 0:
                log(f"{place}: {listed} objects compared")

        found = open_reconciler(settings).reconcile(
            targets(settings),
            now=datetime.now(UTC),
            partitions=lambda: instance.get_dynamic_partitions(launch.PARTITIONS),
            progress=progress,
        )
        launch.add_batches(instance, found.to_start)
        return found


def targets(
    settings: Settings, *, buckets: Collection[str] = (), prefix: str | None = None, certain: bool = False
) -> list[Target]:
    """Return the places to compare: of the settings, or those of some buckets, or one prefix.

    What is watched comes in under our tenant anyway. Elsewhere only announcements say whose a document is; where
    they named others, nothing is requested unless it is ``certain`` that what is missing is our tenant's.

    Raises:
        SettingsError: a bucket may not be read, or the prefix is none.
    """
    intake = settings.intake
    for bucket in buckets:
        if bucket not in intake.buckets:
            raise SettingsError(f"bucket {bucket[:80]!a} is not among intake.buckets, so it must not be read")
    watched = [Place(*split(name)) for name in intake.watch]
    if prefix is not None:
        if len(set(buckets)) != 1:
            raise SettingsError("a prefix lies in one bucket: name exactly one bucket with it")
        if not is_unicode(prefix):
            raise SettingsError(f"no key starts with {prefix[:80]!a}, which is not valid Unicode")
        place = Place(next(iter(buckets)), prefix)
        return [Target(place, certain=certain or any(w.holds(place.bucket, prefix) for w in watched))]
    others = intake.buckets if intake.reconcile == "allowed" else ()
    unwatched = sorted({*others, *buckets} - {place.bucket for place in watched})
    found = [*(Target(place) for place in watched)]
    found += [Target(Place(bucket), certain=certain) for bucket in unwatched]
    return [target for target in found if not buckets or target.place.bucket in buckets]


def open_reconciler(settings: Settings) -> Reconciler:
    """The reconciler of the settings; nothing is sent yet, and no S3 server need be set where no bucket is.

    Raises:
        SettingsError: there are buckets, and the S3 server is not set.
    """
    connection = connect(settings) if settings.intake.buckets else None
    return Reconciler(
        store=open_store(settings),
        list_objects=connection.listing if connection else lambda _bucket, _prefix, _after: (),
        current_version=_current_version(connection) if connection else lambda _bucket, _key: None,
        tenant=settings.tenant,
        batch_size=settings.workers.batch_size,
        grace=timedelta(seconds=settings.intake.reconcile_grace_seconds),
    )


def _current_version(connection: S3Connection) -> CurrentVersion:
    def current_version(bucket: str, key: str) -> str | None:
        if {".", ".."} & set(key.split("/")):
            # HTTP would resolve it to another object.
            return None
        try:
            found = connection.call(
                f"look at s3://{bucket}/{key}", bucket, lambda client, _attempt: client.stat_object(bucket, key)
            )
        except ObjectNotFoundError:
            return None
        return found.version_id

    return current_version
