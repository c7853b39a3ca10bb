"""The message port in memory, with the accidents that a broker has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mineru_pipeline.errors import BrokerUnavailableError
from mineru_pipeline.messaging.broker import Bounds, Message, Outgoing, Partition, Reading, Watermarks


@dataclass
class MemoryBroker:
    """Logs as lists; ``fail_on`` names the call that the broker does not survive."""

    logs: dict[Partition, list[Message]] = field(default_factory=dict)
    #: The next offset of a log whose messages were all removed.
    ends: dict[Partition, int] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    committed: list[Mapping[Partition, int]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    fail_on: str = ""

    def append(self, *messages: Message) -> None:
        for message in messages:
            self.logs.setdefault(message.partition, []).append(message)

    def remove_before(self, partition: Partition, offset: int) -> None:
        """What retention does."""
        self.ends[partition] = self._held(partition).high
        self.logs[partition] = [message for message in self.logs[partition] if message.offset >= offset]

    def watermarks(self, topics: Sequence[str]) -> Mapping[Partition, Watermarks]:
        self._call("watermarks")
        return {partition: self._held(partition) for partition in sorted(self.logs) if partition.topic in topics}

    def read(self, positions: Mapping[Partition, int], bounds: Bounds) -> Reading:
        self._call("read")
        found: dict[Partition, list[Message]] = {}
        lost: dict[Partition, Watermarks] = {}
        left = bounds.messages
        for partition, at in positions.items():
            held = self._held(partition)
            if not held.low <= at <= held.high:
                lost[partition] = held
                continue
            found[partition] = [message for message in self.logs[partition] if message.offset >= at][:left]
            left -= len(found[partition])
        return Reading(found, lost)

    def send(self, messages: Sequence[Outgoing]) -> None:
        self._call("send")
        self.sent += messages

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._call("commit")
        self.committed.append(dict(positions))

    def _held(self, partition: Partition) -> Watermarks:
        log = self.logs[partition]
        high = log[-1].offset + 1 if log else self.ends.get(partition, 0)
        return Watermarks(log[0].offset if log else high, high)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fail_on:
            raise BrokerUnavailableError("The broker is away. Wait until it is back.")
