"""What is there in the end: read from the store, the broker, the model server's record and the S3 server's own log."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.chaos.broker import Place
from bench.chaos.plan import State
from bench.seaweed import Seaweed, weed
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import ObjectStore, layout

#: The names of the objects that tell that a page is kept, and that a document is complete.
CHECKPOINT, RESULT = "000000.json", "result.json"
_LOG_SECONDS = 60
_SHA256 = re.compile(r"/([0-9a-f]{64})/")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch with its entries, and of the rows of its table entry, address and state; None where there is no table."""

    key: str
    entries: tuple[State, ...]
    rows: tuple[tuple[int, str, str], ...] | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: its id, the reason it gives, and where it says that the message lies."""

    id: str
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the invariants speak of."""

    batches: tuple[Batch, ...]
    letters: tuple[Letter, ...]
    lag: int
    #: Times at which the model was asked about a page, by the number on it, in order.
    asked: Mapping[int, list[float]]
    #: Times at which the page's checkpoint and the result were written, by sha256, as the S3 server tells.
    kept: Mapping[str, list[float]]
    committed: Mapping[str, list[float]]
    #: Keys of the results that are in the store.
    results: tuple[str, ...]
    #: Ids of the events on the topic of results, with batch and entry.
    told: Mapping[tuple[str, int], set[str]] = field(default_factory=dict)
    #: Requests whose client hung up before it was answered, by the model server's count.
    hung_up: int = 0
    #: Objects of the store's bucket that lie outside of its prefix.
    strays: tuple[str, ...] = ()


def batches(store: ObjectStore, revision: str, known: Container[str] = ()) -> Iterator[Batch]:
    """Yield every batch that was fixed, but for those that are known already."""
    for item in list(store.list(layout.MANIFESTS)):
        if layout.batch_of_manifest(item.key) in known:
            continue
        manifest = read_manifest(store, layout.batch_of_manifest(item.key))
        entries = tuple((ref.uri, ref.version or "") for ref in manifest.refs)
        rows = None
        if store.exists(layout.table_key(ledger.PARSED_DOCUMENTS, revision, manifest.batch)):
            found = ledger.read(store, ledger.PARSED_DOCUMENTS, revision, manifest.batch, ParsedRow)
            rows = tuple((row.entry, row.uri, row.state) for row in found)
        yield Batch(manifest.batch, entries, rows)


def letter(event: Mapping[str, Any]) -> Letter:
    """Read a dead letter."""
    data = event["data"]
    origin = data["origin"]
    # A letter on messages that the broker removed has a range in place of an offset.
    place = (origin["topic"], origin["partition"], origin.get("offset", -1), origin.get("record"))
    return Letter(event["id"], data.get("reason", "lost"), place)


def told(events: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], set[str]]:
    """Return the ids of the events that tell results, by batch and entry."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for event in events:
        found[event["data"]["batch"], event["data"]["entry"]].add(event["id"])
    return dict(found)


class Asked:
    """The model server's record, read on from where it was read last."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._read = 0
        self._times: dict[int, list[float]] = defaultdict(list)

    def times(self) -> dict[int, list[float]]:
        """Return when each page was asked about, by its number; pages without one prove the model, and are left out."""
        if self._record.exists():
            with self._record.open("rb") as stream:
                stream.seek(self._read)
                # A line is complete when it ends.
                whole, _, _ = stream.read().rpartition(b"\n")
            self._read += len(whole) + bool(whole)
            for line in whole.splitlines():
                entry = json.loads(line)
                if entry["number"] is not None:
                    self._times[entry["number"]].append(entry["at"])
        return dict(self._times)


class Writes:
    """The S3 server's own log of objects of one name, written down while everything works.

    It tells what a listing cannot: an object that was written twice looks like any other.
    """

    def __init__(self, program: Seaweed, bucket: str, name: str, log: Path) -> None:
        self._program, self._bucket, self._name, self._log = program, bucket, name, log
        command = [weed(), "filer.meta.tail", f"-filer={program.filer}", f"-pathPrefix=/buckets/{bucket}/"]
        with log.open("wb") as output:
            self._process = subprocess.Popen([*command, f"-pattern={name}"], stdout=output, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """End it by its process id."""
        self._process.kill()
        self._process.wait(timeout=30)

    def all(self, mark: str) -> dict[str, list[float]]:
        """Return when objects of this name were written, by the sha256 in their key.

        An object is written below the prefix ``mark`` and removed again; once it is in the log, so is all before it.
        """
        client, key = self._program.server.client, f"{mark}/{uuid.uuid4().hex}/{self._name}"
        client.put_object(self._bucket, key, io.BytesIO(b"."), 1)
        client.remove_object(self._bucket, key)
        deadline = time.monotonic() + _LOG_SECONDS
        while key.split("/")[-2] not in (text := self._log.read_text("utf-8", "replace")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server's log of {self._name} was not written to its end")
            time.sleep(0.2)
        found: dict[str, list[float]] = defaultdict(list)
        for event in _objects(text.splitlines()):
            change = event["eventNotification"]
            digest = _SHA256.search(f"{change.get('newParentPath') or event['directory']}/")
            if change["newEntry"] is not None and digest is not None:
                found[digest[1]].append(int(event["tsNs"]) / 1e9)
        return dict(found)


def strays(program: Seaweed, bucket: str, prefix: str) -> tuple[str, ...]:
    """Return the objects of the bucket that do not lie below the prefix."""
    found = (str(item.object_name) for item in program.server.client.list_objects(bucket, recursive=True))
    return tuple(key for key in found if not key.startswith(f"{prefix}/"))


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text that has one after the other, each spread over lines."""
    taken: list[str] = []
    for line in lines:
        if taken or line == "{":
            taken.append(line)
        if line == "}" and taken:
            yield json.loads("\n".join(taken))
            taken = []
