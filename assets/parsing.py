"""Parsing a batch as an asset, and the checks on what came out."""

import base64
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import dagster as dg

from assets.documents import document_batches, source_documents
from assets.drift import bands_metadata, leave_for_detector, no_drift_of
from assets.quarantine import show_after_run
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.errors import ObjectNotFoundError
from mineru_pipeline.launch import explained_failures
from mineru_pipeline.parsing import ledger, verdicts
from mineru_pipeline.parsing.commit import MARKDOWN, THUMBNAIL
from mineru_pipeline.parsing.ledger import ParsedRow, SignalsRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.progress import ProgressListener
from mineru_pipeline.parsing.verdicts import Verdict
from mineru_pipeline.storage import ObjectStore
from resources.documents import DocumentStore
from resources.parsing import DocumentParser
from resources.results import ResultOutbox

PREVIEW_CHARACTERS = 800
ROWS_SHOWN = 500


@dg.asset(
    partitions_def=document_batches,
    deps=[source_documents],
    group_name="parsing",
    kinds={"markdown"},
    pool="vllm",
)
def parsed_documents(
    context: dg.AssetExecutionContext,
    store: DocumentStore,
    parser: DocumentParser,
    outbox: ResultOutbox,
    progress: dg.ResourceParam[ProgressListener],
) -> dg.MaterializeResult[None]:
    """Markdown, JSON, images and reports of every document of a batch, committed in the store."""
    batch = context.partition_key
    started = time.monotonic()
    with explained_failures():
        parsed = parser.parse(batch, progress)
        rows = parsed.rows
        opened, revision = store.open(), parser.revisions().parser
        # Before the tables: after them, nothing would tell a later run that they were never told.
        outbox.put(batch, revision, rows)
        leave_for_detector(opened, revision, batch, parsed.signals)
        ledger.write(opened, ledger.DOCUMENT_SIGNALS, revision, batch, parsed.signals, SignalsRow)
        key = ledger.write(opened, ledger.PARSED_DOCUMENTS, revision, batch, rows, ParsedRow)
        seconds = time.monotonic() - started
        show_after_run(context, opened, parser.settings.load())
        figures = {"model_client": parser.client_figures(), **parser.parsing_figures()}
        metadata = parsed_metadata(rows, opened, key, seconds, figures)
        return dg.MaterializeResult(metadata={**metadata, **bands_metadata(parsed.signals)})


