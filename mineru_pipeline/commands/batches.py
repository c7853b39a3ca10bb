"""``mineru-pipeline batches``: look at the batches whose run failed, and have them started again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline import launch, runs
from mineru_pipeline.commands.text import printable
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.refs import INVALID, ORIGIN_FOLDER
from mineru_pipeline.errors import ObjectNotFoundError, SourceError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import ledger, whereabouts
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.runs import Standing
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore, layout
from resources.documents import open_store
from resources.parsing import revisions_of

EXIT_OK, EXIT_LEFT_OUT = 0, 1
BATCHES_SHOWN = 60
#: What a batch has of a table under the present revision.
NONE, WHOLE, DAMAGED = "none", "whole", "damaged"
_DAEMON = (
    "The sensor unfinished_batches starts them within a minute; those with a table of another revision are started by "
    "the schedule backfills within five. Both are parts of Dagster's daemon (mineru-pipeline dev), which has to run."
)
_NO_INSTANCE = "There is no Dagster instance here yet, so nothing is known of runs."


@dataclass(frozen=True, slots=True)
class Choice:
    """Which batches are meant: those named, or all that wait for somebody."""

    batches: Sequence[str]
    every: bool


def show(settings: Settings, *, as_json: bool, console: Console) -> int:
    """List the batches without a table of the present revision whose latest run failed or was cancelled.

    Raises:
        StoreError, DagsterInstanceError, SettingsError: what is to be asked cannot be used.
    """
    waiting, cut = whereabouts.without_table(open_store(settings), revisions_of(settings).parser)
    with runs.looking(settings) as instance, console.status("the runs are looked at"):
        found = runs.standings(instance, waiting) if instance is not None else []
    if found:
        console.print(_table(found))
    stuck = sum(each.waits_for_somebody for each in found)
    console.print(f"[bold]{len(found)} batches[/] whose latest run failed; {stuck} of them wait for somebody")
    if instance is None:
        console.print(_NO_INSTANCE)
    if cut:
        console.print(f"There are more than {whereabouts.MOST_BATCHES} batches; only the newest were looked at.")
    if as_json:
        listed = [asdict(each) | {"waits_for_somebody": each.waits_for_somebody} for each in found]
        answer = {"batches": listed, "waiting_for_somebody": stuck, "dagster": instance is not None, "cut": cut}
        # Last, alone and on standard output, for programs.
        print(json.dumps(answer))  # noqa: T201  # the product of --json
    return EXIT_OK


def restart(choice: Choice, settings: Settings, *, as_json: bool, console: Console) -> int:
    """Have batches started again by the daemon, as if they had not failed; exit code 1 where some are left out.

    Raises:
        SourceError: nothing says which are meant.
        StoreError, DagsterInstanceError, SettingsError: what is needed cannot be used; some may have been marked.
    """
    if bool(choice.batches) == choice.every:
        raise SourceError(INVALID, "Say which batches: name them, or --all that wait for somebody.")
    store, revision = open_store(settings), revisions_of(settings).parser
    marked, left_out = list[str](), dict[str, str]()
    with launch.open_instance(settings) as instance:
        meant = list(dict.fromkeys(choice.batches))
        if choice.every:
            waiting, _ = whereabouts.without_table(store, revision)
            # Who cancelled a batch did not want it, and what the command started is the command's: by name only.
            meant = [each.batch for each in runs.standings(instance, waiting) if each.state == runs.SPENT]
        for batch in meant:
            table = _table_of(store, revision, batch)
            if reason := _reason_against(store, batch, table, runs.history(instance, batch)):
                left_out[batch] = reason
                continue
            if table == DAMAGED:
                # Nobody can read it, and as long as it is there the batch counts as parsed.
                store.delete(layout.table_key(PARSED_DOCUMENTS, revision, batch))
            runs.restart(instance, batch)
            marked.append(batch)
    for batch in marked:
        console.print(f"[green]restarted[/] {escape(printable(batch))}", soft_wrap=True)
    for batch, reason in left_out.items():
        console.print(f"[yellow]left out:[/] {escape(printable(batch))}: {escape(printable(reason))}", soft_wrap=True)
    console.print(f"[bold]{len(marked)} batches[/] are to be started again. {_DAEMON if marked else ''}".rstrip())
    if as_json:
        # Last, alone and on standard output, for programs.
        print(json.dumps({"restarted": marked, "left_out": left_out}))  # noqa: T201  # the product of --json
    return EXIT_LEFT_OUT if left_out else EXIT_OK


def _reason_against(store: ObjectStore, batch: str, table: str, past: runs.History) -> str:
    """Why the daemon would not start the batch, or should not; "" if it will."""
    try:
        manifest = read_manifest(store, batch)
    except ObjectNotFoundError:
        return "there is no such batch in the store"
    if table == WHOLE:
        return "it has its table; documents of it that failed are tried again with `quarantine retry`"
    if past.under_way:
        return "a run of it is queued or going on"
    if not past.newest and all(ref.origin == ORIGIN_FOLDER for ref in manifest.refs):
        return "it is the command's and never had a run; give the command again"
    return ""


def _table_of(store: ObjectStore, revision: str, batch: str) -> str:
    try:
        # All of it: the damage may be in any column.
        ledger.read(store, PARSED_DOCUMENTS, revision, batch, ParsedRow)
    except ObjectNotFoundError:
        return NONE
    except StoreUnavailableError:
        raise
    except StoreError:
        return DAMAGED
    return WHOLE


def _table(found: Sequence[Standing]) -> Table:
    table = Table(header_style="bold", box=SIMPLE)
    table.add_column("batch", no_wrap=True)
    table.add_column("failed", justify="right")
    for name in ("last", "next"):
        table.add_column(name)
    for each in found[:BATCHES_SHOWN]:
        table.add_row(escape(printable(each.batch)), f"{each.failures}×", each.last, each.says)
    if len(found) > BATCHES_SHOWN:
        table.caption = f"{BATCHES_SHOWN} of {len(found)} batches shown; --json has them all"
    return table
