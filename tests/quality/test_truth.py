import pytest

from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

_TRUTH = DocumentTruth(
    name="two-columns-01",
    stratum="two columns",
    languages=("de", "fr"),
    pages=2,
    blocks=(
        TruthBlock("b1", TruthKind.TITLE, 0, "Über Maß und Zahl", level=1, bbox=(100, 50, 900, 90)),
        TruthBlock("b2", TruthKind.TABLE, 1, "<table><tr><td>1</td></tr></table>", continues="b1"),
    ),
)


def test_a_truth_survives_its_json() -> None:
    """What was written is what is read, types included."""
    assert DocumentTruth.from_json(_TRUTH.to_json()) == _TRUTH


def test_the_same_truth_is_the_same_json() -> None:
    """Nothing but the document decides the bytes."""
    assert DocumentTruth.from_json(_TRUTH.to_json()).to_json() == _TRUTH.to_json()


def test_a_kind_nobody_knows_is_refused() -> None:
    """A truth of another version is not read as if it were understood."""
    with pytest.raises(ValueError, match=r"blocks\.1\.kind"):
        DocumentTruth.from_json(_TRUTH.to_json().replace('"table"', '"poem"'))
