"""The feed: whatever breaks between two effects, every announcement is in exactly one batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from announcements import P0, POLICY, event, message, notification
from memory_broker import MemoryBroker

from mineru_pipeline.documents.manifest import BatchManifest, LogRange, write_manifest
from mineru_pipeline.errors import MessagingError, StoreError, StoreUnavailableError
from mineru_pipeline.messaging.broker import Bounds, Message, Outgoing, Partition
from mineru_pipeline.messaging.cursor import Cursor, Position
from mineru_pipeline.messaging.feed import Feed, FeedOptions, Tick
from mineru_pipeline.storage import FilesystemStore, layout

P1 = Partition("documents", 1)
OPTIONS = FeedOptions(("documents",), "dead", "default", POLICY, 3, 20, Bounds(1000, 10**7, 5))


def document(offset: int, partition: Partition = P0, key: str = "") -> Message:
    return message(event({"uri": f"s3://inbox/{key or f'{partition.number}-{offset}'}"}), offset, partition=partition)


@dataclass
class Bench:
    """A broker, a store and a cursor, as between two evaluations."""

    store: FilesystemStore
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    options: FeedOptions = OPTIONS
    cursor: Cursor = field(default_factory=lambda: Cursor({P0: Position(0)}))

    def evaluate(self, *, stored: bool = True) -> Tick:
        tick = Feed(self.broker, self.store, self.options).evaluate(self.cursor)
        if stored:
            self.cursor = tick.cursor
        return tick

    def letters(self) -> list[str]:
        return [json.loads(letter.value)["id"] for letter in self.broker.sent]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(FilesystemStore(tmp_path / "store"))


def uris(tick: Tick) -> list[list[str]]:
    return [[ref.uri.rsplit("/", 1)[1] for ref in batch.refs] for batch in tick.batches]


def test_what_arrived_becomes_batches(bench: Bench) -> None:
    """At most three documents each, fixed in the store, with the offsets they were made of, and the cursor behind."""
    bench.broker.append(*(document(n) for n in range(7)))
    tick = bench.evaluate()
    assert uris(tick) == [["0-0", "0-1", "0-2"], ["0-3", "0-4", "0-5"], ["0-6"]]
    assert tick.batches[1].source == LogRange("documents", 0, 3, 6)
    assert all(bench.store.exists(layout.manifest_key(batch.batch)) for batch in tick.batches)
    assert tick.cursor.positions[P0] == Position(7)
    assert bench.evaluate().batches == []


def test_a_log_is_read_from_the_evaluation_after_the_one_that_found_it(bench: Bench) -> None:
    """Its start is in the cursor first: a batch fixed at a start that nobody kept could not be found again."""
    bench.cursor = Cursor()
    bench.broker.append(document(5), document(6))
    found = bench.evaluate()
    assert (found.batches, found.cursor.positions, found.waiting) == ([], {P0: Position(5)}, 2)
    bench.broker.append(document(0, P1))
    assert uris(bench.evaluate()) == [["0-5", "0-6"]]
    assert uris(bench.evaluate()) == [["1-0"]]


def test_a_crash_before_the_cursor_is_stored_changes_nothing(bench: Bench) -> None:
    """More has arrived meanwhile, and still the same batches come back, ends included, with no letter sent again."""
    bench.broker.append(document(0), message(b"{", 1), document(2))
    before = bench.evaluate(stored=False)
    letters = bench.letters()
    bench.broker.append(*(document(n) for n in range(3, 9)))
    again = bench.evaluate()
    assert again.batches[0] == before.batches[0]
    assert uris(again) == [["0-0", "0-2"], ["0-3", "0-4", "0-5"], ["0-6", "0-7", "0-8"]]
    assert bench.letters() == letters


def test_a_shorter_reading_still_ends_where_the_batch_ends(bench: Bench) -> None:
    """A repeated evaluation that gets to see less takes the fixed batch as a whole."""
    bench.broker.append(*(document(n) for n in range(3)))
    before = bench.evaluate(stored=False)
    bench.options = replace(OPTIONS, bounds=Bounds(1, 10**7, 5))
    again = bench.evaluate()
    assert again.batches == before.batches
    assert again.cursor.positions[P0] == Position(3)


def test_poison_alone_makes_no_batch_and_is_passed(bench: Bench) -> None:
    """The letters are sent, the cursor moves; repeated, they have the same ids."""
    bench.broker.append(message(b"{", 0), message(None, 1))
    first = bench.evaluate(stored=False)
    assert (first.batches, first.refused, first.cursor.positions[P0]) == ([], 2, Position(2))
    bench.evaluate()
    assert set(Counter(bench.letters()).values()) == {2}
    assert {letter.topic for letter in bench.broker.sent} == {"dead"}


def test_letters_are_acknowledged_before_the_manifest_is_written(bench: Bench) -> None:
    """If they cannot be sent, no batch is fixed, and the next evaluation does both."""
    bench.broker.append(document(0), message(b"{", 1))
    bench.broker.fail_on = "send"
    with pytest.raises(MessagingError):
        bench.evaluate()
    assert list(bench.store.list("")) == []
    bench.broker.fail_on = ""
    assert uris(bench.evaluate()) == [["0-0"]]
    assert len(bench.letters()) == 1


class FailingStore(FilesystemStore):
    """Has no room for one more manifest."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        raise StoreUnavailableError(f"The store cannot take {key}. Make room.")


