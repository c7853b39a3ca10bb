"""The corpus before the scores: what says exactly what a document says is without fault."""

from __future__ import annotations

from mineru_pipeline.quality.corpus import CorpusDocument
from mineru_pipeline.quality.damage import faithful
from mineru_pipeline.quality.scores.document import score_document


def test_every_document_scores_1_against_itself(corpus: tuple[CorpusDocument, ...]) -> None:
    """In each family that it has, and nothing of it counts as made up."""
    for made in corpus:
        scores = score_document(made.truth, faithful(made.truth))
        families = {value for value in scores.families.values() if value is not None}
        assert families == {1.0}, made.truth.name
        assert not scores.invented, made.truth.name
