"""Settings and object store as Dagster resources."""

from pathlib import Path

import dagster as dg

from mineru_pipeline import settings as pipeline_settings
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import FilesystemStore, ObjectStore


class PipelineSettings(dg.ConfigurableResource[None]):
    """Where a run's settings come from; no value and no secret is ever part of a run's configuration."""

    config_file: str | None = None
    #: Overrides ``storage.root``, so that re-executing a run works on the same store.
    store_root: str | None = None

    def load(self) -> Settings:
        """Read the settings; raises SettingsError."""
        overrides = {"storage.root": self.store_root} if self.store_root else {}
        file = Path(self.config_file) if self.config_file else None
        return pipeline_settings.load(file, overrides=overrides).settings


class DocumentStore(dg.ConfigurableResource[None]):
    """The object store of the settings."""

    settings: dg.ResourceDependency[PipelineSettings]

    def open(self) -> ObjectStore:
        """The store; nothing is connected or created yet."""
        return FilesystemStore(self.settings.load().store_root)
