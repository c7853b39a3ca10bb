"""Claims about the judgement over all families."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.gate_scenarios import SCENARIOS, quiet
from bench.gate_trials import overall
from mineru_pipeline.quality.gates.corpus import CorpusGate
from mineru_pipeline.quality.gates.judge import combine, judge
from mineru_pipeline.quality.gates.model import Decision, Gate, Kind, PairedScores, Verdict
from mineru_pipeline.quality.gates.policy import POLICIES
from mineru_pipeline.quality.gates.sequential import SequentialGate

ACCEPTED = Verdict(
    family="text",
    decision=Decision.ACCEPT,
    reason="good",
    kind=Kind.RATIO,
    estimate=1.0,
    lower=0.97,
    upper=1.03,
    margin=0.95,
    tolerated=0.98,
    alpha=0.05,
    documents=90,
    p_worse=0.9,
    power=0.9,
    method="by hand",
)


def verdict(family: str, decision: Decision, p_worse: float | None) -> Verdict:
    return replace(ACCEPTED, family=family, decision=decision, p_worse=p_worse)


def families(score: float = 0.9, candidate: float = 0.9, documents: int = 90) -> list[PairedScores]:
    names = tuple(f"d{number}" for number in range(documents))
    return [PairedScores(family, names, (score,) * documents, (candidate,) * documents) for family in POLICIES]


@pytest.mark.parametrize("gate", [CorpusGate(), SequentialGate()], ids=["corpus", "sequential"])
def test_both_gates_accept_what_did_not_change(gate: Gate) -> None:
    """One interface, one answer."""
    found = judge(gate, families())
    assert (found.decision, found.reason) == (Decision.ACCEPT, "good enough in every family")
    assert {one.family for one in found.verdicts} == set(POLICIES)


@pytest.mark.parametrize("gate", [CorpusGate(), SequentialGate()], ids=["corpus", "sequential"])
def test_both_gates_reject_what_is_much_worse(gate: Gate) -> None:
    """And name the families."""
    found = judge(gate, families(0.9, 0.7))
    assert found.decision is Decision.REJECT
    assert found.reason == f"worse in {', '.join(sorted(POLICIES))}"


def test_all_must_accept() -> None:
    """One family that is not shown to be good enough leaves the whole open."""
    found = combine([ACCEPTED, verdict("tables", Decision.INCONCLUSIVE, 0.5)], 0.05)
    assert (found.decision, found.reason) == (Decision.INCONCLUSIVE, "not shown to be good enough in tables")


def test_one_rejected_family_rejects_the_whole() -> None:
    """A mean over everything would hide it."""
    others = [verdict(name, Decision.ACCEPT, 0.9) for name in ("a", "b", "c", "d", "e")]
    found = combine([*others, verdict("tables", Decision.REJECT, 0.05 / 6)], 0.05)
    assert (found.decision, found.reason) == (Decision.REJECT, "worse in tables")


def test_chance_among_many_families_rejects_nobody() -> None:
    """A p-value that is small enough for one family is not for six, and the verdict says so."""
    others = [verdict(name, Decision.ACCEPT, 0.9) for name in ("a", "b", "c", "d", "e")]
    found = combine([*others, verdict("tables", Decision.REJECT, 0.02)], 0.05)
    assert found.decision is Decision.INCONCLUSIVE
    assert "among so many families it may be chance" in found.verdicts[-1].reason


def test_holm_steps_down() -> None:
    """Once one family is worse beyond doubt, the next is compared with fewer; after one too large there is no other."""
    found = combine(
        [
            verdict("a", Decision.REJECT, 0.01),
            verdict("b", Decision.REJECT, 0.02),
            verdict("c", Decision.ACCEPT, 0.9),
        ],
        0.05,
    )
    assert [one.decision for one in found.verdicts] == [Decision.REJECT, Decision.REJECT, Decision.ACCEPT]
    found = combine([verdict("a", Decision.REJECT, 0.03), verdict("b", Decision.REJECT, 0.03)], 0.05)
    assert {one.decision for one in found.verdicts} == {Decision.INCONCLUSIVE}


def test_a_family_without_scores_is_not_forgotten() -> None:
    """What was not measured is not accepted."""
    found = judge(CorpusGate(), [one for one in families() if one.family != "tables"])
    assert (found.decision, found.reason) == (Decision.INCONCLUSIVE, "not shown to be good enough in tables")
    assert any("0 documents have scores" in one.reason for one in found.verdicts)
    assert combine([], 0.05).decision is Decision.INCONCLUSIVE


def test_scores_without_a_gate_are_named() -> None:
    """They decide nothing, and are not dropped in silence."""
    extra = replace(families()[0], family="formulas")
    found = judge(CorpusGate(), [extra, *families()])
    assert (found.decision, found.ungated) == (Decision.ACCEPT, ("formulas",))


def test_the_order_of_families_does_not_matter() -> None:
    """The same judgement is the same bytes."""
    forward, backward = (judge(CorpusGate(), order).to_json() for order in (families(), families()[::-1]))
    assert forward == backward
    assert '"decision": "accept"' in forward


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_per_cent_worse_in_all_families_is_rejected_in_one_of_twenty_at_most(name: str) -> None:
    """Six families are six chances to be wrong, and still it is one in twenty."""
    found = overall(SCENARIOS[name], dict.fromkeys(POLICIES, 0.02), documents=90, seeds=200)
    assert found.reject <= 0.05


def test_a_family_at_its_margin_is_not_carried_by_the_others() -> None:
    """With one family at the margin and the others equal, the whole is accepted once in twenty times at most."""
    found = overall(quiet, {"digits": 0.05}, documents=90, seeds=400)
    assert found.accept <= 0.05


def test_seven_per_cent_worse_is_rejected_and_equal_is_accepted() -> None:
    """With all families together, tables in a third of the documents."""
    assert overall(quiet, dict.fromkeys(POLICIES, 0.07), documents=90, seeds=200).reject >= 0.95
    assert overall(quiet, {"text": 0.07}, documents=90, seeds=200).reject >= 0.95
    assert overall(quiet, {}, documents=90, seeds=200).accept >= 0.8
