"""``mineru-pipeline status``: where a document is and what happened to it, from its arrival to its result."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mineru_pipeline import runs
from mineru_pipeline.commands.text import printable
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.refs import INVALID
from mineru_pipeline.errors import ObjectNotFoundError, SourceError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import whereabouts
from mineru_pipeline.parsing.whereabouts import Found
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from mineru_pipeline.storage.addresses import SCHEME, object_uri, parse_object_uri
from resources.documents import open_store
from resources.parsing import revisions_of

EXIT_OK, EXIT_PARTLY = 0, 1
#: Somebody waits for the answer; a run would wait longer for a store that is being restarted.
PATIENCE_SECONDS = 5.0
#: Failed batches of which it is looked up what comes next.
_MOST_HISTORIES = 500
#: Damaged objects that people are shown; programs are given all.
_MOST_DAMAGES = 20
_BATCH = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_DIGITS = re.compile(r"[0-9a-f]{8,64}")

Answer = dict[str, Any]


def status(what: str | None, settings: Settings, *, as_json: bool, console: Console) -> int:
    """Tell what is known of everything, a batch or a document; exit code 1 where nothing is, or something is damaged.

    A damaged table or manifest hides nothing else: it is named, and the rest is shown.

    Raises:
        SourceError: it is no batch, address or SHA-256, or several documents start with it.
        StoreError, DagsterInstanceError, SettingsError: what is to be asked cannot be used.
    """
    store = open_store(settings, patience_seconds=PATIENCE_SECONDS)
    if what is None:
        answer, lines = _overview(settings, store)
    elif _BATCH.fullmatch(what):
        answer, lines = _batch(settings, store, what)
    else:
        answer, lines = _document(settings, store, what)
    for line in lines:
        console.print(escape(printable(line)), soft_wrap=True, highlight=False)
    if as_json:
        # Last, alone and on standard output, for programs.
        print(json.dumps(answer))  # noqa: T201  # the product of --json
    return EXIT_PARTLY if answer.get("entries") == [] or answer["damaged"] else EXIT_OK


def _overview(settings: Settings, store: ObjectStore) -> tuple[Answer, list[str]]:
    found = whereabouts.overview(store, revisions_of(settings).parser)
    with runs.looking(settings) as instance:
        unsettled, cut = runs.unsettled(instance, whereabouts.MOST_BATCHES) if instance is not None else ({}, False)
        failed = [batch for batch in found.open if unsettled.get(batch) == runs.FAILED]
        standings = runs.standings(instance, failed[:_MOST_HISTORIES]) if instance is not None else []
    stuck = sum(each.waits_for_somebody for each in standings)
    cut = cut or len(failed) > _MOST_HISTORIES
    waiting = Counter(unsettled.get(batch, "fixed") for batch in found.open)
    batches = {name: waiting[name] for name in ("fixed", runs.RUNNING, runs.FAILED)} | {"done": found.done}
    answer = {
        "revision": found.revision,
        "batches": batches,
        "waiting_for_somebody": stuck,
        "done_under_other_revisions": found.under_other_revisions,
        "documents": dict(found.states),
        "quarantined": found.quarantined,
        "outbox": found.outbox,
        "dagster": instance is not None,
        "cut": found.cut or cut,
        "damaged": found.damaged,
    }
    other = f" ({found.under_other_revisions} of those not done were, under other revisions)"
    lines = [
        f"batches     {found.batches}: {_counts(batches)}{other if found.under_other_revisions else ''}",
        *([f"            {stuck} of those failed wait for somebody: mineru-pipeline batches list"] if stuck else []),
        f"documents   {sum(found.states.values())}: {_counts(found.states)} (revision {found.revision})",
        f"quarantine  {found.quarantined} documents",
        f"outbox      {found.outbox} batches whose results wait to be told",
    ]
    return answer, [*lines, *_remarks(answer)]


def _batch(settings: Settings, store: ObjectStore, batch: str) -> tuple[Answer, list[str]]:
    manifest, damage = _manifest(store, batch)
    ends = whereabouts.ends_of(store, batch)
    with runs.looking(settings) as instance:
        views = [asdict(view) for view in runs.runs_of(instance, batch)] if instance is not None else []
        done = revisions_of(settings).parser in ends.states
        standing = runs.standing(instance, batch) if instance is not None and not done else None
    cut = len(views) == runs.MOST_RUNS
    answer = {
        "batch": batch,
        **_announced(manifest),
        "states": ends.states,
        "runs": views,
        "standing": asdict(standing) if standing is not None else None,
        "dagster": instance is not None,
        "cut": cut,
        "damaged": [*damage, *ends.damaged],
    }
    lines = [
        f"batch       {batch}: {_contents(manifest)}",
        *(f"revision    {revision}: {_counts(counts)}" for revision, counts in ends.states.items()),
        *([] if ends.states or ends.damaged else ["revision    no table yet: no run has come to its end"]),
        *(_run_line(view) for view in views),
        *([f"next run    {standing.says}"] if standing is not None else []),
    ]
    return answer, [*lines, *_remarks(answer)]


def _manifest(store: ObjectStore, batch: str) -> tuple[BatchManifest | None, list[str]]:
    """The manifest, or None and what is wrong with it: its tables and runs can be told nevertheless."""
    try:
        return read_manifest(store, batch), []
    except (ObjectNotFoundError, StoreUnavailableError):
        raise
    except StoreError as error:
        return None, [str(error)]


def _announced(manifest: BatchManifest | None) -> Answer:
    if manifest is None:
        return {"tenant": None, "origins": [], "source": None, "documents": None}
    return {
        "tenant": manifest.tenant,
        "origins": sorted({ref.origin for ref in manifest.refs}),
        "source": asdict(manifest.source) if manifest.source else None,
        "documents": len(manifest.refs),
    }


def _contents(manifest: BatchManifest | None) -> str:
    if manifest is None:
        return "its manifest cannot be read"
    return f"{len(manifest.refs)} documents of {manifest.tenant}, {_origin(manifest)}"


def _document(settings: Settings, store: ObjectStore, what: str) -> tuple[Answer, list[str]]:
    found = _find(store, what)
    with runs.looking(settings) as instance:
        views = {
            batch: [asdict(view) for view in runs.runs_of(instance, batch)] if instance is not None else []
            for batch in dict.fromkeys(entry.batch for entry in found.entries)
        }
    entries = [asdict(entry) | {"runs": views[entry.batch]} for entry in found.entries]
    answer = {"entries": entries, "dagster": instance is not None, "cut": found.cut, "damaged": found.damaged}
    lines = [line for entry in entries for line in _entry_lines(entry, store)]
    if not lines:
        none = "no batch that can be read" if found.damaged else "no batch"
        lines = [f"Nothing is known of {what}: {none} names it. What waits in Kafka or a bucket is in none yet."]
    return answer, [*lines, *_remarks(answer)]


def _find(store: ObjectStore, what: str) -> Found:
    if _DIGITS.fullmatch(what):
        return whereabouts.by_sha256(store, what)
    if "://" not in what and not _is_file(what):
        raise SourceError(
            INVALID,
            f"{what[:200]!r} is no batch, no address such as s3://bucket/key, no file, and no SHA-256 or at least 8 of "
            "its first digits in lower case.",
        )
    return whereabouts.by_uri(store, _spellings(what))


def _is_file(what: str) -> bool:
    try:
        return Path(what).exists()
    except (OSError, ValueError):
        # No file can have such a name.
        return False


def _spellings(what: str) -> set[str]:
    """The address as given, and as manifests spell it."""
    if "://" not in what:
        return {Path(what).absolute().as_uri(), Path(what).resolve().as_uri()}
    if not what.startswith(f"{SCHEME}://"):
        return {what}
    try:
        return {what, object_uri(*parse_object_uri(what))}
    except (SourceError, ValueError):
        return {what}


def _entry_lines(entry: Mapping[str, Any], store: ObjectStore) -> Iterator[str]:
    why = " ".join(filter(None, (f"({entry['reason']})" if entry["reason"] else "", entry["message"])))
    yield f"{entry['state']:<11} {entry['uri']} {why}".rstrip()
    yield f"  arrived   {entry['received_at']} from {entry['origin']}, tenant {entry['tenant']}"
    yield f"  batch     {entry['batch']}, entry {entry['entry']}, revision {entry['revision'] or 'none yet'}"
    yield from (f"  {_run_line(run)}" for run in entry["runs"])
    if entry["sha256"]:
        pages = f"{entry['pages']} pages, {entry['degraded_pages']} degraded"
        yield f"  content   {entry['sha256']}, {pages}"
    if entry["duplicate_of"]:
        yield f"  same as   {entry['duplicate_of']}"
    if entry["outputs"]:
        yield f"  outputs   {store.uri(entry['outputs'].removesuffix('/'))}/"
    if note := entry["quarantine"]:
        since = note.get("first_at", note.get("at"))
        yield f"  quarantine since {since}: {note.get('reason')}, batch {note.get('batch')}"


def _run_line(run: Mapping[str, Any]) -> str:
    return f"run       {run['run_id']} {run['status']}, {run['started'] or run['created']} to {run['ended'] or 'now'}"


def _origin(manifest: BatchManifest) -> str:
    if (source := manifest.source) is not None:
        return f"announced in {source.topic}[{source.partition}] {source.first_offset}-{source.next_offset}"
    return f"from {', '.join(sorted({ref.origin for ref in manifest.refs}))}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _remarks(answer: Answer) -> list[str]:
    damaged = [f"damaged: {text}" for text in answer["damaged"][:_MOST_DAMAGES]]
    if (more := len(answer["damaged"]) - len(damaged)) > 0:
        damaged.append(f"damaged: {more} more; --json names all")
    cut = ["There is more than was looked at; only the newest is counted."] * answer["cut"]
    dagster = ["There is no Dagster instance here yet, so nothing is known of runs."] * (not answer["dagster"])
    return [*damaged, *cut, *dagster]
