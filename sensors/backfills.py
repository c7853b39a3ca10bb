"""The schedule that has batches parsed again: with failed documents, or of an earlier parser revision."""

import time
from dataclasses import dataclass
from itertools import islice

import dagster as dg

from assets.quarantine import show
from mineru_pipeline import runs
from mineru_pipeline.launch import JOB, PARSED_ASSET, PARTITIONS, TAG_BACKFILL, explained_failures, run_resources
from mineru_pipeline.parsing import backfilling, backoff, ledger, quarantine, release
from mineru_pipeline.parsing.backfilling import FAILED, STALE, Need
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import ObjectStore, layout
from resources.documents import LOOK_PATIENCE_SECONDS, PipelineSettings, open_store
from resources.parsing import revisions_of

#: What just came in has priority 0, in the queue of runs as in the pool.
PRIORITY = "-10"
EVERY_SECONDS = 300
#: Runs that restarts by hand may bring into the queue, whatever ``backfills.most_runs`` says of what comes by itself.
MOST_BY_HAND = 50


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is to be parsed again, and how many runs of backfills there are already."""

    needs: list[Need]
    outstanding: int
    revision: str


def backlog(
    instance: dg.DagsterInstance,
    loaded: LoadedSettings,
    store: ObjectStore,
    notes: tuple[release.Note, ...],
    now: float,
) -> Backlog:
    """Compare batches, tables and notes, by their keys alone; no manifest and no table is opened.

    A batch is looked at if Dagster knows that it was parsed, or if documents of it are in the quarantine.
    """
    revision = revisions_of(loaded.settings).parser
    partitions = set(instance.get_dynamic_partitions(PARTITIONS))
    parsed = instance.get_materialized_partitions(dg.AssetKey(PARSED_ASSET)) & partitions
    current = {batch for _, batch in ledger.places(store, ledger.PARSED_DOCUMENTS, revision)}
    patience = backoff.documents(loaded.settings.backfills.most_attempts)
    needs = backfilling.needs(partitions, parsed, current, backfilling.due_times(notes, patience), now)
    if needs:
        # The instance also knows batches of other stores, such as those of `run --out`.
        here = {layout.batch_of_manifest(item.key) for item in store.list(layout.MANIFESTS)}
        needs = [need for need in needs if need.batch in here]
    filters = dg.RunsFilter(tags={TAG_BACKFILL: [FAILED, STALE]}, statuses=runs.UNDER_WAY)
    return Backlog(needs, instance.get_runs_count(filters), revision)


def evaluate(
    instance: dg.DagsterInstance, loaded: LoadedSettings, store: ObjectStore, now: float
) -> list[dg.RunRequest] | dg.SkipReason:
    """Show the quarantine and return the runs to request: what somebody restarted, then the oldest batches.

    After a return to an earlier revision its notes come back before.

    What is requested is under way when the next evaluation looks, and left alone by it.
    """
    quarantine.give_back(store, revisions_of(loaded.settings).parser)
    found = release.survey(store)
    show(instance, found, backoff.documents(loaded.settings.backfills.most_attempts))
    turn = int(now // EVERY_SECONDS)
    # Notes whose retries are spent stay, and must not hide the others for ever.
    notes = release.survey(store, turn=turn).notes if found.truncated else found.notes
    known = backlog(instance, loaded, store, notes, now)

    def may_start(need: Need, *, by_hand: bool = False) -> bool:
        past = runs.history(instance, need.batch)
        return _is_ours(need, past) and backoff.is_over(past.retry_at(), now) and (past.restarted or not by_hand)

    # Nobody who asks for one batch means it to wait for thousands, or for ever where none comes by itself.
    named = runs.restarted(instance) if known.needs else set()
    asked = (need for need in known.needs if need.batch in named and may_start(need, by_hand=True))
    chosen = list(islice(asked, max(0, MOST_BY_HAND - known.outstanding)))
    most = max(0, loaded.settings.backfills.most_runs - known.outstanding - len(chosen))
    chosen += backfilling.select([need for need in known.needs if need not in chosen], may_start, most, turn)
    if not chosen:
        return dg.SkipReason(_nothing(known, found, most))
    config = run_resources(loaded.config_file, loaded.settings.store_address)
    return [_request(need, known.revision, config) for need in chosen]


def _is_ours(need: Need, past: runs.History) -> bool:
    """Whether nobody else starts the batch, so that no two ask for the same."""
    if need.why == STALE:
        return not past.of_command
    # A batch of the command with documents of the intake is a retry of them. Where it ended before its table was
    # written, their notes speak of it already; any other without a table is left to `unfinished_batches`.
    return need.tabled or past.of_command


def _request(need: Need, revision: str, config: dict[str, object]) -> dg.RunRequest:
    return dg.RunRequest(
        # Repeats of an interrupted evaluation are known by it.
        run_key=f"{need.batch} {need.why} {revision}",
        partition_key=need.batch,
        tags={"dagster/priority": PRIORITY, TAG_BACKFILL: need.why},
        run_config=config,
    )


def _nothing(known: Backlog, found: release.Survey, most: int) -> str:
    stale = sum(need.why == STALE for need in known.needs)
    parts = [
        f"due are {stale} batches of an earlier revision and {len(known.needs) - stale} with failed documents",
        str(found),
        f"{known.outstanding} runs of backfills are queued or going on",
    ]
    if known.needs:
        waiting = "what is due waits after failed runs, was cancelled, or is the command's"
        parts.append(waiting if most else "that is as many as backfills.most_runs allows")
    return "; ".join([*parts, *(damaged.text for damaged in found.damaged)])


@dg.schedule(
    job_name=JOB,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def backfills(context: dg.ScheduleEvaluationContext, settings: PipelineSettings) -> list[dg.RunRequest] | dg.SkipReason:
    """Has batches with failed documents or of an earlier revision parsed again: few, old ones first, last in line."""
    with explained_failures():
        loaded = settings.load_all()
        store = open_store(loaded.settings, patience_seconds=LOOK_PATIENCE_SECONDS)
        return evaluate(context.instance, loaded, store, time.time())
