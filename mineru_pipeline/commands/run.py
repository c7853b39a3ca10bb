"""``mineru-pipeline run``: files and folders to parsed, checked documents, with progress."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline import definitions, launch
from mineru_pipeline.commands.text import printable
from mineru_pipeline.commands.watching import progress_bars
from mineru_pipeline.documents.discovery import discover
from mineru_pipeline.documents.manifest import BatchManifest, batch_key_for_folder, write_manifest
from mineru_pipeline.errors import SourceError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import ObjectStore
from resources.documents import open_store
from resources.parsing import revisions_of

EXIT_OK, EXIT_FAILED, EXIT_STOPPED, EXIT_INTERRUPTED = 0, 1, 3, 130
INTERRUPTED = "interrupted"
#: A batch that does not pass them is not to be relied on.
BLOCKING = {"every_document_accounted_for", "failure_rate_within_limit"}
ROWS_SHOWN = 60
_STYLES = {"parsed": "green", "degraded": "yellow", "rejected": "magenta", "failed": "red"}


@dataclass(slots=True)
class Summary:
    """What the command reports; counts are by manifest entry, ``distinct`` by content."""

    documents: int = 0
    #: Entries of the manifest without a final state yet; 0 unless the run was stopped.
    unfinished: int = 0
    distinct: int = 0
    parsed: int = 0
    degraded: int = 0
    rejected: int = 0
    failed: int = 0
    pages: int = 0
    degraded_pages: int = 0
    seconds: float = 0.0
    pages_per_second: float = 0.0
    requests: int = 0
    outputs: str = ""
    batches: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)
    #: Why the run ended before its time; "" when it did not.
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """0: every document ended and none failed; 1: some did, or a blocking check; 3: stopped; 130: interrupted."""
        if self.stopped:
            return EXIT_INTERRUPTED if self.stopped == INTERRUPTED else EXIT_STOPPED
        broken = any(check.split(":", 1)[0] in BLOCKING or ":" in check for check in self.failed_checks)
        return EXIT_FAILED if self.failed or broken else EXIT_OK

    def add(self, rows: Sequence[ParsedRow]) -> None:
        """Count a batch's rows in."""
        states = Counter(row.state for row in rows)
        originals = [row for row in rows if row.duplicate_of is None]
        self.unfinished = self.documents - len(rows)
        self.distinct += len(originals)
        self.parsed += states[State.PARSED]
        self.degraded += states[State.DEGRADED]
        self.rejected += states[State.REJECTED]
        self.failed += states[State.FAILED]
        self.pages += sum(row.parsed_pages for row in originals)
        self.degraded_pages += sum(row.degraded_pages for row in originals)
        self.requests += sum(row.requests for row in originals)


def run(paths: Sequence[Path], loaded: LoadedSettings, *, as_json: bool, console: Console) -> int:
    """Parse the PDFs under ``paths`` and report; returns the exit code.

    Raises:
        PipelineError: the paths, the store or the settings cannot be used; nothing was started.
    """
    store = open_store(loaded.settings)
    return run_batches(write_manifests(paths, loaded, store), loaded, store, as_json=as_json, console=console)


def run_batches(
    manifests: Sequence[BatchManifest], loaded: LoadedSettings, store: ObjectStore, *, as_json: bool, console: Console
) -> int:
    """Parse batches whose manifests are in the store, and report; returns the exit code.

    Raises:
        PipelineError: the store, the instance or the settings cannot be used; nothing was started.
    """
    settings = loaded.settings
    batches, entries = [m.batch for m in manifests], sum(len(m.refs) for m in manifests)
    instance = launch.open_instance(settings)
    for dead in launch.fail_dead_runs(instance):
        console.print(f"[yellow]The process of run {dead} is gone; the run is now marked as failed.[/]")
    summary = Summary(documents=entries, outputs=store.uri("parsed"))
    rows: list[ParsedRow] = []
    started = time.monotonic()
    config = launch.run_config(loaded.config_file, settings.store_address)
    revision = revisions_of(settings).parser
    for number, batch in enumerate(batches, start=1):
        label = f"batch {number} of {len(batches)}" if len(batches) > 1 else "documents"
        with progress_bars(console, label) as listener:
            result = launch.execute_batch(instance, definitions.build_definitions(listener), batch, config)
        summary.batches.append(batch)
        summary.runs.append(result.run_id)
        summary.failed_checks += result.failed_checks
        if not result.parsed:
            summary.stopped = INTERRUPTED if result.interrupted else result.error or "the run ended without a reason"
            break
        rows += ledger.read(store, ledger.PARSED_DOCUMENTS, revision, batch, ParsedRow)
    summary.add(rows)
    summary.seconds = round(time.monotonic() - started, 2)
    summary.pages_per_second = round(summary.pages / summary.seconds, 3) if summary.seconds else 0.0
    _report(summary, rows, store, console, as_json=as_json)
    return summary.exit_code


