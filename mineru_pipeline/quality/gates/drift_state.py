"""What the drift detector remembers between two ingests, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.reading import decoded


@dataclass(frozen=True, slots=True)
class Track:
    """Of one signal: its latest values, and the wealth of each bet on it (empty during the reference)."""

    history: tuple[float, ...] = ()
    wealth: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Alarm:
    """Where the evidence first was enough, and which signal gave most of it."""

    document: str
    #: Its number, counted from 1.
    seen: int
    leading: str


@dataclass(frozen=True, slots=True)
class DriftState:
    """All that a detector needs to go on."""

    rules: Mapping[str, object]
    seen: int
    tracks: Mapping[str, Track] = field(default_factory=dict)
    alarm: Alarm | None = None

    def to_json(self) -> str:
        """Return the state as JSON that :meth:`from_json` reads."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DriftState:
        """Read what :meth:`to_json` wrote.

        Raises:
            GateInputError: it is no such state.
        """
        try:
            return decoded(cls, text)
        except ValueError as error:
            raise GateInputError(f"this is no state of a drift detector: {error}") from error
