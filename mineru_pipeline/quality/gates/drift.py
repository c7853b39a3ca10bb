"""Drift on live documents, noticed without any truth: signals of each document against those of the documents before.

A warning is raised when the evidence reaches ``every``. While nothing changes, that takes at least ``every``
documents on average: exactly so until the window is full (:mod:`.ranks` says why), and by simulation afterwards,
when ranks among the latest documents are still uniform, but no longer quite independent. A document must be given
once, in an order that does not depend on its signals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates import ranks
from mineru_pipeline.quality.gates.drift_state import Alarm, DriftState, Track

Array = NDArray[np.float64]


class Side(StrEnum):
    """Which change of a signal is a warning."""

    LOW = "low"
    HIGH = "high"
    BOTH = "both"


#: What is watched unless told otherwise. Shares are 0-1; a signal that a document does not have is ``None``.
SIGNALS: Final[Mapping[str, Side]] = {
    "layer_agreement": Side.LOW,
    "truncated_share": Side.HIGH,
    "repetition_share": Side.HIGH,
    "empty_ink_share": Side.HIGH,
    "text_share": Side.BOTH,
    "table_share": Side.BOTH,
    "picture_share": Side.BOTH,
    "characters_per_page": Side.BOTH,
    "seconds_per_page": Side.HIGH,
}


@dataclass(frozen=True, slots=True)
class Point:
    """The evidence after one document, of all signals and of the one that leads, for a plot."""

    document: str
    evidence: float
    leading: str


@dataclass(frozen=True, slots=True)
class Detector:
    """What is watched, how often a false alarm is acceptable, and against how many documents.

    Attributes:
        signals: name and side of each; every signal has the same say.
        every: documents between two false alarms, on average, at least.
        reference: documents at the beginning that are taken as they are.
        window: a document is compared with that many before it. What drifts slower than a window goes unnoticed;
            the corpus, which does not drift, is there for that.
    """

    signals: tuple[tuple[str, Side], ...] = tuple(SIGNALS.items())
    every: int = 10_000
    reference: int = 500
    window: int = 2_000

    def begin(self) -> DriftState:
        """A state that has seen nothing: before the first document, and after a warning was dealt with."""
        return DriftState(self.rules, 0, {name: Track() for name, _ in self.signals})

    @property
    def rules(self) -> Mapping[str, object]:
        """What a state depends on; it is kept with it."""
        return {
            "signals": {name: side.value for name, side in self.signals},
            "every": self.every,
            "reference": self.reference,
            "window": self.window,
        }

    def observe(
        self, state: DriftState, documents: Iterable[tuple[str, Mapping[str, float | None]]]
    ) -> tuple[DriftState, tuple[Point, ...]]:
        """Add documents, named so that each is another one, and return the new state with a point for each.

        The first alarm stays in the state until it is begun anew.

        Raises:
            GateInputError: the state belongs to another detector, or a signal is unknown or no finite number.
        """
        if state.rules != self.rules:
            raise GateInputError("the state of the drift detector was begun with other signals or limits; begin anew")
        for name, side in self.signals:
            if name not in state.tracks or len(state.tracks[name].wealth) not in {0, bets_of(side)}:
                raise GateInputError(f"the state of the drift detector is damaged in {name}; begin anew")
        given = list(documents)
        tracks = {name: _Running(state.tracks[name], side, len(given), self) for name, side in self.signals}
        seen, alarm, points = state.seen, state.alarm, []
        for document, values in given:
            self._check(document, values)
            for name, track in tracks.items():
                value = values.get(name)
                if value is not None:
                    track.step(value, _lot(document, name))
            seen += 1
            point = _point(document, tracks)
            points.append(point)
            if alarm is None and point.evidence >= self.every:
                alarm = Alarm(document, seen, point.leading)
        kept = {name: track.kept() for name, track in tracks.items()}
        return DriftState(state.rules, seen, kept, alarm), tuple(points)

    def _check(self, document: str, values: Mapping[str, float | None]) -> None:
        names = {name for name, _ in self.signals}
        if unknown := sorted(set(values) - names):
            raise GateInputError(f"{document}: no such signal of drift: {', '.join(unknown)}")
        for name, value in values.items():
            if value is not None and not np.isfinite(value):
                raise GateInputError(f"{document}: the signal {name} is {value}, not a finite number")


class _Running:
    """A track while documents are added: a window that slides over an array, where tuples would be copied each time."""

    def __init__(self, track: Track, side: Side, documents: int, detector: Detector) -> None:
        self._side, self._detector = side, detector
        self._end = len(track.history)
        self._values = np.empty(self._end + documents)
        self._values[: self._end] = track.history
        self._wealth = np.array(track.wealth) if track.wealth else None

    @property
    def evidence(self) -> float:
        return 0.0 if self._wealth is None else float(np.mean(self._wealth))

    def step(self, value: float, lot: float) -> None:
        history = self._history()
        if history.size >= self._detector.reference:
            p_value = ranks.p_value(history, np.array(value), np.array(lot))
            wealth = np.zeros(bets_of(self._side)) if self._wealth is None else self._wealth
            self._wealth = evidence(wealth, p_value, self._side)
        self._values[self._end] = value
        self._end += 1

    def kept(self) -> Track:
        wealth = () if self._wealth is None else tuple(self._wealth.tolist())
        return Track(tuple(self._history().tolist()), wealth)

    def _history(self) -> Array:
        return self._values[max(0, self._end - self._detector.window) : self._end]


def bets_of(side: Side) -> int:
    """How many bets run on a signal."""
    return ranks.BETS * (2 if side is Side.BOTH else 1)


def evidence(wealth: Array, p_value: Array, side: Side) -> Array:
    """The wealth of each bet (last axis) after a document whose value has this p-value on the high side."""
    high, low = ranks.bets(p_value), ranks.bets(1 - p_value)
    paid = {Side.HIGH: high, Side.LOW: low, Side.BOTH: np.concatenate([high, low], axis=-1)}[side]
    return ranks.grown(wealth, paid)


def _point(document: str, tracks: Mapping[str, _Running]) -> Point:
    each = {name: track.evidence for name, track in tracks.items()}
    return Point(document, sum(each.values()) / len(each), max(sorted(each), key=each.__getitem__))


def _lot(document: str, signal: str) -> float:
    """A number in (0, 1) that breaks ties: drawn by the document's name, so that a run can be repeated."""
    drawn = hashlib.sha256(f"{signal}\0{document}".encode()).digest()[:6]
    return (int.from_bytes(drawn) + 0.5) / 2**48
