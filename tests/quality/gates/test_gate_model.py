"""Claims about what goes into a gate."""

from __future__ import annotations

import math

import pytest

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates.model import PairedScores


def test_scores_are_paired_by_name_and_sorted() -> None:
    """The order in which documents were scored does not matter, and what has no score on both sides is left out."""
    paired = PairedScores.of("text", {"b": 0.5, "a": 1, "c": None}, {"c": None, "a": 0.9, "b": 0.4})
    assert paired == PairedScores("text", ("a", "b"), (1.0, 0.5), (0.9, 0.4))


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ({"a": 1.0, "b": 1.0}, {"a": 1.0}, "only the baseline has a score for b"),
        ({"a": 1.0}, {"a": 1.0, "new": 0.0}, "only the candidate has a score for new"),
        ({"a": 1.0, "b": None}, {"a": 1.0, "b": 0.2}, "only the candidate has a score for b"),
        ({str(i): 1.0 for i in range(9)}, {}, "0, 1, 2, 3, 4 and 4 more"),
    ],
)
def test_a_document_on_one_side_only_is_named(
    baseline: dict[str, float | None], candidate: dict[str, float | None], said: str
) -> None:
    """A comparison of different documents is none, and the error says which they are."""
    with pytest.raises(GateInputError, match=said):
        PairedScores.of("text", baseline, candidate)


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, math.inf])
def test_only_numbers_from_0_to_1_are_scores(score: float) -> None:
    """Everything else is refused by the name of its document, on either side."""
    with pytest.raises(GateInputError, match="the candidate has no score from 0 to 1 for bad"):
        PairedScores.of("text", {"bad": 1.0, "good": 1.0}, {"bad": score, "good": 1.0})
    with pytest.raises(GateInputError, match="the baseline has no score from 0 to 1 for bad"):
        PairedScores.of("text", {"bad": score, "good": 1.0}, {"bad": 1.0, "good": 1.0})


def test_a_document_counts_once() -> None:
    """The same document twice would count as more evidence than there is."""
    with pytest.raises(GateInputError, match="come twice: a"):
        PairedScores("text", ("a", "b", "a"), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))


def test_columns_of_different_length_are_refused() -> None:
    """No score is paired with nothing."""
    with pytest.raises(GateInputError, match=r"\(2, 1, 1\)"):
        PairedScores("text", ("a", "b"), (1.0,), (1.0,))
