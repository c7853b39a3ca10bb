"""How good a parse probably is, without its truth: a band that follows from its signals and from calibrated cuts.

The worst signal decides, so that a band can be explained by naming one figure. Such a rule is monotone: no document
gets a better band because one of its signals is worse. The cuts are found by :mod:`.calibration` and stand in a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.resources import files

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.reading import decoded

#: Of the file; raised when another release could not read it.
_SCHEMA = 1


class Band(StrEnum):
    """How good a parse is, the best first."""

    EXCELLENT = "excellent"
    ACCEPTABLE = "acceptable"
    POOR = "poor"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Band).index(self)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the bands of one signal end; ``None`` where it never says so."""

    #: Whether high values are good.
    high_is_good: bool
    #: What is worse than this is not excellent, or poor.
    excellent: float | None = None
    acceptable: float | None = None

    def band(self, value: float) -> Band:
        """Return the band of a value; a value exactly at a cut has the better one."""
        sign = 1.0 if self.high_is_good else -1.0
        if self.acceptable is not None and sign * value < sign * self.acceptable:
            return Band.POOR
        if self.excellent is not None and sign * value < sign * self.excellent:
            return Band.ACCEPTABLE
        return Band.EXCELLENT


@dataclass(frozen=True, slots=True)
class Scale:
    """What the bands mean: of the scores that count, the lowest decides; a catastrophic page makes a document poor."""

    families: tuple[str, ...] = ("text", "digits", "order")
    excellent: float = 0.95
    acceptable: float = 0.80


@dataclass(frozen=True, slots=True)
class Share:
    """How many documents of so many have another band than their scores, and the bounds of the share (95 %)."""

    documents: int
    wrong: int
    #: Of these, how many are excellent for poor or the other way round.
    far: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share itself; 0 of nothing."""
        return self.wrong / self.documents if self.documents else 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """What the cuts were calibrated on, for whoever wants to know whether they hold for something else."""

    corpus_version: str
    parser_revision: str
    #: Who read the pages; a stand-in says so.
    model: str
    stand_in: bool
    #: Day of the calibration, as in 2026-01-31.
    date: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Calibrated cuts, what they were calibrated on, and how often they were wrong there."""

    source: Source
    scale: Scale
    cuts: Mapping[str, Cut]
    #: By selection of documents, such as ``as read``, ``damaged``.
    disagreement: Mapping[str, Share] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """What a band can refer to."""
        return f"{self.source.date}/{self.source.parser_revision}"

    def band(self, signals: Mapping[str, float | None]) -> tuple[Band, str]:
        """Return the band, and the signal that decided it, "" for an excellent document.

        A signal that a document does not have decides nothing.
        """
        worst, because = Band.EXCELLENT, ""
        for name, cut in self.cuts.items():
            value = signals.get(name)
            if value is not None and (band := cut.band(value)).rank > worst.rank:
                worst, because = band, name
        return worst, because

    def to_json(self) -> str:
        """Return the JSON that :meth:`from_json` reads; the same for the same thresholds."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Thresholds:
        """Read what :meth:`to_json` wrote.

        Raises:
            GateInputError: it is no such file.
        """
        try:
            return decoded(cls, text, _SCHEMA)
        except ValueError as error:
            raise GateInputError(f"these are no thresholds: {error}") from error


def shipped() -> Thresholds:
    """Return the thresholds that come with this release."""
    return Thresholds.from_json(
        files("mineru_pipeline.quality").joinpath("thresholds/thresholds.json").read_text("utf-8")
    )