def write_manifests(paths: Sequence[Path], loaded: LoadedSettings, store: ObjectStore) -> list[BatchManifest]:
    """Fix the batches: a run after a crash finds the same manifests and goes on with them."""
    own = (loaded.settings.store_root, loaded.settings.data_dir)
    refs = discover(paths, received_at=datetime.now(UTC), exclude=own)
    if not refs:
        raise SourceError("source-missing", f"there is no PDF under {', '.join(map(str, paths))}")
    size = loaded.settings.workers.batch_size
    parts = [refs[start : start + size] for start in range(0, len(refs), size)]
    manifests = [
        BatchManifest(batch_key_for_folder(part, loaded.settings.tenant), loaded.settings.tenant, tuple(part))
        for part in parts
    ]
    return [write_manifest(store, manifest) for manifest in manifests]


def _report(
    summary: Summary, rows: Sequence[ParsedRow], store: ObjectStore, console: Console, *, as_json: bool
) -> None:
    if rows:
        console.print(_table(rows))
    console.print(
        f"[bold]{summary.documents} documents[/] ({summary.distinct} distinct): {summary.parsed} parsed, "
        f"{summary.degraded} degraded, {summary.rejected} rejected, {summary.failed} failed; "
        f"{summary.pages} pages in {summary.seconds:.1f} s ({summary.pages_per_second:.2f} pages/s), "
        f"{summary.requests} requests to the model"
    )
    for check in summary.failed_checks:
        console.print(f"[yellow]check not passed:[/] {escape(printable(check))}")
    example = next((row for row in rows if row.outputs), None)
    if example is not None:
        console.print(f"Look at  {store.uri(example.outputs + 'report.html')}", soft_wrap=True)
    console.print(f"Outputs  {summary.outputs}", soft_wrap=True)
    console.print("In the Dagster UI: [bold]mineru-pipeline dev[/] (or make dev)")
    if summary.stopped:
        console.print(f"[red]Stopped before the end:[/] {escape(printable(summary.stopped))}", soft_wrap=True)
        console.print("Nothing that was finished is lost. The same command goes on where this one stopped.")
    if as_json:
        # Last, alone and on standard output, for programs.
        print(json.dumps(asdict(summary)))  # noqa: T201  # the product of --json


def _table(rows: Sequence[ParsedRow]) -> Table:
    table = Table(header_style="bold", box=SIMPLE)
    table.add_column("document", no_wrap=True, max_width=44)
    table.add_column("state")
    for name in ("pages", "degraded", "text layer", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("why", ratio=1)
    shown = rows if len(rows) <= ROWS_SHOWN else [row for row in rows if row.state != State.PARSED][:ROWS_SHOWN]
    for row in shown:
        # The first sentence; the tables and result.json have the rest.
        why = f"same bytes as {_name(row.duplicate_of)}" if row.duplicate_of else row.message.split(". ")[0]
        agreement = "" if row.agreement is None else f"{row.agreement:.2f}"
        style = _STYLES.get(row.state, "")
        table.add_row(
            escape(_name(row.uri)),
            f"[{style}]{row.state}[/]" if style else row.state,
            str(row.pages or ""),
            str(row.degraded_pages or ""),
            agreement,
            f"{row.seconds:.1f}" if row.seconds else "",
            escape(printable(why)),
        )
    if len(shown) < len(rows):
        table.caption = f"{len(shown)} of {len(rows)} documents shown; the table in the store has them all"
    return table


def _name(uri: str) -> str:
    return printable(unquote(uri.rsplit("/", 1)[-1]))
