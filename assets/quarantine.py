"""The quarantine as an asset that nobody materializes: its page shows the documents that wait."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from mineru_pipeline.documents.refs import ORIGIN_FOLDER, public_uri, utc_text
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.parsing import backoff, release
from mineru_pipeline.parsing.backfilling import next_try
from mineru_pipeline.parsing.backoff import Patience
from mineru_pipeline.parsing.release import Note, Survey
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore

ROWS_SHOWN = 200
_STATE = "state"

quarantine = dg.AssetSpec(
    "quarantine",
    group_name="parsing",
    description=(
        "Documents that failed, as they are in the store's `quarantine/`: see the latest observation. They are tried "
        "again by the schedule `backfills`, or by `mineru-pipeline quarantine retry`."
    ),
)


def observation(found: Survey, patience: Patience) -> dg.AssetObservation:
    """What the page of the asset shows: how many wait, why, and until when; nothing of what is in the documents.

    An empty quarantine says so: a page without anything would leave open whether anybody has looked.
    """
    due = [next_try(note, patience) for note in found.notes]
    rows = [dg.TableRecord(_record(note, at, patience)) for note, at in zip(found.notes, due, strict=True)]
    state = [[note.identity, note.at, note.attempts] for note in found.notes]
    damaged = found.damaged[:ROWS_SHOWN]
    metadata: dict[str, dg.MetadataValue] = {
        "says": dg.MetadataValue.text(_said(found)),
        "waiting": dg.MetadataValue.int(found.total),
        **(
            {"read": dg.MetadataValue.int(len(rows)), "truncated": dg.MetadataValue.bool(True)}
            if found.truncated
            else {}
        ),
        "waiting_for_somebody": dg.MetadataValue.int(sum(at is None for at in due)),
        **({"documents": dg.MetadataValue.table(rows[:ROWS_SHOWN])} if rows else {}),
        "damaged_notes": dg.MetadataValue.int(len(found.damaged)),
        **({"damaged": dg.MetadataValue.json([each.text for each in damaged])} if damaged else {}),
        _STATE: dg.MetadataValue.text(
            _digest([state, found.total, [each.text for each in found.damaged], patience.most_attempts])
        ),
    }
    return dg.AssetObservation(quarantine.key, description=_said(found), metadata=metadata)


def _said(found: Survey) -> str:
    if not found.total:
        return "Nobody waits: the quarantine is empty."
    more = f"; {ROWS_SHOWN} are shown, `mineru-pipeline quarantine list` shows more"
    return f"{found}{more if len(found.notes) > ROWS_SHOWN else ''}"


def show(instance: dg.DagsterInstance, found: Survey, patience: Patience) -> bool:
    """Report what is in the quarantine, if that has changed: where nothing happens, no events pile up."""
    new = observation(found, patience)
    (latest,) = instance.fetch_observations(quarantine.key, limit=1).records or (None,)
    if latest is not None and latest.asset_observation is not None:
        known = latest.asset_observation.metadata.get(_STATE)
        if known == new.metadata[_STATE]:
            return False
    instance.report_runless_asset_event(new)
    return True


def show_after_run(context: dg.AssetExecutionContext, store: ObjectStore, settings: Settings) -> None:
    """The same at the end of a run, which must not fail for it: the next evaluation of the schedule shows it."""
    try:
        show(context.instance, release.survey(store), backoff.documents(settings.backfills.most_attempts))
    except PipelineError as error:
        context.log.warning("the quarantine is not shown: %s", error)
    except Exception as error:  # noqa: BLE001  # whatever it is, the table of the batch is written and counts
        context.log.warning("the quarantine is not shown: %s", type(error).__name__)


def _record(note: Note, due: float | None, patience: Patience) -> dict[str, str | int]:
    return {
        "document": public_uri(note.uri),
        "reason": note.reason,
        "attempts": note.attempts,
        "next_retry": _next(note, due, patience),
        # As many digits as the command wants to tell documents apart.
        "identity": note.identity[:12],
        "tenant": note.tenant,
        "from": note.origin,
        "since": note.first_at,
        "batch": note.batch,
    }


def _next(note: Note, due: float | None, patience: Patience) -> str:
    if due is not None:
        return f"after {utc_text(datetime.fromtimestamp(due, UTC))}"
    if note.origin == ORIGIN_FOLDER:
        return "when the command is given again"
    spent = note.attempts >= patience.most_attempts
    return "none: its retries are spent" if spent else "none: it cannot end otherwise"


def _digest(value: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
