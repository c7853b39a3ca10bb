"""``mineru-pipeline reconcile``: compare the buckets with the tables, and request what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline import launch, runs
from mineru_pipeline.commands.text import printable
from mineru_pipeline.parsing.difference import GONE, KINDS, MISSING, Reconciliation
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.settings import Settings
from resources.reconciling import open_reconciler, targets

EXIT_OK, EXIT_MISSING, EXIT_INCOMPLETE = 0, 1, 3
NOTHING_COMPARED = "No bucket is compared: name those that documents may be read from in intake.buckets."
_BATCHES_SHOWN = 10
_DAEMON = (
    "Their runs are started, some ten minutes from now, by the sensor unfinished_batches of Dagster's daemon "
    "(mineru-pipeline dev); without a daemon nothing runs them."
)
#: Of these, addresses say nothing that the counts do not.
_UNNAMED = {str(State.PARSED), "other"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What is compared; by default what the settings say."""

    buckets: Sequence[str] = ()
    prefix: str | None = None
    #: Whether somebody said whose the missing documents are.
    certain: bool = False


def reconcile(choice: Choice, settings: Settings, *, dry_run: bool, as_json: bool, console: Console) -> int:
    """Compare, request unless it is a dry run, and report; returns the exit code.

    Raises:
        SettingsError: the choice or the settings cannot be used.
        DagsterInstanceError: the instance cannot be used; nothing was requested.
        StoreError: the batches cannot be read; nothing was requested.
    """
    meant = targets(settings, buckets=choice.buckets, prefix=choice.prefix, certain=choice.certain)
    reconciler = open_reconciler(settings)
    # A dry run makes nothing, not even the instance.
    with (
        runs.looking(settings) if dry_run else launch.open_instance(settings) as instance,
        console.status("the batches are read") as status,
    ):
        found = reconciler.reconcile(
            meant,
            now=datetime.now(UTC),
            partitions=(lambda: instance.get_dynamic_partitions(launch.PARTITIONS)) if instance is not None else None,
            request=not dry_run,
            progress=lambda place, listed: status.update(escape(printable(f"{place}: {listed} objects compared"))),
        )
        if instance is not None and not dry_run:
            launch.add_batches(instance, found.to_start)
    _report(found, console, dry_run=dry_run)
    if as_json:
        # Last, alone and on standard output, for programs.
        print(json.dumps(_answer(found, dry_run=dry_run)))  # noqa: T201  # the product of --json
    return _exit_code(found)


def _exit_code(found: Reconciliation) -> int:
    if found.failures:
        return EXIT_INCOMPLETE
    return EXIT_MISSING if found.missing > found.requested else EXIT_OK


def _report(found: Reconciliation, console: Console, *, dry_run: bool) -> None:
    if found.places:
        console.print(_table(found))
    else:
        console.print(NOTHING_COMPARED)
    for report in found.places:
        for kind, uris in sorted(report.examples.items(), key=lambda pair: KINDS.index(pair[0])):
            for uri in uris if kind not in _UNNAMED else ():
                _line(console, f"{kind:<9} {uri}")
    _line(
        console,
        f"{sum(report.listed for report in found.places)} objects compared with {found.entries} entries of "
        f"{found.batches} batches in {found.seconds:.1f} s: {found.missing} missing, {found.requested} requested",
    )
    for text in _remarks(found, dry_run=dry_run):
        _line(console, text)
    for text in found.failures:
        console.print(f"[red]error:[/] {escape(printable(text))}", soft_wrap=True)


def _remarks(found: Reconciliation, *, dry_run: bool) -> list[str]:
    """What else somebody should know, one sentence or two each."""
    texts = [report.note for report in found.places if report.note]
    if found.incomplete:
        texts.append(
            f"{len(found.incomplete)} batches lack rows for entries of their manifests; execute their runs again: "
            f"{_some(list(found.incomplete))}"
        )
    if found.stranded:
        given = "lack one" if dry_run else "had none and have one now"
        text = f"{len(found.stranded)} batches without table need a partition and {given}"
        texts.append(f"{text}: {_some(found.stranded)}")
    if found.counts[GONE]:
        texts.append(f"{found.counts[GONE]} documents are no longer in their buckets; what was parsed of them is kept.")
    if dry_run and found.missing:
        texts.append("Nothing was requested: this is a dry run.")
    elif found.to_start and not dry_run:
        requested = [batch for report in found.places for batch in report.batches]
        texts += [f"Batches: {_some(requested)}"] if requested else []
        texts.append(_DAEMON)
    return texts


def _some(batches: Sequence[str]) -> str:
    more = f" and {len(batches) - _BATCHES_SHOWN} more" if len(batches) > _BATCHES_SHOWN else ""
    return ", ".join(batches[:_BATCHES_SHOWN]) + more


def _table(found: Reconciliation) -> Table:
    """One row a place; kinds that are nowhere get no column."""
    kinds = [kind for kind, count in found.counts.items() if count or kind == MISSING]
    table = Table(header_style="bold", box=SIMPLE)
    table.add_column("place", overflow="fold")
    for name in ("listed", *kinds, "requested"):
        table.add_column(name, justify="right")
    for report in found.places:
        cells = [str(count or "") for count in (report.listed, *(report.counts.get(kind, 0) for kind in kinds))]
        table.add_row(escape(printable(report.place)), *cells, str(report.requested or ""))
    return table


def _line(console: Console, text: str) -> None:
    console.print(escape(printable(text)), soft_wrap=True, highlight=False)


def _answer(found: Reconciliation, *, dry_run: bool) -> dict[str, object]:
    totals = {"missing_in_all": found.missing, "requested": found.requested, "failures": found.failures}
    return {"dry_run": dry_run, **totals, "counts": found.counts, **asdict(found)}
