"""Builds intake and engine, with everything they stand on, from the settings."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mineru_pipeline.devserver.identity import MODEL_ID, code_revision
from mineru_pipeline.devserver.process import ManagedServer, ServerOptions
from mineru_pipeline.documents import intake
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.probe import Limits, probe, probing_config
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.documents.source import Source
from mineru_pipeline.errors import ModelServerError, StoreError, StoreUnavailableError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import BreakerConfig, ClientConfig
from mineru_pipeline.inference.limiter import Limiter
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.transport import MinerUTransport, build_mineru_client
from mineru_pipeline.launch import claim_run
from mineru_pipeline.parsing import interrupts, ledger, quarantine, release
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.engine import DocumentInput, Engine, EngineLimits
from mineru_pipeline.parsing.exporter import serving_metrics
from mineru_pipeline.parsing.extract import MinerUExtractor, PageExtractor
from mineru_pipeline.parsing.ledger import ParsedRow, SignalsRow
from mineru_pipeline.parsing.metrics import ParsingMetrics, figures
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.progress import ProgressListener
from mineru_pipeline.parsing.proof import prove
from mineru_pipeline.parsing.render import PdfSession, RenderOptions, sandbox_config
from mineru_pipeline.parsing.revision import ModelIdentity, Revisions, revisions
from mineru_pipeline.quality import bands
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore, layout
from resources.documents import DocumentStore, PipelineSettings, open_sources


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """What became of a batch: one row a manifest entry, and one for the signals of each document that was parsed."""

    rows: list[ParsedRow]
    signals: list[SignalsRow]


class DocumentParser(dg.ConfigurableResource[None]):
    """Intake and parsing of one batch."""

    settings: dg.ResourceDependency[PipelineSettings]
    store: dg.ResourceDependency[DocumentStore]
    _client_figures: dict[str, Any] = PrivateAttr(default_factory=dict)
    _parsing_figures: dict[str, Any] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Record that this process executes the run, so that its death can be noticed.

        Resources are set up as the first thing in a run, while a step may wait for its pool for hours.
        """
        if context.instance is not None and context.run is not None:
            claim_run(context.instance, context.run.run_id)

    def revisions(self) -> Revisions:
        """The revisions that these settings give."""
        return revisions_of(self.settings.load())

    def examine(self, batch: str) -> list[SourceRow]:
        """Read, hash and probe every entry of a batch."""
        return interrupts.run(examine(self.settings.load(), self.store.open(), batch))

    def parse(self, batch: str, listener: ProgressListener) -> ParsedBatch:
        """Parse what intake accepted of a batch."""
        settings, metrics = self.settings.load(), ClientMetrics()
        try:
            with serving_metrics(metrics.registry, settings.metrics.host, settings.metrics.port):
                return interrupts.run(parse(settings, self.store.open(), batch, listener, metrics))
        finally:
            self._client_figures = asdict(metrics.snapshot())
            self._parsing_figures = figures(metrics.registry)

    def client_figures(self) -> dict[str, Any]:
        """What the model client counted during :meth:`parse`."""
        return self._client_figures

    def parsing_figures(self) -> dict[str, Any]:
        """Pages by outcome, seconds by stage and their like, as counted during :meth:`parse`."""
        return self._parsing_figures


def revisions_of(settings: Settings) -> Revisions:
    """The revisions that the settings give; nothing is asked of a server."""
    fallback = settings.parsing.text_layer_fallback
    return revisions(model_of(settings), render_options(settings), text_layer_fallback=fallback)


def model_of(settings: Settings) -> ModelIdentity:
    """Who answers: the configured model or, without a server, the dev server started for the run."""
    server = settings.vllm_server
    if server.endpoints:
        return ModelIdentity(server.model, server.model_revision)
    return ModelIdentity(MODEL_ID, code_revision())


def render_options(settings: Settings) -> RenderOptions:
    """What the model sees of a page."""
    return RenderOptions(dpi=settings.rendering.dpi, max_long_edge_px=settings.rendering.max_long_edge_px)


