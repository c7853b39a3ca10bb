"""Accepted baselines: immutable records of what the accepted system scores, by whom it was accepted, and why.

A record lies under ``quality/baselines/<name>.json`` and is never written twice. It holds the scores of every family
and document, so that a candidate is compared with it without the baseline's parse. Records that come with the package
(``accepted/``) count as if they lay in every store: a clean clone has something to compare with.

The current baseline of a corpus is the one that was accepted last in its line. All models share one line, because a
new model is what is to be compared; each stand-in has one of its own, because it is no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from statistics import fmean
from typing import Any, Final

from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.errors import InvalidKeyError, QualityError
from mineru_pipeline.quality.measurements import MeasuredModel, Measurement
from mineru_pipeline.quality.reading import decoded
from mineru_pipeline.quality.scores.model import SCORES_VERSION, DocumentScores, Family, rounded
from mineru_pipeline.storage import layout
from mineru_pipeline.storage.store import ObjectStore

#: The line of all models.
MODELS: Final = "model"
_SCHEMA: Final = 1
_FOLDER: Final = "accepted"


@dataclass(frozen=True, slots=True)
class BaselineDocument:
    """What is kept of a document: the scores of its families, and its catastrophic pages, counted from 0."""

    stratum: str
    families: Mapping[str, float | None]
    catastrophic: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who accepted a baseline, when (ISO 8601 in UTC), and why."""

    by: str
    why: str
    at: str
    #: Why it was accepted although it was rejected; "" where it was not.
    despite: str = ""
    #: The baseline that it was compared with; None for the first of its line.
    against: str | None = None
    #: What the comparison said, as :meth:`.comparison.Comparison.to_json` gives it.
    comparison: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The record of an accepted baseline."""

    name: str
    corpus: str
    scores_version: int
    parser_revision: str
    extraction_revision: str
    model: MeasuredModel
    #: The measurement that was accepted, and when it ended.
    measurement: str
    measured_at: str
    accepted: Acceptance
    documents: Mapping[str, BaselineDocument]

    @property
    def line(self) -> str:
        """What it is compared within: see the top of the module."""
        return line_of(self.model)

    @property
    def remark(self) -> str:
        """What whoever reads its figures must know; "" where there is nothing."""
        return remark_on(self.model)

    @property
    def means(self) -> dict[str, float | None]:
        """The mean of each family over the documents that have a score in it."""
        return {family.value: self._mean(family.value) for family in Family}

    def _mean(self, family: str) -> float | None:
        found = [score for each in self.documents.values() if (score := each.families.get(family)) is not None]
        return fmean(found) if found else None

    def to_json(self) -> str:
        """Return the record as JSON that :meth:`from_json` reads: a line a document, means beside them for people."""
        value = asdict(self) | {"schema": _SCHEMA, "remark": self.remark, "means": self.means}
        documents = value.pop("documents")
        head = json.dumps(rounded(value), ensure_ascii=False, indent=1, sort_keys=True).removesuffix("\n}")
        lines = ",\n".join(f"  {json.dumps(name)}: {_line(documents[name])}" for name in sorted(documents))
        return f'{head},\n "documents": {{\n{lines}\n }}\n}}\n'

    @classmethod
    def from_json(cls, text: str | bytes) -> Baseline:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no record.
        """
        read = decoded(cls, text, _SCHEMA)
        utc_moment(read.accepted.at)
        return read


def line_of(model: MeasuredModel) -> str:
    """Return the line of baselines that a model's are in."""
    return model.name if model.is_stand_in else MODELS


def remark_on(model: MeasuredModel) -> str:
    """Return what must stand beside figures that a stand-in has made."""
    return f"Measured with the stand-in {model.name}, which is not MinerU2.5." if model.is_stand_in else ""


def documents_of(scores: Iterable[DocumentScores]) -> dict[str, BaselineDocument]:
    """Return what a record keeps of scores."""
    return {
        each.name: BaselineDocument(
            each.stratum,
            {family.value: rounded(score) for family, score in each.families.items()},
            tuple(page.page for page in each.pages if page.catastrophe),
        )
        for each in scores
    }


