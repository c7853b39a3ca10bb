"""From the scores of two parses of the same documents to what a gate compares."""

from __future__ import annotations

from collections.abc import Iterable

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates.model import PairedScores
from mineru_pipeline.quality.scores.model import DocumentScores, Family


def pair(baseline: Iterable[DocumentScores], candidate: Iterable[DocumentScores]) -> list[PairedScores]:
    """Pair the scores of each family by the names of the documents.

    Raises:
        GateInputError: a document, or a score of one, is on one side only, or a document comes twice.
    """
    before, after = _by_name("baseline", baseline), _by_name("candidate", candidate)
    return [
        PairedScores.of(
            family.value,
            {name: scores.families[family] for name, scores in before.items()},
            {name: scores.families[family] for name, scores in after.items()},
        )
        for family in Family
    ]


def _by_name(side: str, documents: Iterable[DocumentScores]) -> dict[str, DocumentScores]:
    found: dict[str, DocumentScores] = {}
    for document in documents:
        if document.name in found:
            raise GateInputError(f"the {side} has the document {document.name} twice")
        found[document.name] = document
    return found