def parsed_metadata(
    rows: Sequence[ParsedRow], store: ObjectStore, key: str, seconds: float, figures: Mapping[str, dict[str, object]]
) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a parse: counts, a table, a preview and a thumbnail, never whole documents."""
    originals = [row for row in rows if row.duplicate_of is None]
    pages = sum(row.parsed_pages for row in originals)
    example = next((row for row in originals if row.outputs), None)
    # The UI keeps this order: what people look at comes first.
    metadata: dict[str, dg.MetadataValue] = {
        state: dg.MetadataValue.int(count) for state, count in _states(rows).items()
    }
    if rows:
        metadata["documents"] = dg.MetadataValue.table([dg.TableRecord(_record(row)) for row in rows[:ROWS_SHOWN]])
    if example is not None:
        metadata |= _pictures(example, store)
    return {
        **metadata,
        "entries": dg.MetadataValue.int(len(rows)),
        "distinct": dg.MetadataValue.int(len(originals)),
        "pages": dg.MetadataValue.int(pages),
        "degraded_pages": dg.MetadataValue.int(sum(row.degraded_pages for row in originals)),
        "pages_per_second": dg.MetadataValue.float(round(pages / seconds, 3) if seconds else 0.0),
        "seconds": dg.MetadataValue.float(round(seconds, 2)),
        "requests": dg.MetadataValue.int(sum(row.requests for row in originals)),
        **{name: dg.MetadataValue.json(values) for name, values in figures.items()},
        "table": dg.MetadataValue.text(key),
    }


def _states(rows: Sequence[ParsedRow]) -> dict[str, int]:
    found = Counter(row.state for row in rows)
    return {str(state): found.get(str(state), 0) for state in State}


def _record(row: ParsedRow) -> dict[str, str | int | float]:
    agreement = "" if row.agreement is None else round(row.agreement, 3)
    return {
        "uri": row.uri,
        "state": row.state,
        "reason": row.reason,
        "message": row.message,
        "pages": row.pages,
        "degraded_pages": row.degraded_pages,
        "agreement": agreement,
        "seconds": row.seconds,
        "requests": row.requests,
        "duplicate_of": row.duplicate_of or "",
        "outputs": row.outputs,
    }


def _pictures(row: ParsedRow, store: ObjectStore) -> dict[str, dg.MetadataValue]:
    found: dict[str, dg.MetadataValue] = {}
    try:
        text = store.get(row.outputs + MARKDOWN).decode()
        found["preview"] = dg.MetadataValue.md(text[:PREVIEW_CHARACTERS])
        picture = base64.b64encode(store.get(row.outputs + THUMBNAIL)).decode()
        found["thumbnail"] = dg.MetadataValue.md(f"![first page with its blocks](data:image/jpeg;base64,{picture})")
    except ObjectNotFoundError:
        # A page that could not be drawn has no thumbnail; the preview alone is fine.
        pass
    return found


def _check(verdict: Verdict, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=severity,
        description=verdict.message,
        metadata={"figures": dg.MetadataValue.json(verdict.figures)},
    )


def _rows(context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser) -> list[ParsedRow]:
    revision = parser.revisions().parser
    return ledger.read(store.open(), ledger.PARSED_DOCUMENTS, revision, context.partition_key, ParsedRow)


with warnings.catch_warnings():
    # A check's own partitions are marked as preview; without them a batch's verdict would
    # overwrite the verdict on every other batch.
    warnings.simplefilter("ignore", dg.PreviewWarning)

    @dg.asset_check(asset=parsed_documents, blocking=True, partitions_def=document_batches)
    def every_document_accounted_for(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """Each manifest entry ends in exactly one row and state."""
        manifest = read_manifest(store.open(), context.partition_key)
        uris = [ref.uri for ref in manifest.refs]
        return _check(verdicts.every_document_accounted_for(_rows(context, store, parser), uris))

    @dg.asset_check(asset=parsed_documents, blocking=True, partitions_def=document_batches)
    def failure_rate_within_limit(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """Not too many documents failed (``checks.max_failure_rate``)."""
        limit = parser.settings.load().checks.max_failure_rate
        return _check(verdicts.failure_rate_within(_rows(context, store, parser), limit))

    @dg.asset_check(asset=parsed_documents, partitions_def=document_batches)
    def page_count_preserved(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """Every parsed document has all its pages."""
        return _check(verdicts.page_count_preserved(_rows(context, store, parser)))

    @dg.asset_check(asset=parsed_documents, partitions_def=document_batches)
    def text_layer_agreement(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """The outputs hold the words of the PDFs' own text layers (``checks.min_text_layer_agreement``)."""
        minimum = parser.settings.load().checks.min_text_layer_agreement
        verdict = verdicts.agrees_with_text_layer(_rows(context, store, parser), minimum)
        return _check(verdict, dg.AssetCheckSeverity.WARN)

    @dg.asset_check(asset=parsed_documents, partitions_def=document_batches)
    def no_degenerate_output(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """No page loops or comes out empty."""
        return _check(verdicts.no_degenerate_output(_rows(context, store, parser)))

    @dg.asset_check(asset=parsed_documents, partitions_def=document_batches)
    def no_drift(
        context: dg.AssetCheckExecutionContext, store: DocumentStore, parser: DocumentParser
    ) -> dg.AssetCheckResult:
        """Documents do not look other than those before them; at most one false warning in 10,000 documents."""
        return no_drift_of(store.open(), parser.revisions().parser, context.log)


CHECKS = [
    every_document_accounted_for,
    failure_rate_within_limit,
    page_count_preserved,
    text_layer_agreement,
    no_degenerate_output,
    no_drift,
]
