"""How far every log has been read: the cursor that Dagster keeps together with the runs it led to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mineru_pipeline.errors import MessagingError
from mineru_pipeline.messaging.broker import Partition

VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """The offset to read next. ``generation`` counts how often the log began anew under the same name."""

    offset: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position in every log, of topics that are not read any more, too: they may come back."""

    positions: Mapping[Partition, Position] = field(default_factory=dict)

    def moved(self, positions: Mapping[Partition, Position]) -> Cursor:
        """Return the cursor with these positions in the place of the old ones."""
        return Cursor({**self.positions, **positions})

    def to_json(self) -> str:
        """Return the text that Dagster stores: ``{"version":1,"next":{topic:{partition:[offset,generation]}}}``."""
        topics: dict[str, dict[str, list[int]]] = {}
        for partition, position in sorted(self.positions.items()):
            topics.setdefault(partition.topic, {})[str(partition.number)] = [position.offset, position.generation]
        return json.dumps({"version": VERSION, "next": topics}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Cursor:
        """Read :meth:`to_json` back; nothing gives an empty cursor. Raises :class:`MessagingError`."""
        if not text:
            return cls()
        try:
            return cls(_positions(json.loads(text)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MessagingError(
                f"The cursor of the sensor cannot be read ({error}). Set it back to a value that it had before, or "
                "clear it: everything that the broker still holds is then read again, and nothing is parsed twice."
            ) from error


def _positions(value: Any) -> dict[Partition, Position]:
    if value["version"] != VERSION:
        raise ValueError(f"its version is {value['version']!r}, this program reads {VERSION}")
    return {
        Partition(topic, int(number)): Position(int(offset), int(generation))
        for topic, positions in value["next"].items()
        for number, (offset, generation) in positions.items()
    }
