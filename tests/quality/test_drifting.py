"""The detector is fed with every document once, whoever dies and however many come at once."""

from __future__ import annotations

import gzip
import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mineru_pipeline.errors import StoreError
from mineru_pipeline.quality.drifting import Document, begin_anew, feed, leave, look
from mineru_pipeline.quality.gates.drift import Detector, Side
from mineru_pipeline.storage import FilesystemStore, ObjectInfo, ObjectStore, layout

DETECTOR = Detector(signals=(("match", Side.LOW),), every=200, reference=40, window=200)
REVISION = "0123456789ab"


def batch(number: int, size: int = 10, mean: float = 0.9) -> list[Document]:
    dice = Random(number)
    return [(f"/{number}-{n}", {"match": mean + dice.gauss(0, 0.03), "other": 1.0}) for n in range(size)]


def left(store: ObjectStore, number: int, **more: float) -> list[Document]:
    documents = batch(number, **more)  # type: ignore[arg-type]
    leave(store, REVISION, f"2026{number:04d}", documents)
    return documents


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


class DyingError(Exception):
    """The process is gone."""


class Faulty:
    """A store in front of another that dies at, or right after, one kind of write."""

    def __init__(self, store: ObjectStore, fails: str, *, after: bool = False) -> None:
        self._store, self._fails, self._after = store, fails, after

    @property
    def address(self) -> str:
        return self._store.address

    def _maybe(self, what: str, key: str) -> None:
        if what == self._fails and "quality/drift" in key:
            raise DyingError

    def put(self, key: str, data: bytes) -> None:
        self._maybe("put", key)
        self._store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if not self._after:
            self._maybe("put_if_absent", key)
        won = self._store.put_if_absent(key, data)
        self._maybe("put_if_absent", key)
        return won

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._maybe("delete", key)
        self._store.delete(key)

    def uri(self, key: str) -> str:
        return self._store.uri(key)


def fed_names(store: ObjectStore) -> list[str]:
    return [point.document for point in look(store, REVISION, DETECTOR).memory.points]


def test_what_waits_is_fed_in_the_order_of_batches_and_entries(store: FilesystemStore) -> None:
    """Batches by time, documents as they were left; nothing waits afterwards."""
    later, earlier = left(store, 2), left(store, 1)
    found = feed(store, REVISION, DETECTOR)
    assert (found.documents, found.waiting) == (20, 0)
    assert fed_names(store) == [name for name, _ in earlier + later]
    assert feed(store, REVISION, DETECTOR).documents == 0


def test_feeding_in_parts_gives_the_same_state(tmp_path: Path) -> None:
    """Batch by batch or all at once makes no difference to what the detector knows."""
    parts, whole = FilesystemStore(tmp_path / "a"), FilesystemStore(tmp_path / "b")
    for number in range(12):
        left(parts, number)
        feed(parts, REVISION, DETECTOR)
        left(whole, number)
    feed(whole, REVISION, DETECTOR)
    assert look(parts, REVISION, DETECTOR).memory == look(whole, REVISION, DETECTOR).memory


@pytest.mark.parametrize(
    ("fails", "after"), [("put_if_absent", False), ("put_if_absent", True), ("put", False), ("delete", False)]
)
def test_whatever_dies_no_document_is_lost_or_fed_twice(store: FilesystemStore, fails: str, after: bool) -> None:
    """A process that dies before, at or after each write leaves a store from which the next goes on."""
    left(store, 0)
    feed(store, REVISION, DETECTOR)
    documents = left(store, 1)
    with pytest.raises(DyingError):
        feed(Faulty(store, fails, after=after), REVISION, DETECTOR)
    feed(store, REVISION, DETECTOR)
    names = fed_names(store)
    assert names == [name for name, _ in batch(0) + documents]
    assert look(store, REVISION, DETECTOR).waiting == 0


def test_a_batch_that_is_left_again_is_not_fed_again(store: FilesystemStore) -> None:
    """A run that is repeated leaves the same documents, and perhaps some more; the new ones alone are fed."""
    documents = left(store, 1)
    feed(store, REVISION, DETECTOR)
    leave(store, REVISION, "20260001", [*documents, ("/late", {"match": 0.9})])
    assert feed(store, REVISION, DETECTOR).documents == 1
    assert fed_names(store)[-1] == "/late"


def _feed_often(folder: str, first: int) -> None:
    store = FilesystemStore(Path(folder))
    for number in range(first, first + 5):
        leave(store, REVISION, f"2026{number:04d}", batch(number))
        feed(store, REVISION, DETECTOR)


def test_eight_processes_at_once_feed_every_document_once(tmp_path: Path) -> None:
    """Rivals for a generation lose nothing and repeat nothing: forty batches, four hundred documents."""
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_feed_often, args=(str(tmp_path), 100 * run)) for run in range(8)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert [run.exitcode for run in runs] == [0] * 8
    store = FilesystemStore(tmp_path)
    names = fed_names(store)
    expected = {name for run in range(8) for number in range(5) for name, _ in batch(100 * run + number)}
    assert len(names) == 400
    assert set(names) == expected
    found = look(store, REVISION, DETECTOR)
    assert (found.memory.state.seen, found.waiting) == (400, 0)


def test_older_generations_keep_their_place_and_nothing_else(store: FilesystemStore) -> None:
    """Whoever slept cannot take a generation that was taken, and the states of the past take no room."""
    for number in range(4):
        left(store, number)
        feed(store, REVISION, DETECTOR)
    sizes = [item.size for item in store.list(layout.drift_state_prefix(REVISION))]
    assert sizes[:-1] == [0, 0, 0]
    assert sizes[-1] > 0