def test_a_store_that_fails_loses_nothing(bench: Bench, tmp_path: Path) -> None:
    """The letter is sent again with its id, and the batch is made when the store is back."""
    bench.broker.append(document(0), message(b"{", 1))
    with pytest.raises(StoreUnavailableError):
        Feed(bench.broker, FailingStore(tmp_path / "full"), OPTIONS).evaluate(bench.cursor)
    assert uris(bench.evaluate()) == [["0-0"]]
    assert len(set(bench.letters())) == 1


def test_a_rival_that_was_faster_is_followed(bench: Bench) -> None:
    """Two evaluations at once agree on one batch, that of whoever wrote first, and go on from its end."""
    bench.broker.append(*(document(n) for n in range(5)))

    class Rival(MemoryBroker):
        def send(self, messages: Sequence[Outgoing]) -> None:
            slow = replace(OPTIONS, bounds=Bounds(2, 10**7, 5))
            Feed(MemoryBroker(self.logs), bench.store, slow).evaluate(bench.cursor)

    bench.broker.append(message(b"{", 5))
    bench.options = replace(OPTIONS, batch_size=10)
    bench.broker = Rival(bench.broker.logs)
    assert uris(bench.evaluate()) == [["0-0", "0-1"], ["0-2", "0-3", "0-4"]]


def test_the_group_offsets_follow_the_stored_cursor(bench: Bench) -> None:
    """What is committed for the watchers of the lag is what the cursor proved, never what is being read."""
    bench.broker.append(*(document(n) for n in range(3)))
    bench.evaluate(stored=False)
    bench.evaluate()
    bench.evaluate()
    assert bench.broker.committed == [{P0: 0}, {P0: 0}, {P0: 3}]


def test_a_commit_that_fails_stops_nothing(bench: Bench) -> None:
    """Lag monitoring is not worth a document."""
    bench.broker.append(document(0))
    bench.broker.fail_on = "commit"
    assert uris(bench.evaluate()) == [["0-0"]]


def test_batches_of_an_evaluation_come_from_all_logs(bench: Bench) -> None:
    """A busy log does not starve the others; what is left waits for the next evaluation."""
    bench.broker.append(*(document(n) for n in range(30)), document(0, P1))
    bench.cursor = Cursor({P0: Position(0), P1: Position(0)})
    bench.options = replace(OPTIONS, max_batches=2)
    tick = bench.evaluate()
    assert uris(tick) == [["0-0", "0-1", "0-2"], ["1-0"]]
    assert tick.waiting == 27
    assert uris(bench.evaluate())[0] == ["0-3", "0-4", "0-5"]


def test_bounded_evaluations_go_on_where_they_stopped(bench: Bench) -> None:
    """A thousand documents in small steps end up in batches, each exactly once and in order."""
    bench.broker.append(*(document(n) for n in range(1000)))
    bench.options = replace(OPTIONS, batch_size=20, max_batches=3, bounds=Bounds(70, 10**7, 5))
    found: list[str] = []
    while (tick := bench.evaluate()).batches:
        assert len(tick.batches) <= 3
        found += [uri for batch in uris(tick) for uri in batch]
    assert found == [f"0-{n}" for n in range(1000)]


def test_lost_offsets_are_told_once_they_are_passed(bench: Bench) -> None:
    """The broker removed unread messages: a letter says which, a warning says so, and reading goes on."""
    bench.broker.append(*(document(n) for n in range(6)))
    bench.broker.remove_before(P0, 4)
    tick = bench.evaluate()
    assert uris(tick) == [["0-4", "0-5"]]
    assert tick.batches[0].source == LogRange("documents", 0, 0, 6)
    assert json.loads(bench.broker.sent[0].value)["data"]["origin"]["next_offset"] == 4
    assert "4 offsets of documents[0]" in tick.warnings[0]
    assert bench.evaluate().warnings == []


