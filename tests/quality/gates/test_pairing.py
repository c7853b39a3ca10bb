"""Claims about the way from scores to a gate."""

from __future__ import annotations

import re

import pytest

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.damage import damaged, faithful
from mineru_pipeline.quality.gates.corpus import CorpusGate
from mineru_pipeline.quality.gates.judge import judge
from mineru_pipeline.quality.gates.model import Decision
from mineru_pipeline.quality.gates.pairing import pair
from mineru_pipeline.quality.gates.policy import POLICIES
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import DocumentScores, Family
from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind
from mineru_pipeline.settings import project_root


def truth(number: int) -> DocumentTruth:
    """A header, a title, a table in two of three documents, and a paragraph of words that no other document has."""
    words = " ".join(f"word{number}x{place} {number * 1000 + place}" for place in range(40))
    table = "<table><tr><td>1</td><td>20</td></tr><tr><td>300</td><td>4000</td></tr></table>"
    blocks = [
        TruthBlock("h", TruthKind.HEADER, 0, f"Running head {number}"),
        TruthBlock("t", TruthKind.TITLE, 0, f"Title {number}", level=1),
        TruthBlock("p", TruthKind.TEXT, 0, words),
    ]
    if number % 3:
        blocks.append(TruthBlock("table", TruthKind.TABLE, 0, table))
    return DocumentTruth(f"d{number:02}", "made up", ("en",), 1, tuple(blocks))


def scored(damage: str | None = None, rate: float = 0.0) -> list[DocumentScores]:
    found = []
    for number in range(70):
        entries = faithful(truth(number))
        if damage:
            entries = damaged(entries, damage, rate, seed=number)
        found.append(score_document(truth(number), entries))
    return found


def test_real_scores_go_through_the_gate() -> None:
    """An unchanged parse is accepted, one that loses headings is rejected for that, and families keep their names."""
    baseline = scored()
    paired = pair(baseline, baseline)
    assert set(POLICIES) <= {one.family for one in paired} == {family.value for family in Family}
    assert len(next(one for one in paired if one.family == "tables").documents) == 46
    assert judge(CorpusGate(), paired).decision is Decision.ACCEPT
    worse = judge(CorpusGate(), pair(baseline, scored("lose_headings", 0.5)))
    assert worse.decision is Decision.REJECT
    assert "headings" in worse.reason


def test_documents_that_are_not_the_same_are_named() -> None:
    """A candidate that lost a document is not compared on the rest."""
    baseline = scored()
    with pytest.raises(GateInputError, match="only the baseline has a score for d00"):
        pair(baseline, baseline[1:])
    with pytest.raises(GateInputError, match="the candidate has the document d05 twice"):
        pair(baseline, [*baseline, baseline[5]])


def test_the_example_in_the_document_runs() -> None:
    """What docs/quality.md says how to use is how it is used."""
    section = (project_root() / "docs" / "quality.md").read_text().split("## How the 95 %")[1]
    example = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    names: dict[str, object] = {"baseline": scored(), "candidate": scored()}
    exec(example, names)
    assert getattr(names["judgement"], "decision", None) is Decision.ACCEPT