def test_a_change_is_noticed_and_stays_until_begun_anew(store: FilesystemStore) -> None:
    """After a change the first warning names document and signal, and is there until somebody has dealt with it."""
    for number in range(20):
        left(store, number)
    feed(store, REVISION, DETECTOR)
    assert look(store, REVISION, DETECTOR).memory.state.alarm is None
    for number in range(20, 25):
        left(store, number, mean=0.6)
    feed(store, REVISION, DETECTOR)
    alarm = look(store, REVISION, DETECTOR).memory.state.alarm
    assert alarm is not None
    assert (alarm.leading, alarm.seen > 200) == ("match", True)
    left(store, 25)
    feed(store, REVISION, DETECTOR)
    assert look(store, REVISION, DETECTOR).memory.state.alarm == alarm
    begin_anew(store, REVISION, DETECTOR, "a new scanner")
    memory = look(store, REVISION, DETECTOR).memory
    assert (memory.state.seen, memory.state.alarm, memory.begun) == (0, None, "a new scanner")
    left(store, 24, mean=0.6)
    assert feed(store, REVISION, DETECTOR).documents == 0


def test_other_rules_begin_anew(store: FilesystemStore) -> None:
    """A release with other signals does not judge by what an earlier one has learned, and says so."""
    left(store, 1)
    feed(store, REVISION, DETECTOR)
    other = Detector(signals=(("other", Side.HIGH),), every=200, reference=40, window=200)
    memory = look(store, REVISION, other).memory
    assert (memory.state.seen, memory.begun) == (0, "other signals or limits than before")


def test_what_is_damaged_is_named_and_holds_up_nobody(store: FilesystemStore) -> None:
    """A batch that cannot be read stays where it is; those after it are fed."""
    key = layout.drift_waiting_key(REVISION, "20250000", "f" * 16)
    store.put(key, b"nothing of the kind")
    left(store, 1)
    found = feed(store, REVISION, DETECTOR)
    assert (found.documents, found.waiting, found.damaged) == (10, 0, (store.uri(key),))
    assert store.exists(key)


def test_a_damaged_state_is_told_and_can_be_begun_anew(store: FilesystemStore) -> None:
    """It is not taken for an empty one: somebody decides."""
    left(store, 1)
    store.put(layout.drift_state_key(REVISION, 3), b"nothing of the kind")
    with pytest.raises(StoreError, match="drift begin"):
        feed(store, REVISION, DETECTOR)
    begin_anew(store, REVISION, DETECTOR, "the state was damaged")
    assert feed(store, REVISION, DETECTOR).documents == 10


@pytest.mark.parametrize(
    "text", ['[["x", {"match": NaN}]]', '[["x", {"match": "1"}]]', '[["x", {"match": 1e999}]]', "[" * 100_000]
)
def test_a_signal_that_is_no_number_holds_up_nobody(store: FilesystemStore, text: str) -> None:
    """It is named and left out; the batches behind it are fed, now and after it."""
    key = layout.drift_waiting_key(REVISION, "20260000", "0" * 16)
    store.put(key, gzip.compress(text.encode()))
    for number in (1, 2):
        left(store, number)
        found = feed(store, REVISION, DETECTOR)
        assert (found.documents, found.waiting, found.damaged) == (10, 0, (store.uri(key),))


def test_a_strange_object_beside_the_states_is_no_generation(store: FilesystemStore) -> None:
    """Somebody's notes stop neither feeding nor beginning anew."""
    left(store, 1)
    feed(store, REVISION, DETECTOR)
    store.put(f"{layout.drift_state_prefix(REVISION)}notes.txt", b"hello")
    left(store, 2)
    assert feed(store, REVISION, DETECTOR).documents == 10
    begin_anew(store, REVISION, DETECTOR, "why not")
    assert look(store, REVISION, DETECTOR).memory.begun == "why not"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"[" * 100_000,
        lambda value: {**value, "state": "[" * 100_000},
        lambda value: {**value, "state": value["state"].replace('"seen": 10', '"seen": 1e999')},
        lambda value: {**value, "state": value["state"].replace('"history": [', '"history": [NaN, ')},
        lambda value: {**value, "points": 5},
    ],
)
def test_any_damage_of_a_state_is_told_and_mended_by_beginning_anew(
    store: FilesystemStore, damage: Callable[[dict[str, Any]], Any]
) -> None:
    """Looking and feeding say that the state is damaged, with no traceback of a library, and to begin anew helps."""
    left(store, 1)
    feed(store, REVISION, DETECTOR)
    key = layout.drift_state_key(REVISION, 1)
    damaged = damage(json.loads(gzip.decompress(store.get(key))))
    store.put(key, gzip.compress(damaged if isinstance(damaged, bytes) else json.dumps(damaged).encode()))
    left(store, 2)
    for reading in (look, feed):
        with pytest.raises(StoreError, match="drift begin"):
            reading(store, REVISION, DETECTOR)
    begin_anew(store, REVISION, DETECTOR, "the state was damaged")
    assert feed(store, REVISION, DETECTOR).documents == 10


def test_revisions_are_watched_apart(store: FilesystemStore) -> None:
    """A new parser is a change that somebody wanted: its documents are compared with its own."""
    left(store, 1)
    feed(store, REVISION, DETECTOR)
    assert look(store, "ffffffffffff", DETECTOR).memory.state.seen == 0