def limits_of(settings: Settings) -> Limits:
    """What a document may cost."""
    limits = settings.limits
    return Limits(
        max_bytes=limits.max_bytes,
        max_pages=limits.max_pages,
        max_page_edge_pt=limits.max_page_edge_pt,
        seconds_per_page=limits.seconds_per_page,
        memory_mib=limits.memory_mib,
    )


def engine_limits(settings: Settings) -> EngineLimits:
    """How much a run takes on at once, and for how long."""
    return EngineLimits(render_children=settings.workers.count, batch_seconds=settings.workers.timeout_seconds)


def client_config(settings: Settings, base_urls: tuple[str, ...]) -> ClientConfig:
    """The model client's configuration for these servers."""
    server, http = settings.vllm_server, settings.http_client
    breaker = http.circuit_breaker
    return ClientConfig(
        base_urls=base_urls,
        model=model_of(settings).name,
        model_revision=model_of(settings).revision,
        api_key=server.api_key.get_secret_value() if server.api_key else None,
        connection_pool_size=http.connection_pool_size,
        limiter_minimum=http.limiter.minimum,
        limiter_maximum=http.limiter.maximum,
        keepalive_connections=http.keepalive_connections,
        keepalive_expiry_seconds=http.keepalive_expiry_seconds,
        timeout_seconds=http.timeout_seconds,
        connection_timeout_seconds=server.connection_timeout_seconds,
        retry_attempts=http.retry_attempts,
        backoff_min_seconds=http.backoff_min_seconds,
        backoff_max_seconds=http.backoff_max_seconds,
        total_deadline_seconds=http.total_deadline_seconds,
        outage_budget_seconds=http.outage_budget_seconds,
        health_check_interval_seconds=server.health_check_interval_seconds,
        breaker=BreakerConfig(
            enabled=breaker.enabled,
            failure_threshold=breaker.failure_threshold,
            recovery_timeout_seconds=breaker.recovery_timeout_seconds,
            success_threshold=breaker.success_threshold,
            # Whoever needs half of the time-out is about to be cut off by it.
            slow_call_duration_threshold_seconds=http.timeout_seconds / 2,
        ),
    )


@asynccontextmanager
async def open_model(
    settings: Settings, metrics: ClientMetrics, limiter: Limiter | None = None
) -> AsyncIterator[PageExtractor]:
    """An extractor on the configured servers, or on a dev server that lives as long as this context.

    Raises:
        ModelServerError: the server is disabled, not what the settings say, or cannot be started.
        OutageError: no server answers.
    """
    if not settings.vllm_server.enabled:
        raise ModelServerError(
            "vllm_server.enabled is off, and there are pages that no model has read yet. Turn it on to read them."
        )
    async with (
        _served(settings) as base_urls,
        VLLMClient(client_config(settings, base_urls), metrics=metrics, limiter=limiter) as client,
    ):
        await client.verify_model()
        mineru = build_mineru_client(MinerUTransport(client))
        await prove(mineru)
        yield MinerUExtractor(mineru)


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[tuple[str, ...]]:
    if settings.vllm_server.endpoints:
        yield settings.vllm_server.endpoints
        return
    key = settings.vllm_server.api_key
    options = ServerOptions(api_key=key.get_secret_value() if key else None)
    async with ManagedServer(settings.data_dir.expanduser().absolute() / "logs" / "devserver.log", options) as server:
        yield (server.base_url,)


async def examine(settings: Settings, store: ObjectStore, batch: str) -> list[SourceRow]:
    """Intake of a batch; see :func:`mineru_pipeline.documents.intake.examine`."""
    limits = limits_of(settings)
    manifest = read_manifest(store, batch)
    refs = [replace(ref, tenant=manifest.tenant_of(ref)) for ref in manifest.refs]
    async with Sandbox(probing_config(limits)) as sandbox:
        return await intake.examine(
            refs,
            partial(open_sources(settings), max_bytes=limits.max_bytes),
            partial(probe, sandbox, limits=limits),
            settled=_settled(store, revisions_of(settings).parser, batch, refs),
        )