def record(name: str, measurement: Measurement, scores: Iterable[DocumentScores], accepted: Acceptance) -> Baseline:
    """Return the record of a measurement that is accepted.

    Raises:
        QualityError: it is a sample only.
    """
    if measurement.selection.sample is not None:
        raise QualityError(
            f"The measurement {measurement.name} is of a sample ({measurement.selection.name}); a baseline needs all "
            "documents. Measure them: mineru-pipeline baseline measure"
        )
    return Baseline(
        name=name,
        corpus=measurement.corpus,
        scores_version=SCORES_VERSION,
        parser_revision=measurement.parser_revision,
        extraction_revision=measurement.extraction_revision,
        model=measurement.model,
        measurement=measurement.name,
        measured_at=measurement.ended_at,
        accepted=accepted,
        documents=documents_of(scores),
    )


def write(store: ObjectStore, baseline: Baseline) -> str:
    """Store a record and return its key.

    Raises:
        QualityError: there is one of that name, or the name cannot be part of a key.
    """
    try:
        key = layout.baseline_key(baseline.name)
    except InvalidKeyError as error:
        raise QualityError(f"A baseline cannot be called {baseline.name[:80]!a}: {error}") from error
    taken = QualityError(
        f"There is a baseline {baseline.name!a} already, and none is overwritten: give another --name."
    )
    if any(each.name == baseline.name for each in shipped()) or not store.put_if_absent(
        key, baseline.to_json().encode()
    ):
        raise taken
    return key


def shipped() -> list[Baseline]:
    """Return the records that come with the package."""
    folder = files("mineru_pipeline.quality") / _FOLDER
    found = [item for item in folder.iterdir() if item.name.endswith(".json")] if folder.is_dir() else []
    return [_decode(item.read_bytes(), item.name) for item in found]


def accepted(store: ObjectStore, packaged: Sequence[Baseline] | None = None) -> list[Baseline]:
    """Return all records, in the order in which they were accepted; of a name in both places the store's counts.

    Raises:
        QualityError: one is damaged.
    """
    keys = [item.key for item in store.list(layout.BASELINES) if item.key.endswith(".json")]
    stored = [_stored(store, key) for key in keys]
    by_name = {each.name: each for each in [*(shipped() if packaged is None else packaged), *stored]}
    return sorted(by_name.values(), key=lambda each: (each.accepted.at, each.name))


def current(known: Iterable[Baseline], corpus: str, model: MeasuredModel) -> Baseline | None:
    """Return what a measurement of ``model`` on ``corpus`` is compared with: the last that was accepted."""
    return next((each for each in reversed(list(known)) if (each.corpus, each.line) == (corpus, line_of(model))), None)


def named(known: Iterable[Baseline], name: str) -> Baseline:
    """Return the baseline of a name.

    Raises:
        QualityError: there is none; names those that there are.
    """
    by_name = {each.name: each for each in known}
    if name not in by_name:
        there_are = f"There are {', '.join(by_name)}." if by_name else "None has been accepted yet."
        raise QualityError(f"There is no baseline {name[:80]!a}. {there_are}")
    return by_name[name]


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(rounded(document), ensure_ascii=False, sort_keys=True)


def _stored(store: ObjectStore, key: str) -> Baseline:
    found, name = _decode(store.get(key), store.uri(key)), key.removeprefix(layout.BASELINES).removesuffix(".json")
    if found.name != name:
        # One of two records that say the same name would hide the other.
        raise QualityError(
            f"The baseline {store.uri(key)} says that it is called {found.name[:80]!a}: rename one of them."
        )
    return found


def _decode(data: bytes, place: str) -> Baseline:
    try:
        return Baseline.from_json(data)
    except ValueError as error:
        raise QualityError(f"The baseline {place} is damaged: {error}. Restore it, or move it away.") from error
