"""Everything there is to say of one measurement, and the JSON report of it in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mineru_pipeline.quality import baselines, measurements
from mineru_pipeline.quality.baselines import Baseline, remark_on
from mineru_pipeline.quality.comparison import Comparison, Findings, compare, find
from mineru_pipeline.quality.gates.model import dumped
from mineru_pipeline.quality.measurements import HELD_BACK, Measurement
from mineru_pipeline.quality.scores.model import DocumentScores
from mineru_pipeline.quality.scores.summary import Summary, summarise
from mineru_pipeline.storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Examination:
    """A measurement with its scores and, where there is a baseline, the comparison with it."""

    measurement: Measurement
    scores: Sequence[DocumentScores]
    summary: Summary
    findings: Findings
    baseline: Baseline | None
    comparison: Comparison | None

    @property
    def folder(self) -> str:
        """Where its reports lie, with a slash: of another baseline they are others."""
        against = self.baseline.name if self.baseline else "nothing"
        return f"{self.measurement.scores_prefix()}against-{against}/"

    @property
    def is_held_back(self) -> bool:
        """Whether nobody shall see scores of single documents."""
        return self.measurement.selection.seed == HELD_BACK

    def to_json(self) -> str:
        """Return the report as JSON: the same bytes for the same parse and baseline; it holds no dates."""
        measured = self.measurement
        values: dict[str, Any] = {
            "corpus": measured.corpus,
            "selection": asdict(measured.selection),
            "parser_revision": measured.parser_revision,
            "extraction_revision": measured.extraction_revision,
            "model": asdict(measured.model),
            "remark": remark_on(measured.model),
            "summary": asdict(self.summary),
            "findings": asdict(self.findings),
            "comparison": self.comparison.to_values() if self.comparison else None,
        }
        return dumped(without_documents(values) if self.is_held_back else values)


def examine(
    store: ObjectStore, measurement: Measurement, known: Sequence[Baseline], baseline: Baseline | None = None
) -> Examination:
    """Look at a scored measurement: against ``baseline``, or else the current one of ``known``, if there is one.

    Raises:
        QualityError: it has not been scored, or does not fit the baseline.
    """
    scores = measurements.scores_of(store, measurement)
    baseline = baseline or baselines.current(known, measurement.corpus, measurement.model)
    return Examination(
        measurement,
        scores,
        summarise(scores),
        find(measurement, scores, baseline),
        baseline,
        compare(baseline, measurement, scores) if baseline else None,
    )


def write_report(store: ObjectStore, found: Examination, name: str, make: Callable[[], bytes]) -> str:
    """Store a report of an examination, such as ``report.html``, unless it is there; return its key."""
    key = found.folder + name
    if not store.exists(key):
        store.put_if_absent(key, make())
    return key


def without_documents(value: Any) -> Any:
    """Leave out of a report what tells of single documents, for the seed that is held back."""
    if isinstance(value, dict):
        hidden = {"worst", "changes", "catastrophes", "unparsed"}
        return {
            key: (len(item) if isinstance(item, list | tuple) else None) if key in hidden else without_documents(item)
            for key, item in value.items()
        }
    return [without_documents(item) for item in value] if isinstance(value, list | tuple) else value