def test_a_log_that_was_emptied_is_passed(bench: Bench) -> None:
    """Nothing is left to read; the letter is there, and the position is that of the next message."""
    bench.broker.append(*(document(n) for n in range(6)))
    bench.broker.remove_before(P0, 6)
    tick = bench.evaluate()
    assert (tick.batches, tick.cursor.positions[P0], len(bench.letters())) == ([], Position(6), 1)


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_fixed_batch_survives_its_messages(bench: Bench, kept: int) -> None:
    """Crashed after the manifest, and back after retention: the batch is found though its messages are gone."""
    bench.broker.append(*(document(n) for n in range(3)))
    before = bench.evaluate(stored=False)
    bench.broker.append(*(document(n) for n in range(3, 6)))
    bench.broker.remove_before(P0, kept)
    again = bench.evaluate()
    assert again.batches[0] == before.batches[0]
    assert [uri for batch in uris(again)[1:] for uri in batch] == [f"0-{n}" for n in range(max(3, kept), 6)]
    assert len(bench.letters()) == (1 if kept > 3 else 0)


def test_a_topic_made_anew_is_read_from_its_start(bench: Bench) -> None:
    """The log ends before what was read: it is another one. Its batches are new ones, though offsets repeat."""
    bench.broker.append(*(document(n) for n in range(5)))
    old = bench.evaluate()
    bench.broker.logs[P0] = [document(0, key="new")]
    tick = bench.evaluate()
    assert (tick.batches, tick.cursor.positions[P0]) == ([], Position(0, 1))
    assert "made anew" in tick.warnings[0]
    new = bench.evaluate()
    assert uris(new) == [["new"]]
    assert new.batches[0].batch not in {batch.batch for batch in old.batches}


def test_positions_of_other_topics_are_kept(bench: Bench) -> None:
    """A topic that is taken out of the settings and put back goes on where it was."""
    other = Partition("other", 4)
    bench.cursor = Cursor({P0: Position(0), other: Position(77)})
    bench.broker.append(document(0))
    assert bench.evaluate().cursor.positions[other] == Position(77)


def test_removals_are_reported(bench: Bench) -> None:
    """Their addresses are in the evaluation, and no batch is made of them."""
    bench.broker.append(message(notification({"key": "a+b.pdf"}, name="s3:ObjectRemoved:Delete"), 0))
    tick = bench.evaluate()
    assert (tick.removed, tick.batches) == (["s3://inbox/a%20b.pdf"], [])
    assert "1 objects removed" in tick.summary()


def test_a_manifest_without_offsets_under_our_key_is_an_error(bench: Bench) -> None:
    """Where it ends cannot be known; the error says so instead of guessing."""
    bench.broker.append(document(0))
    key = bench.evaluate(stored=False).batches[0].batch
    bench.store.delete(layout.manifest_key(key))
    write_manifest(bench.store, BatchManifest(key, "default", ()))
    with pytest.raises(StoreError, match="changed by hand"):
        bench.evaluate()


@pytest.mark.parametrize(
    ("first", "following", "says"),
    [(3, 3, "is damaged"), (3, 1, "is damaged"), (0, 2, "begins at offset 0"), (4, 6, "begins at offset 4")],
)
def test_offsets_changed_by_hand_do_not_make_the_feed_repeat_itself(
    bench: Bench, first: int, following: int, says: str
) -> None:
    """A range that ends before it begins, or begins elsewhere, is refused; once it is removed, reading goes on."""
    bench.broker.append(*(document(n) for n in range(6)))
    bench.cursor = Cursor({P0: Position(3)})
    (batch,) = bench.evaluate(stored=False).batches
    key = layout.manifest_key(batch.batch)
    text = bench.store.get(key).decode()
    changed = text.replace('"first_offset":3,"next_offset":6', f'"first_offset":{first},"next_offset":{following}')
    assert changed != text
    bench.store.put(key, changed.encode())
    with pytest.raises(StoreError, match=f"{says}.*(R|r)estore it.*remove it"):
        bench.evaluate()
    bench.store.delete(key)
    assert bench.evaluate().batches == [batch]
    assert bench.cursor.positions[P0] == Position(6)


def test_unknown_positions_are_not_committed(bench: Bench) -> None:
    """Before the first cursor there is nothing to prove."""
    bench.cursor = Cursor()
    bench.broker.append(document(0))
    bench.evaluate(stored=False)
    committed: list[Mapping[Partition, int]] = [each for each in bench.broker.committed if each]
    assert committed == []
