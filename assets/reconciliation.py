"""How the buckets differ from the tables as an asset, and the check that nothing was missing."""

from collections.abc import Mapping, Sequence

import dagster as dg

from mineru_pipeline.errors import StoreError
from mineru_pipeline.launch import claim_run, explained_failures
from mineru_pipeline.parsing import verdicts
from mineru_pipeline.parsing.difference import KINDS, PlaceReport, Reconciliation
from resources.reconciling import BucketReconciler

BATCHES_SHOWN = 100
#: What cannot be read, one sentence each, beside the number of them.
DAMAGED = "damaged_objects"

_Row = Mapping[str, str | int]


@dg.asset(group_name="intake", kinds={"s3"})
def bucket_reconciliation(
    context: dg.AssetExecutionContext, reconciler: BucketReconciler
) -> dg.MaterializeResult[None]:
    """The difference between what the buckets hold and what the tables say; what is missing is requested.

    A damaged table stops nothing: it is named here and by the check, or one object would keep all others from being
    compared until somebody comes.
    """
    claim_run(context.instance, context.run.run_id)
    with explained_failures():
        found = reconciler.reconcile(context.instance, context.log.info)
    metadata = reconciliation_metadata(found)
    if found.unlisted:
        # On the asset's page, for a run that fails materializes nothing, and what it had logged is dropped.
        context.instance.report_runless_asset_event(
            dg.AssetObservation(
                context.asset_key, metadata=metadata, description=f"incomplete, from run {context.run.run_id}"
            )
        )
        text = "Not everything could be compared. " + " ".join(found.unlisted)
        raise dg.Failure(text, metadata=metadata, allow_retries=False) from StoreError(text)
    return dg.MaterializeResult(metadata=metadata)


def reconciliation_metadata(found: Reconciliation) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a reconciliation: objects by kind, some of each by name, and what was requested."""
    # The UI keeps this order: what people look at comes first.
    counts = {name: dg.MetadataValue.int(count) for name, count in found.figures.items()}
    examples: list[_Row] = [
        {"kind": kind, "uri": uri} for kind in KINDS for report in found.places for uri in report.examples.get(kind, ())
    ]
    tables = {"examples": examples, "places": [_place(report) for report in found.places]}
    return {
        **counts,
        "seconds": dg.MetadataValue.float(round(found.seconds, 2)),
        # A table without rows has no columns, either.
        **{name: _table(rows) for name, rows in tables.items() if rows},
        "requested_batches": dg.MetadataValue.json(found.to_start[:BATCHES_SHOWN]),
        "incomplete_batches": dg.MetadataValue.json(dict(list(found.incomplete.items())[:BATCHES_SHOWN])),
        "stranded_batches": dg.MetadataValue.json(found.stranded[:BATCHES_SHOWN]),
        "failures": dg.MetadataValue.json(found.unlisted[:BATCHES_SHOWN]),
        DAMAGED: dg.MetadataValue.json(found.damaged[:BATCHES_SHOWN]),
    }


def _place(report: PlaceReport) -> _Row:
    counts = {"listed": report.listed, **{kind: report.counts.get(kind, 0) for kind in KINDS}}
    return {"place": report.place, **counts, "requested": report.requested, "note": report.failure or report.note}


def _table(rows: Sequence[_Row]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])


@dg.asset_check(asset=bucket_reconciliation)
def nothing_missing(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Sensors and announcements had missed nothing, and every batch accounts for its entries."""
    event = context.instance.get_latest_materialization_event(bucket_reconciliation.key)
    metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
    figures = {name: value.value for name, value in metadata.items() if isinstance(value, dg.IntMetadataValue)}
    verdict = verdicts.nothing_missing({name: count or 0 for name, count in figures.items()})
    named = metadata[DAMAGED].value if DAMAGED in metadata else []
    damaged = [str(text) for text in named] if isinstance(named, list) else []
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join([f"{verdict.message}.", *damaged]) if damaged else verdict.message,
        metadata={"figures": dg.MetadataValue.json(verdict.figures), DAMAGED: dg.MetadataValue.json(damaged)},
    )
