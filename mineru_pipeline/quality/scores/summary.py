"""Scores of many documents: means by stratum and over all, with the document as the unit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from mineru_pipeline.quality.scores.model import DocumentScores, Family, rounded


@dataclass(frozen=True, slots=True)
class FamilyMean:
    """The mean of one family over the documents that have a score in it; ``None`` where none has."""

    mean: float | None
    documents: int
    #: The document with the lowest score, the first by name among equals.
    worst: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Means of all families, over all documents and by stratum."""

    documents: int
    overall: Mapping[Family, FamilyMean]
    strata: Mapping[str, Mapping[Family, FamilyMean]]

    def to_json(self) -> str:
        """Return it as JSON that is the same for the same scores."""
        return json.dumps(rounded(asdict(self)), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def summarise(documents: Iterable[DocumentScores]) -> Summary:
    """Mean scores of documents, whatever order they come in."""
    ordered = sorted(documents, key=lambda document: document.name)
    strata = sorted({document.stratum for document in ordered})
    by_stratum = {name: [document for document in ordered if document.stratum == name] for name in strata}
    return Summary(len(ordered), _means(ordered), {name: _means(found) for name, found in by_stratum.items()})


def _means(documents: Sequence[DocumentScores]) -> dict[Family, FamilyMean]:
    return {family: _mean(documents, family) for family in Family}


def _mean(documents: Sequence[DocumentScores], family: Family) -> FamilyMean:
    scored = [(value, document.name) for document in documents if (value := document.families[family]) is not None]
    if not scored:
        return FamilyMean(None, 0)
    return FamilyMean(fmean(value for value, _ in scored), len(scored), min(scored)[1])
