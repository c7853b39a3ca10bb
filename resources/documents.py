"""Settings and object store as Dagster resources."""

import threading
from pathlib import Path

import dagster as dg

from mineru_pipeline import settings as pipeline_settings
from mineru_pipeline.documents.buckets import BucketSource
from mineru_pipeline.documents.source import Sources, read_source
from mineru_pipeline.documents.watching import Watch, own_prefix, split
from mineru_pipeline.errors import InvalidKeyError, SettingsError
from mineru_pipeline.settings import LoadedSettings, Settings
from mineru_pipeline.settings_storage import store_overrides
from mineru_pipeline.storage import FilesystemStore, ObjectStore
from mineru_pipeline.storage.minio import MinioStore
from mineru_pipeline.storage.s3 import S3Config, S3Connection

#: A sensor comes back soon by itself, and has a minute in all.
LOOK_PATIENCE_SECONDS = 5.0


class PipelineSettings(dg.ConfigurableResource[None]):
    """Where a run's settings come from; no value and no secret is ever part of a run's configuration."""

    config_file: str | None = None
    #: A folder or ``s3://bucket/prefix`` in place of the settings' store, so that re-executing a run works on the same.
    store_root: str | None = None

    def load(self) -> Settings:
        """Read the settings; raises SettingsError."""
        return self.load_all().settings

    def load_all(self) -> LoadedSettings:
        """Read the settings, and where each came from; raises SettingsError."""
        overrides = store_overrides(self.store_root) if self.store_root else {}
        file = Path(self.config_file) if self.config_file else None
        return pipeline_settings.load(file, overrides=overrides)


class DocumentStore(dg.ConfigurableResource[None]):
    """The object store of the settings."""

    settings: dg.ResourceDependency[PipelineSettings]

    def open(self) -> ObjectStore:
        """The store; nothing is connected or created yet."""
        return open_store(self.settings.load())


def open_store(settings: Settings, *, patience_seconds: float | None = None) -> ObjectStore:
    """The store of the settings, whichever it is; nobody else asks. Nothing is connected or created yet.

    ``patience_seconds`` takes the place of minio.retry_budget_seconds where somebody waits for an answer.

    Raises:
        SettingsError: what the store needs is not set.
        StoreMisconfiguredError: minio.ca_file cannot be used.
    """
    storage = settings.storage
    if storage.backend == "filesystem":
        return FilesystemStore(settings.store_root)
    if storage.bucket is None:
        raise SettingsError("storage.backend is minio, but storage.bucket is not set: name a bucket that exists")
    try:
        return MinioStore(connect(settings, patience_seconds=patience_seconds), storage.bucket, storage.prefix)
    except InvalidKeyError as error:
        raise SettingsError(f"storage.prefix cannot be used: {error}") from error


def open_sources(settings: Settings) -> Sources:
    """Where documents are read: local files, and the buckets of intake.buckets; connected when one is asked for."""
    once = threading.Lock()
    opened: list[S3Connection] = []

    def connection() -> S3Connection:
        with once:
            if not opened:
                opened.append(connect(settings))
            return opened[0]

    return Sources({"file": read_source, "s3": BucketSource(frozenset(settings.intake.buckets), connection)})


def open_watch(settings: Settings) -> Watch:
    """What looks for new documents in the places of intake.watch; nothing is sent yet.

    Raises:
        SettingsError: the server is not set, or a place is where the store itself lies.
    """
    store = open_store(settings, patience_seconds=LOOK_PATIENCE_SECONDS)
    for place in settings.intake.watch:
        bucket, prefix = split(place)
        own = own_prefix(store, bucket)
        if own is not None and prefix.startswith(own):
            raise SettingsError(
                f"intake.watch names {place}, where the store itself lies ({store.address}): what is written there "
                "would come in as documents. Keep documents in another bucket, or give the store a storage.prefix"
            )
    listing = connect(settings, patience_seconds=LOOK_PATIENCE_SECONDS).listing
    return Watch(settings.intake.watch, store, listing, settings.tenant)


def connect(settings: Settings, *, patience_seconds: float | None = None) -> S3Connection:
    """A connection to the S3 server of the settings, for the store and for documents alike; nothing is sent yet.

    Raises:
        SettingsError: the server or its keys are not set.
        StoreMisconfiguredError: minio.ca_file cannot be used.
    """
    minio = settings.minio
    if minio.endpoint is None or minio.access_key is None or minio.secret_key is None:
        given = {"endpoint": minio.endpoint, "access_key": minio.access_key, "secret_key": minio.secret_key}
        missing = ", ".join(f"minio.{name}" for name, value in given.items() if value is None)
        raise SettingsError(f"an S3 server is to be asked, but {missing} is not set; keys belong in the environment")
    return S3Connection(
        S3Config(
            endpoint=minio.endpoint,
            access_key=minio.access_key.get_secret_value(),
            secret_key=minio.secret_key.get_secret_value(),
            region=minio.region,
            ca_file=minio.ca_file,
            connection_timeout_seconds=minio.connection_timeout_seconds,
            timeout_seconds=minio.timeout_seconds,
            patience_seconds=minio.retry_budget_seconds if patience_seconds is None else patience_seconds,
        )
    )
