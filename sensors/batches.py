"""The sensor that starts batches without a table: again where their run failed, or at all where they never had one."""

import time
from collections.abc import Collection
from itertools import islice

import dagster as dg

from mineru_pipeline import runs
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.refs import ORIGIN_FOLDER, ORIGIN_RECONCILIATION
from mineru_pipeline.errors import StoreError, StoreUnavailableError
from mineru_pipeline.launch import JOB, PARSED_ASSET, PARTITIONS, explained_failures, run_resources
from mineru_pipeline.parsing import backoff
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import ObjectStore, layout
from resources.documents import LOOK_PATIENCE_SECONDS, PipelineSettings, open_store
from sensors.messages import TAG_SOURCE

#: Batches that one evaluation looks at; the next one looks at those after them.
LOOKED_AT = 50
#: Of batches that a reconciliation found to be missing: behind what comes in now, which is at 0, and before backfills.
#: They are late already, and there may be very many of them at once.
PRIORITY_OF_MISSING = "-5"
_PRIORITY = "dagster/priority"
#: Seconds after which a batch without a run is nobody's: whoever fixes a batch requests its run in the same minute,
#: and the daemon needs some seconds for each.
GRACE_SECONDS = 600.0


@dg.sensor(job_name=JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def unfinished_batches(context: dg.SensorEvaluationContext, settings: PipelineSettings) -> dg.SensorResult:
    """Starts batches again whose run failed before their table was written, and batches that never had a run.

    Which ones: the partitions of ``document_batches`` without a table of ``parsed_documents``. A manifest alone asks
    for nothing; whoever wants it parsed adds its partition. Left alone are

    * batches of the command: all of their runs have the tag ``mineru_pipeline/command`` or, without any run, all of
      their documents come from folders. Whoever gave the command repeats it;
    * batches whose newest run was cancelled, by somebody who did not want it;
    * batches without a run whose manifest is not in the store of the settings, or is younger than ten minutes: the
      sensor that fixed it is about to start it.
    """
    with explained_failures():
        loaded = settings.load_all()
        store = open_store(loaded.settings, patience_seconds=LOOK_PATIENCE_SECONDS)
        return evaluate(context.instance, loaded, store, context.cursor or "", time.time())


def evaluate(
    instance: dg.DagsterInstance, loaded: LoadedSettings, store: ObjectStore, after: str, now: float
) -> dg.SensorResult:
    """The runs to request at the time ``now``, and where the next evaluation goes on.

    Args:
        instance: where the runs are.
        loaded: for the configuration of the runs.
        store: where the manifests are; it is asked only about batches without a run.
        after: the last batch that was looked at.
        now: seconds since 1970.
    """
    done = instance.get_materialized_partitions(dg.AssetKey(PARSED_ASSET))
    unfinished = sorted(set(instance.get_dynamic_partitions(PARTITIONS)) - done)
    keys = list(islice((key for key in unfinished if key > after), LOOKED_AT))
    histories = {key: runs.history(instance, key) for key in keys}
    orphans = _orphans(store, [key for key in keys if not histories[key].newest], now)
    due = [key for key in keys if key in orphans or _is_due(histories[key], now)]
    config = run_resources(loaded.config_file, loaded.settings.store_address)
    return dg.SensorResult(
        run_requests=[_request(key, histories[key], orphans.get(key, {}), config) for key in due] or None,
        skip_reason=None if due else dg.SkipReason(f"{len(unfinished)} batches without a table, none due for a run"),
        # Once around, from the start.
        cursor=keys[-1] if len(keys) == LOOKED_AT else "",
    )


def _is_due(history: runs.History, now: float) -> bool:
    if not history.newest or history.of_command:
        return False
    due = history.retry_at()
    # A success without a table was of the intake alone, say; or it came after the tables were looked at.
    grace = GRACE_SECONDS if history.succeeded else 0.0
    return due is not None and backoff.is_over(due + grace, now)


def _orphans(store: ObjectStore, keys: Collection[str], now: float) -> dict[str, dict[str, str]]:
    """Those of the batches without a run that nobody is going to start, and the tags for their first one."""
    if not keys:
        return {}
    fixed = {layout.batch_of_manifest(item.key): item.modified_at or 0.0 for item in store.list(layout.MANIFESTS)}
    origins = {key: _origins(store, key) for key in keys if key in fixed and fixed[key] + GRACE_SECONDS <= now}
    missing = {_PRIORITY: PRIORITY_OF_MISSING}
    return {
        key: missing if found == {ORIGIN_RECONCILIATION} else {}
        for key, found in origins.items()
        # The command's documents come from folders, and whoever gave it repeats it.
        if found is None or not found <= {ORIGIN_FOLDER}
    }


def _origins(store: ObjectStore, batch: str) -> set[str] | None:
    """From where the documents of a batch came; None if its manifest is damaged."""
    try:
        return {ref.origin for ref in read_manifest(store, batch).refs}
    except StoreUnavailableError:
        raise
    except StoreError:
        # That is for a run to fail on, where somebody is told.
        return None


def _request(batch: str, history: runs.History, tags: dict[str, str], config: dict[str, object]) -> dg.RunRequest:
    return dg.RunRequest(
        # Not a number: of a batch whose runs somebody deletes it would come again, and Dagster pass it over for ever.
        run_key=f"{batch} after {history.newest or 'none'}",
        partition_key=batch,
        run_config=config,
        # Another attempt is as urgent as the one before.
        tags=tags | {name: history.tags[name] for name in (TAG_SOURCE, _PRIORITY) if name in history.tags},
    )
