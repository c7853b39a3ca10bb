"""``mineru-pipeline quarantine``: look at the documents that failed, try them again, or drop them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline.commands.run import run_batches
from mineru_pipeline.commands.terminal import somebody
from mineru_pipeline.commands.text import printable
from mineru_pipeline.documents.refs import INVALID, is_unicode
from mineru_pipeline.errors import SourceError
from mineru_pipeline.parsing import quarantine as notes
from mineru_pipeline.parsing import release
from mineru_pipeline.parsing.recovery import recover
from mineru_pipeline.parsing.release import Damaged, Note, Survey
from mineru_pipeline.settings import LoadedSettings, Settings
from mineru_pipeline.storage import ObjectStore
from resources.documents import open_store
from resources.parsing import revisions_of

EXIT_OK, EXIT_DECLINED = 0, 1
#: Not all of the notes can be read.
EXIT_DAMAGED = 1
NOTES_SHOWN = 60
#: As many digits as tell notes apart and can be given back.
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """Which documents are meant: exactly one of the three is given."""

    prefixes: Sequence[str]
    every: bool
    reason: str | None


def show(settings: Settings, *, as_json: bool, console: Console) -> int:
    """List why, when and from where documents are in the quarantine; exit code 1 where notes are damaged.

    Raises:
        StoreError: the store cannot be used.
    """
    _, found = _survey(settings)
    if found.notes:
        console.print(_table(found.notes))
    console.print(f"[bold]{found}[/]", highlight=False)
    for damaged in found.damaged:
        console.print(f"[red]damaged:[/] {escape(printable(damaged.text))}", soft_wrap=True)
    if as_json:
        answer = {
            "documents": [asdict(note) for note in found.notes],
            "damaged": [{"identity": each.identity, "key": each.key, "message": each.text} for each in found.damaged],
            "total": found.total,
            "truncated": found.truncated,
        }
        # Last, alone and on standard output, for programs.
        print(json.dumps(answer))  # noqa: T201  # the product of --json
    return EXIT_DAMAGED if found.damaged else EXIT_OK


def retry(choice: Choice, loaded: LoadedSettings, *, as_json: bool, console: Console) -> int:
    """Parse the documents again as batches of their own, in this process as ``run`` does; returns its exit code.

    Raises:
        PipelineError: the choice, the store or the settings cannot be used; nothing was started.
    """
    store, found = _survey(loaded.settings)
    meant, damaged = _meant(choice, found, console)
    recovered = {each.key: recover(store, each.identity) for each in damaged}
    meant += [note for note in recovered.values() if note is not None]
    manifests, lost = release.retry_manifests(store, meant, loaded.settings.workers.batch_size)
    lost += [
        f"{key} is damaged, and no table tells of which document it is; drop it"
        for key in recovered
        if not recovered[key]
    ]
    for text in lost:
        console.print(f"[yellow]left out:[/] {escape(printable(text))}", soft_wrap=True)
    code = run_batches(manifests, loaded, store, as_json=as_json, console=console)
    return code or (EXIT_DECLINED if lost else EXIT_OK)


def drop(
    choice: Choice, settings: Settings, *, why: str, confirm: Callable[[str], bool], as_json: bool, console: Console
) -> int:
    """Remove the notes, with a record of who did it, when and why; exit code 1 where ``confirm`` says no.

    Raises:
        PipelineError: the choice, the store or the settings cannot be used.
    """
    if not is_unicode(why):
        raise SourceError(INVALID, "What --why says is not valid Unicode, and could not be kept.")
    store, found = _survey(settings)
    meant, damaged = _meant(choice, found, console)
    for note in meant:
        console.print(f"{note.identity[:_DIGITS]} {escape(printable(note.uri))} ({note.reason})", soft_wrap=True)
    for each in damaged:
        console.print(f"{escape(printable(each.key))} (damaged)", soft_wrap=True)
    count = len(meant) + len(damaged)
    if count and not confirm(f"Drop {count} documents from the quarantine? They will not be tried again."):
        return EXIT_DECLINED
    by, now = somebody(), datetime.now(UTC)
    for note in meant:
        release.drop(store, note, by=by, why=why, now=now)
    for each in damaged:
        release.drop_damaged(store, each, recover(store, each.identity), by=by, why=why, now=now)
    console.print(f"[bold]{count} documents[/] dropped")
    if as_json:
        dropped = [*(note.identity for note in meant), *(each.identity for each in damaged)]
        # Last, alone and on standard output, for programs.
        print(json.dumps({"dropped": dropped}))  # noqa: T201  # the product of --json
    return EXIT_OK


def _survey(settings: Settings) -> tuple[ObjectStore, Survey]:
    """The notes under the revision of the settings."""
    store = open_store(settings)
    notes.give_back(store, revisions_of(settings).parser)
    return store, release.survey(store)


def _meant(choice: Choice, found: Survey, console: Console) -> tuple[list[Note], list[Damaged]]:
    if found.truncated:
        console.print(f"{found}: give the command again for the others.", soft_wrap=True)
    return release.chosen(found, choice.prefixes, every=choice.every, reason=choice.reason)


def _table(found: Sequence[Note]) -> Table:
    table = Table(header_style="bold", box=SIMPLE)
    table.add_column("identity", no_wrap=True)
    table.add_column("document", overflow="fold", max_width=44)
    for name in ("tenant", "reason", "since", "from"):
        table.add_column(name)
    table.add_column("failed", justify="right")
    for note in found[:NOTES_SHOWN]:
        cells = (note.identity[:_DIGITS], note.uri, note.tenant, note.reason, note.first_at[:19], note.origin)
        table.add_row(*(escape(printable(text)) for text in cells), f"{note.attempts}×")
    if len(found) > NOTES_SHOWN:
        table.caption = f"{NOTES_SHOWN} of {len(found)} documents shown; --json has them all"
    return table
