"""The composition root: everything Dagster loads, put together without connecting to anything."""

from __future__ import annotations

import dagster as dg

from assets import documents, parsing, quality, quarantine, reconciliation
from mineru_pipeline.executor import patient_in_process_executor
from mineru_pipeline.launch import JOB
from mineru_pipeline.parsing.progress import ProgressListener, ignore_progress
from resources.documents import DocumentStore, PipelineSettings
from resources.measuring import QualityMeter
from resources.messages import MessageFeed
from resources.parsing import DocumentParser
from resources.reconciling import BucketReconciler
from resources.results import ResultOutbox
from sensors import alerts, backfills, batches, buckets, messages, reconciling, results, runs
from sensors import quality as quality_schedules


def build_definitions(progress: ProgressListener = ignore_progress) -> dg.Definitions:
    """The definitions, with somebody who watches the progress of runs in this process."""
    settings = PipelineSettings.configure_at_launch()
    store = DocumentStore(settings=settings)
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(documents.source_documents, parsing.parsed_documents),
        description="Intake, parse and check one batch of documents.",
        # One process for the whole batch: a step's own process would cost more than most steps.
        executor_def=patient_in_process_executor,
    )
    reconcile_job = dg.define_asset_job(
        reconciling.RECONCILE_JOB,
        selection=dg.AssetSelection.assets(reconciliation.bucket_reconciliation),
        description="Compare the buckets with the tables, and request what is missing.",
        executor_def=patient_in_process_executor,
    )
    quality_job = dg.define_asset_job(
        quality_schedules.QUALITY_JOB,
        selection=dg.AssetSelection.assets(*quality.ASSETS),
        description="Parse the corpus with the present settings, and compare it with the accepted baseline.",
        executor_def=patient_in_process_executor,
    )
    return dg.Definitions(
        assets=[
            documents.source_documents,
            parsing.parsed_documents,
            quarantine.quarantine,
            reconciliation.bucket_reconciliation,
            *quality.ASSETS,
        ],
        asset_checks=[*parsing.CHECKS, reconciliation.nothing_missing, *quality.CHECKS],
        jobs=[job, reconcile_job, quality_job],
        schedules=[backfills.backfills, reconciling.daily_reconciliation, quality_schedules.nightly_quality],
        sensors=[
            runs.dead_runs,
            buckets.watched_buckets,
            messages.announced_documents,
            batches.unfinished_batches,
            results.document_results,
            alerts.failed_runs,
        ],
        # A run claims its one process; steps in processes of their own would look dead to `dead_runs`, one after the
        # other. Runs that the UI starts for assets have this executor, too.
        executor=patient_in_process_executor,
        resources={
            "settings": settings,
            "store": store,
            "parser": DocumentParser(settings=settings, store=store),
            "feed": MessageFeed(settings=settings, store=store),
            "reconciler": BucketReconciler(settings=settings),
            "meter": QualityMeter(settings=settings, store=store),
            "outbox": ResultOutbox(settings=settings, store=store),
            "progress": dg.ResourceDefinition.hardcoded_resource(progress),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What the code server loads; nothing is built before it asks."""
    return build_definitions()