def _settled(
    store: ObjectStore, revision: str, batch: str, refs: Sequence[DocumentRef]
) -> Callable[[int], SourceRow | None]:
    """Look up earlier rows of this batch and revision that need no source: of what is committed or was refused.

    A batch is parsed again for the sake of some of its documents; meanwhile others may have left their bucket.
    """
    try:
        rows = ledger.read(store, ledger.SOURCE_DOCUMENTS, revision, batch, SourceRow)
    except StoreUnavailableError:
        raise
    except StoreError:
        # There is none, or none that can be read: then nothing is known, and it is written anew.
        rows = []
    earlier = {row.entry: row for row in rows if row.sha256 is not None}

    def settled(entry: int) -> SourceRow | None:
        row, ref = earlier.get(entry), refs[entry]
        if row is None or row.sha256 is None or row.uri != ref.uri:
            return None
        key = layout.result_key(ref.tenant or "", revision, row.sha256)
        committed = row.state == intake.ACCEPTED and store.exists(key)
        return row if committed or row.state == intake.REJECTED else None

    return settled


async def parse(
    settings: Settings, store: ObjectStore, batch: str, listener: ProgressListener, metrics: ClientMetrics
) -> ParsedBatch:
    """Parse what the intake of ``batch`` accepted, and note what failed in the quarantine."""
    revision = revisions_of(settings)
    manifest = read_manifest(store, batch)
    refs = manifest.refs
    sources = [
        replace(row, tenant=manifest.tenant_of(refs[row.entry]))
        for row in ledger.read(store, ledger.SOURCE_DOCUMENTS, revision.parser, batch, SourceRow)
    ]
    async with Sandbox(sandbox_config(limits_of(settings))) as sandbox:
        engine = build_engine(settings, store, sandbox, listener, metrics, batch=batch)
        engine.committer.metrics.rejected(sum(row.state == State.REJECTED for row in sources))
        documents = _inputs(sources, refs, open_sources(settings), settings.limits.max_bytes)
        outcomes = await engine.parse(documents)
    ended = {(document.tenant, document.sha256): end for document, end in zip(documents, outcomes, strict=True)}
    rows = ledger.join(sources, ended)
    quarantine.give_back(store, revision.parser)
    settled = release.settle(store, rows, refs, batch, revision=revision.parser)
    table = ledger.mark(store, ledger.PARSED_DOCUMENTS, revision.parser, batch)
    quarantine.record(store, settled, refs, batch, now=datetime.now(UTC), revision=revision.parser, table=table)
    thresholds = bands.shipped()
    return ParsedBatch(rows, ledger.signal_rows(sources, ended, thresholds.band, thresholds.version))


def build_engine(
    settings: Settings,
    store: ObjectStore,
    sandbox: Sandbox,
    listener: ProgressListener,
    metrics: ClientMetrics,
    limiter: Limiter | None = None,
    batch: str = "",
) -> Engine:
    """The engine that the settings describe; it opens PDFs in ``sandbox``.

    ``limiter`` takes the place of the one that the client makes for itself; ``batch`` is noted with each document.
    """
    revision = revisions_of(settings)
    return Engine(
        committer=Committer(
            store,
            settings.tenant,
            revision,
            model_of(settings),
            text_layer_fallback=settings.parsing.text_layer_fallback,
            batch=batch,
            metrics=ParsingMetrics(metrics.registry),
        ),
        open_pdf=partial(PdfSession, sandbox, limits=limits_of(settings), options=render_options(settings)),
        open_model=partial(open_model, settings, metrics, limiter),
        limits=engine_limits(settings),
        listener=listener,
    )


def _inputs(
    sources: list[SourceRow], refs: Sequence[DocumentRef], source: Source, max_bytes: int
) -> list[DocumentInput]:
    # By content, not by "duplicate_of": the first entry with these bytes may be the one that was lost.
    first = {
        (row.tenant, row.sha256): row
        for row in reversed(sources)
        if row.state == intake.ACCEPTED and row.sha256 is not None
    }
    return [
        DocumentInput(row.uri, sha256, row.pages, partial(source, refs[row.entry], max_bytes=max_bytes), tenant)
        for (tenant, sha256), row in sorted(first.items(), key=lambda item: item[1].entry)
        if sha256 is not None
    ]
