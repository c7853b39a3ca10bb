"""The port to a message broker: logs that are read from given offsets, and messages that are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One log: a numbered part of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it lies in a log."""

    partition: Partition
    offset: int
    value: bytes | None
    headers: Headers = ()
    #: Milliseconds since 1970 in UTC; None where the log keeps none.
    timestamp_ms: int | None = None

    @property
    def size(self) -> int:
        """Bytes of value and headers."""
        return len(self.value or b"") + sum(len(name) + len(value) for name, value in self.headers)

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent; messages of one key stay in order."""

    topic: str
    key: str
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one reading may take: whichever is reached first ends it."""

    messages: int
    #: Exceeded by at most one message, or else a large one could never be read.
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The offsets a log holds: the oldest one kept, and the one that the next message will get."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: by log the messages in order of their offsets, from the offset that was asked for."""

    messages: Mapping[Partition, Sequence[Message]] = field(default_factory=dict)
    #: Logs that do not hold the offset that was asked for, with what they hold.
    out_of_range: Mapping[Partition, Watermarks] = field(default_factory=dict)


class MessageBroker(Protocol):
    """A broker. Every method raises an error of the :class:`~mineru_pipeline.errors.MessagingError` tree."""

    def watermarks(self, topics: Sequence[str]) -> Mapping[Partition, Watermarks]:
        """Return every log of the topics with the offsets it holds."""
        ...

    def read(self, positions: Mapping[Partition, int], bounds: Bounds) -> Reading:
        """Read on from the given offsets until all logs are read to their ends, or a bound is reached.

        No log is starved by another. Offsets may have gaps: what was removed, or never committed.
        """
        ...

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Send the messages; returns when every one is acknowledged by all replicas in sync."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the broker how far we are, for whoever watches the lag; nothing ever reads it back."""
        ...
