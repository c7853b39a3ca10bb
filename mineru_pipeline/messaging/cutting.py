"""Cuts what arrived in a log into batches: a pure function of the messages, the start and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.messaging.broker import Message, Partition
from mineru_pipeline.messaging.contents import Refusal, moment_of, read_message
from mineru_pipeline.messaging.cursor import Position
from mineru_pipeline.messaging.policy import Policy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a log that becomes at most one batch."""

    partition: Partition
    start: Position
    next_offset: int
    refs: tuple[DocumentRef, ...] = ()
    refusals: tuple[tuple[Message, Refusal], ...] = ()
    removed: tuple[str, ...] = ()
    messages: int = 0
    #: Offset and time of the first message that is there.
    first_offset: int | None = None
    first_at: datetime = _EPOCH
    #: Offsets from the start on that the broker had removed before they were read.
    lost: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the message at the very start is there, so that the time in the batch's key is sure."""
        return self.first_offset == self.start.offset


def cut(
    partition: Partition, start: Position, messages: Sequence[Message], *, low: int, size: int, policy: Policy
) -> Piece | None:
    """Return the first piece of the log, or None where nothing is left.

    Args:
        partition: the log.
        start: where the piece starts, whether or not a message is there.
        messages: what was read from there on, in order.
        low: the oldest offset that the broker holds; before it, everything unread is lost.
        size: most documents of a batch. A message is never divided: one that announces more is a batch of its own.
        policy: what may be announced.
    """
    waiting = [message for message in messages if message.offset >= start.offset]
    lost = max(0, low - start.offset)
    if not waiting:
        return Piece(partition, start, low, lost=lost) if lost else None
    refs: list[DocumentRef] = []
    refusals: list[tuple[Message, Refusal]] = []
    removed: list[str] = []
    taken = 0
    for message in waiting:
        contents = read_message(message, policy)
        if len(refs) >= size or (refs and len(refs) + len(contents.refs) > size):
            break
        refs += contents.refs
        refusals += [(message, refusal) for refusal in contents.refusals]
        removed += contents.removed
        taken += 1
    return Piece(
        partition,
        start,
        waiting[taken - 1].offset + 1,
        tuple(refs),
        tuple(refusals),
        tuple(removed),
        taken,
        waiting[0].offset,
        moment_of(waiting[0]),
        min(lost, waiting[0].offset - start.offset),
    )
