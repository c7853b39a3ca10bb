"""One evaluation of the feed: reads on, fixes batches, sends dead letters, and says what to request.

Order is what keeps the promise. Dead letters are acknowledged before the manifest of their batch is written; the
manifest is written before its run is requested; the new cursor is stored by Dagster together with the request.
Whatever dies in between, the next evaluation starts from the old cursor, finds the manifests that are fixed already,
and goes on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mineru_pipeline.documents.manifest import (
    BatchManifest,
    LogRange,
    batch_digest_for_log,
    batch_key_for_log,
    batches_by_digest,
    read_manifest,
    write_manifest,
)
from mineru_pipeline.errors import MessagingError, ObjectNotFoundError, StoreError
from mineru_pipeline.messaging.broker import Bounds, Message, MessageBroker, Outgoing, Partition, Watermarks
from mineru_pipeline.messaging.cursor import Cursor, Position
from mineru_pipeline.messaging.cutting import Piece, cut
from mineru_pipeline.messaging.deadletters import lost_letter, refused_letter
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.storage import ObjectStore

logger = logging.getLogger(__name__)

_CHANGED = "It was changed by hand, or another batch has its key; restore it, or remove it."


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """What is read, and how much of it at once."""

    topics: tuple[str, ...]
    dead_letter_topic: str
    tenant: str
    policy: Policy
    batch_size: int
    max_batches: int
    bounds: Bounds


@dataclass(slots=True)
class Tick:
    """What one evaluation did; ``cursor`` may be stored once its batches are requested, and not before."""

    cursor: Cursor
    batches: list[BatchManifest] = field(default_factory=list)
    messages: int = 0
    refused: int = 0
    removed: list[str] = field(default_factory=list)
    #: Messages, roughly, that wait behind the cursor.
    waiting: int = 0
    #: What an operator should see, each a sentence.
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """What happened, in one line."""
        documents = sum(len(batch.refs) for batch in self.batches)
        return (
            f"{self.messages} messages read: {documents} documents in {len(self.batches)} batches, {self.refused} "
            f"refused (dead letters), {len(self.removed)} objects removed from their bucket; about {self.waiting} "
            "messages wait"
        )


@dataclass(slots=True)
class _Lane:
    """One log during an evaluation."""

    partition: Partition
    position: Position
    messages: Sequence[Message]
    low: int


@dataclass(slots=True)
class _FixedBatches:
    """The batches that earlier evaluations fixed, looked up by where they start."""

    store: ObjectStore
    #: Listed when it is first needed, and once: a topic with transactions has a gap before nearly every batch.
    _by_digest: dict[str, str] | None = None

    def find(self, piece: Piece) -> BatchManifest | None:
        """The manifest that was fixed at the same start, if there is one."""
        digest = _digest(piece)
        key: str | None = batch_key_for_log(digest, piece.first_at)
        if not piece.is_whole:
            # The first message is gone, perhaps since then, and with it the time in the key.
            if self._by_digest is None:
                self._by_digest = batches_by_digest(self.store)
            key = self._by_digest.get(digest)
        try:
            return None if key is None else read_manifest(self.store, key)
        except ObjectNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Feed:
    """Evaluations of the same topics into the same store."""

    broker: MessageBroker
    store: ObjectStore
    options: FeedOptions

    def evaluate(self, cursor: Cursor) -> Tick:
        """Read on from the cursor.

        Raises:
            MessagingError: the broker cannot be used; nothing is lost, the same cursor tries again.
            StoreError: the store cannot be used; the same.
        """
        # Asked for each time: a broker may create a topic under a mistyped name as soon as a letter is sent to it.
        self.broker.watermarks((self.options.dead_letter_topic,))
        marks = self.broker.watermarks(self.options.topics)
        tick = Tick(cursor)
        known = {partition: cursor.positions[partition] for partition in marks if partition in cursor.positions}
        self._report_position(known)
        if known:
            self._take(known, marks, tick)
        # A log is read from the evaluation after the one that found it: until its start is stored, retention could
        # move it, and a batch that was fixed at the old start would never be found again.
        tick.cursor = tick.cursor.moved(
            {partition: Position(mark.low) for partition, mark in marks.items() if partition not in known}
        )
        positions = tick.cursor.positions
        tick.waiting = sum(max(0, mark.high - positions[partition].offset) for partition, mark in marks.items())
        return tick

    def _report_position(self, known: Mapping[Partition, Position]) -> None:
        """Commit what the stored cursor proves, for the watchers of the lag; failing at it must not stop the feed."""
        try:
            self.broker.commit({partition: position.offset for partition, position in known.items()})
        except MessagingError as error:
            logger.warning("The position could not be committed for monitoring: %s", error)

    def _take(self, known: Mapping[Partition, Position], marks: Mapping[Partition, Watermarks], tick: Tick) -> None:
        starts = {partition: max(position.offset, marks[partition].low) for partition, position in known.items()}
        reading = self.broker.read(starts, self.options.bounds)
        for partition, held in reading.out_of_range.items():
            if starts[partition] > held.high:
                self._begin_anew(partition, known[partition], held, tick)
        lanes = deque(
            _Lane(partition, position, reading.messages.get(partition, ()), marks[partition].low)
            for partition, position in sorted(known.items())
            if partition not in reading.out_of_range
        )
        fixed = _FixedBatches(self.store)
        # In turns, so that the batches of an evaluation come from all logs.
        while lanes and len(tick.batches) < self.options.max_batches:
            lane = lanes.popleft()
            if self._advance(lane, fixed, tick):
                lanes.append(lane)

    def _begin_anew(self, partition: Partition, position: Position, held: Watermarks, tick: Tick) -> None:
        # Which messages are new nobody can tell. All are read again: that costs a look at each document, and no page.
        tick.cursor = tick.cursor.moved({partition: Position(held.low, position.generation + 1)})
        tick.warnings.append(
            f"{partition} ends at offset {held.high}, before {position.offset}, which was read already: the topic was "
            f"made anew, or lost its end. It is read again from offset {held.low}; what was parsed is not parsed again."
        )

    def _advance(self, lane: _Lane, fixed: _FixedBatches, tick: Tick) -> bool:
        """Take one piece of the log; whether there may be another."""
        options = self.options
        piece = cut(
            lane.partition,
            lane.position,
            lane.messages,
            low=lane.low,
            size=options.batch_size,
            policy=options.policy,
        )
        if piece is None:
            return False
        manifest = fixed.find(piece)
        if manifest is None:
            self._send_letters(piece, tick)
            manifest = self._fix(piece) if piece.refs else None
        following = piece.next_offset
        if manifest is not None:
            tick.batches.append(manifest)
            following = _source(manifest, piece).next_offset
        tick.messages += piece.messages
        tick.removed += piece.removed
        lane.position = Position(following, lane.position.generation)
        tick.cursor = tick.cursor.moved({lane.partition: lane.position})
        return True

    def _fix(self, piece: Piece) -> BatchManifest:
        """Fix the batch; what comes back is what counts, for a rival may have been faster."""
        key = batch_key_for_log(_digest(piece), piece.first_at)
        where = LogRange(piece.partition.topic, piece.partition.number, piece.start.offset, piece.next_offset)
        return write_manifest(self.store, BatchManifest(key, self.options.tenant, piece.refs, where))

    def _send_letters(self, piece: Piece, tick: Tick) -> None:
        topic = self.options.dead_letter_topic
        letters: list[Outgoing] = [refused_letter(topic, message, refusal) for message, refusal in piece.refusals]
        if piece.lost:
            first = piece.start.offset
            letters.insert(0, lost_letter(topic, piece.partition, first, first + piece.lost))
            tick.warnings.append(
                f"{piece.lost} offsets of {piece.partition}, from {first} on, were removed by the broker before they "
                f"were read; see the letter in {topic}."
            )
        if letters:
            self.broker.send(letters)
        tick.refused += len(piece.refusals)


def _digest(piece: Piece) -> str:
    start = piece.start
    return batch_digest_for_log(piece.partition.topic, piece.partition.number, start.offset, start.generation)


def _source(manifest: BatchManifest, piece: Piece) -> LogRange:
    """Where the batch that was fixed at the start of the piece comes from."""
    source, start = manifest.source, piece.start.offset
    if source is None:
        raise StoreError(
            f"The manifest of the batch {manifest.batch} does not say which offsets it was made of, as those of "
            f"messages do. {_CHANGED}"
        )
    if (source.topic, source.partition, source.first_offset) != (piece.partition.topic, piece.partition.number, start):
        # Its end may lie before this start then: the same messages would be read for ever.
        raise StoreError(
            f"The manifest of the batch {manifest.batch} says that it begins at offset {source.first_offset} of "
            f"{Partition(source.topic, source.partition)}, and its key stands for {start} of {piece.partition}. "
            f"{_CHANGED}"
        )
    return source
