"""Parses the corpus with the engine, and keeps what came out as a measurement."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mineru_pipeline.documents.refs import public_uri, utc_text
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.launch import claim_run
from mineru_pipeline.parsing import interrupts
from mineru_pipeline.parsing.engine import DocumentInput
from mineru_pipeline.parsing.exporter import serving_metrics
from mineru_pipeline.parsing.metrics import figures
from mineru_pipeline.parsing.outcome import DocumentOutcome
from mineru_pipeline.parsing.progress import ProgressListener
from mineru_pipeline.parsing.render import sandbox_config
from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.measurements import (
    Begun,
    Corpus,
    CorpusEntry,
    MeasuredDocument,
    MeasuredModel,
    Measurement,
    Selection,
)
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from resources.documents import DocumentStore, PipelineSettings
from resources.parsing import build_engine, limits_of, model_of, revisions_of

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class QualityMeter(dg.ConfigurableResource[None]):
    """Measures the present settings on the corpus; a sample takes the first documents of each stratum."""

    settings: dg.ResourceDependency[PipelineSettings]
    store: dg.ResourceDependency[DocumentStore]
    #: ``baseline`` or ``held-back``; of the latter nobody looks at single documents.
    seed: str = measurements.BASELINE
    #: None takes all documents.
    sample: int | None = None
    _figures: dict[str, Any] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Record that this process executes the run, so that its death can be noticed."""
        if context.instance is not None and context.run is not None:
            claim_run(context.instance, context.run.run_id)

    @property
    def selection(self) -> Selection:
        """Which documents are measured."""
        return Selection(self.seed, self.sample)

    def corpus(self) -> Corpus:
        """The corpus in the store, made where it is not there yet; raises QualityError without the extra."""
        return measurements.make_corpus(self.store.open(), self.selection)

    def parse(self, name: str, started: datetime, origin: str, listener: ProgressListener) -> Measurement:
        """Parse the corpus as the measurement ``name``, or go on where an earlier attempt at it stopped."""
        settings, store, metrics = self.settings.load(), self.store.open(), ClientMetrics()
        version = measurements.corpus_version_of(self.selection)
        corpus = measurements.stored_corpus(store, version, self.selection)
        try:
            with serving_metrics(metrics.registry, settings.metrics.host, settings.metrics.port):
                noted = begin(settings, store, corpus, name, started, origin)
                return measure(settings, store, corpus, noted, listener, metrics=metrics)
        finally:
            self._figures = {"model_client": asdict(metrics.snapshot()), **figures(metrics.registry)}

    def figures(self) -> dict[str, Any]:
        """What client and engine counted during :meth:`parse`."""
        return self._figures

    def latest(self, name: str) -> Measurement:
        """The measurement ``name`` or, where this run made none, the newest one of the present settings.

        Raises:
            QualityError: there is none.
        """
        store, revision = self.store.open(), revisions_of(self.settings.load()).parser
        version = measurements.corpus_version_of(self.selection)
        own = [each for each in measurements.begun(store, version, revision) if each.name == name]
        found = next(filter(None, (measurements.find(store, each) for each in own)), None)
        found = found or measurements.latest(store, version, parser_revision=revision, selection=self.selection)
        if found is None:
            raise measurements.not_measured(version, self.selection, revision)
        return found


def begin(settings: Settings, store: ObjectStore, corpus: Corpus, name: str, started: datetime, origin: str) -> Begun:
    """Note that a measurement with these settings begins."""
    revision = revisions_of(settings).parser
    return measurements.begin(store, Begun(name, corpus.version, corpus.selection, revision, utc_text(started), origin))


def name_of(started: datetime, identity: str) -> str:
    """The name of a measurement: names sort by time, and ``identity`` tells two of the same second apart."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{identity[:8]}"


def measure(
    settings: Settings,
    store: ObjectStore,
    corpus: Corpus,
    begun: Begun,
    listener: ProgressListener,
    *,
    metrics: ClientMetrics | None = None,
    now: Clock = _now,
) -> Measurement:
    """Parse the documents of a corpus for a measurement that was begun; of one that is complete, nothing is parsed.

    Raises:
        PipelineError: what concerns all documents, such as a model server that is gone; finished pages are kept, and
            the same call goes on from there.
    """
    complete = measurements.find(store, begun)
    if complete is not None:
        return complete
    outcomes = interrupts.run(_parse(settings, store, corpus, begun.tenant, listener, metrics or ClientMetrics()))
    measured = [_measured(entry, outcome) for entry, outcome in zip(corpus.entries, outcomes, strict=True)]
    model, server = model_of(settings), settings.vllm_server
    addresses = tuple(public_uri(url) for url in server.endpoints)
    return measurements.keep(
        store,
        Measurement(
            name=begun.name,
            corpus=corpus.version,
            selection=corpus.selection,
            parser_revision=begun.parser_revision,
            extraction_revision=revisions_of(settings).extraction,
            model=MeasuredModel(model.name, model.revision, model.is_stand_in, addresses),
            started_at=begun.started_at,
            ended_at=utc_text(now()),
            documents=tuple(measured),
        ),
    )


async def _parse(
    settings: Settings,
    store: ObjectStore,
    corpus: Corpus,
    tenant: str,
    listener: ProgressListener,
    metrics: ClientMetrics,
) -> list[DocumentOutcome]:
    """As a batch is parsed, but without manifest, table and quarantine: nobody waits for these documents."""
    documents = [
        DocumentInput(store.uri(entry.pdf), entry.sha256, entry.pages, partial(store.get, entry.pdf), tenant)
        for entry in corpus.entries
    ]
    async with Sandbox(sandbox_config(limits_of(settings))) as sandbox:
        engine = build_engine(settings, store, sandbox, listener, metrics)
        return await engine.parse(documents)


def _measured(entry: CorpusEntry, outcome: DocumentOutcome) -> MeasuredDocument:
    return MeasuredDocument(
        name=entry.name,
        stratum=entry.stratum,
        pages=entry.pages,
        sha256=entry.sha256,
        state=str(outcome.state),
        reason=outcome.reason,
        message=outcome.message,
        degraded_pages=outcome.degraded_pages,
        seconds=round(outcome.seconds, 3),
        requests=outcome.requests,
        outputs=outcome.outputs,
    )
