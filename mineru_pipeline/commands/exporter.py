"""``mineru-pipeline exporter``: shows how the whole pipeline does to Prometheus, between runs as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger
from prometheus_client import CollectorRegistry
from rich.console import Console

from assets import quality
from mineru_pipeline import runs
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.monitoring.metrics import Look, PipelineMetrics
from mineru_pipeline.monitoring.survey import StoreSurvey
from mineru_pipeline.parsing import backoff
from mineru_pipeline.parsing.exporter import serving_metrics
from mineru_pipeline.settings import Settings
from resources.documents import LOOK_PATIENCE_SECONDS, open_store
from resources.parsing import revisions_of

EXIT_OK, EXIT_NO_PORT = 0, 1


@dataclass(slots=True)
class Exporter:
    """Looks at store and instance, one after the other; what fails is shown as such, and looked at again."""

    settings: Settings
    metrics: PipelineMetrics
    survey: StoreSurvey
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, settings: Settings) -> Exporter:
        """Return one for a store and an instance that exist or will.

        Raises:
            SettingsError: what the store needs is not set.
        """
        store = open_store(settings, patience_seconds=LOOK_PATIENCE_SECONDS)
        patience = backoff.documents(settings.backfills.most_attempts)
        return cls(settings, PipelineMetrics(), StoreSurvey(store, revisions_of(settings).parser, patience))

    def look(self) -> None:
        """Look once at everything."""
        started, view = self.clock(), None
        try:
            view = self.survey.look()
        except PipelineError as error:
            logger.warning("the store could not be looked at: {}", error)
        self.metrics.saw_store(self._took(started, up=view is not None), view)
        started, pulse, stuck = self.clock(), None, None
        try:
            with runs.looking(self.settings) as instance:
                if instance is not None:
                    pulse = runs.pulse(instance, [spec.key for check in quality.CHECKS for spec in check.check_specs])
                    stuck = None if view is None else runs.stuck(instance, view.open)
        except Exception as error:  # noqa: BLE001  a database's errors have no common kind, and none may end this process
            logger.warning("the Dagster instance could not be looked at: {}: {}", type(error).__name__, error)
            pulse = None
        self.metrics.saw_dagster(self._took(started, up=pulse is not None), pulse, stuck)

    def _took(self, started: float, *, up: bool) -> Look:
        ended = self.clock()
        return Look(up, ended - started, ended)


def serve(
    settings: Settings, *, host: str, port: int, interval: float, console: Console, ended: threading.Event
) -> int:
    """Serve until ``ended`` is set; exit code 1 where the port cannot be had.

    Raises:
        SettingsError: what the store needs is not set.
    """
    exporter, registry = Exporter.of(settings), CollectorRegistry()
    registry.register(exporter.metrics)
    with serving_metrics(registry, host, port) as taken:
        if taken is None:
            console.print(f"[red]error:[/] {host} port {port} cannot be had; give another --port", soft_wrap=True)
            return EXIT_NO_PORT
        console.print(f"metrics of the pipeline: http://{f'[{host}]' if ':' in host else host}:{taken}/metrics")
        while not ended.is_set():
            started = time.monotonic()
            exporter.look()
            # A look that takes long is not followed by the next at once.
            ended.wait(max(interval, time.monotonic() - started))
    return EXIT_OK
