"""Claims about the gate that may look after every document."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bench.gate_scenarios import SCENARIOS, Scenario, noisy, pages, quiet
from bench.gate_trials import on_stream
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates import betting
from mineru_pipeline.quality.gates.model import Decision, PairedScores
from mineru_pipeline.quality.gates.policy import PAGES, POLICIES, Policy
from mineru_pipeline.quality.gates.sequential import BUDGET, SequentialGate
from mineru_pipeline.quality.gates.shadow import Shadow

SEEDS = 2_000
GATE = SequentialGate()
TEXT = POLICIES["text"]


def pairs(draw: Scenario, ratio: float, documents: int = BUDGET) -> PairedScores:
    baseline, candidate = draw(np.random.default_rng(5), (1, documents), ratio)
    names = tuple(f"d{number}" for number in range(documents))
    return PairedScores("text", names, tuple(baseline[0].tolist()), tuple(candidate[0].tolist()))


def same(score: float, documents: int, factor: float = 1.0) -> PairedScores:
    names = tuple(f"d{number}" for number in range(documents))
    return PairedScores("text", names, (score,) * documents, (factor * score,) * documents)


@pytest.mark.parametrize("name", SCENARIOS)
def test_peeking_after_every_document_keeps_both_errors(name: str) -> None:
    """At exactly the margin hardly any stream is ever accepted, and at what is tolerated hardly any rejected."""
    rng = np.random.default_rng(1)
    for ratio, which in ((0.95, 0), (0.98, 1)):
        baseline, candidate = SCENARIOS[name](rng, (SEEDS, BUDGET), ratio)
        crossed = GATE.crossings(GATE.evidence(TEXT, baseline, candidate))[which]
        assert (crossed <= BUDGET).mean() <= 0.05


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_equal_candidate_is_accepted_within_the_budget(name: str) -> None:
    """In four of five streams at least, and mostly within a third of it."""
    found = on_stream(SCENARIOS[name], 1.0, seeds=SEEDS)
    assert found.accept >= 0.99
    assert found.most is not None
    assert found.most <= 140


@pytest.mark.parametrize("name", SCENARIOS)
def test_seven_per_cent_worse_is_rejected_within_the_budget(name: str) -> None:
    """Two per cent worse are not."""
    assert on_stream(SCENARIOS[name], 0.93, seeds=SEEDS).reject >= 0.95
    assert on_stream(SCENARIOS[name], 0.98, seeds=SEEDS).reject <= 0.05


def test_pages_keep_their_errors_under_peeking() -> None:
    """The difference of rates is bet on like the ratio."""
    assert on_stream(pages, 0.05, seeds=SEEDS, policy=PAGES).accept <= 0.05
    assert on_stream(pages, 0.02, seeds=SEEDS, policy=PAGES).reject <= 0.05
    assert on_stream(pages, 0.0, seeds=SEEDS, policy=PAGES).accept >= 0.8


def test_an_identical_candidate_takes_73_documents_where_the_best_bet_takes_67() -> None:
    """At a score of 0.88 the price of not knowing the best bet is six documents."""
    best = math.ceil(math.log(20) / math.log1p(0.05 * 0.88 / 0.95))
    verdict = GATE.judge(same(0.88, BUDGET))
    assert (verdict.decision, verdict.documents, best) == (Decision.ACCEPT, 73, 67)


def test_the_first_to_cross_decides_for_good() -> None:
    """Documents after the decision do not change it, however bad they are."""
    good = same(0.88, 80)
    names = tuple(f"later{number}" for number in range(50))
    later = PairedScores(
        "text", (*good.documents, *names), (*good.baseline, *[0.9] * 50), (*good.candidate, *[0.0] * 50)
    )
    assert replace(GATE.judge(later), p_worse=1.0) == replace(GATE.judge(good), p_worse=1.0)


def test_lost_documents_do_not_end_the_bets() -> None:
    """A bet of everything is ruined by the first lost document; the smaller ones go on, without a warning."""
    paired = same(1.0, BUDGET)
    lost = replace(paired, candidate=(0.0, *paired.candidate[1:]))
    assert GATE.judge(lost).decision is Decision.ACCEPT
    assert GATE.judge(same(1.0, 100, factor=0.0)).decision is Decision.REJECT


def test_nothing_is_decided_without_evidence() -> None:
    """No document, one document, or a baseline of zeros: inconclusive, with what may come."""
    assert GATE.judge(same(0.9, 0)).reason == "no document was compared yet"
    first = GATE.judge(same(0.9, 1))
    assert first.decision is Decision.INCONCLUSIVE
    assert "399 more documents may tell" in first.reason
    zeros = GATE.judge(same(0.0, BUDGET))
    assert (zeros.decision, zeros.estimate) == (Decision.INCONCLUSIVE, None)
    assert "within the budget of 400 documents" in zeros.reason


def test_documents_beyond_the_budget_do_not_count() -> None:
    """The last word is spoken at the budget."""
    paired = pairs(noisy, 0.965, 2 * BUDGET)
    small = SequentialGate(budget=40)
    assert small.judge(paired) == small.judge(
        PairedScores("text", paired.documents[:40], paired.baseline[:40], paired.candidate[:40])
    )


@pytest.mark.parametrize("policy", [TEXT, PAGES], ids=["ratio", "difference"])
@pytest.mark.parametrize("truth", [1.0, 0.93])
def test_the_interval_holds_at_any_time(policy: Policy, truth: float) -> None:
    """In at most a tenth of the streams (a twentieth for each side) it ever leaves the truth out."""
    draw, value, true = (quiet, truth, truth) if policy is TEXT else (pages, 1 - truth, truth - 1)
    baseline, candidate = draw(np.random.default_rng(9), (500, 150), value)
    lower = betting.lower_bound(policy, baseline, candidate, 0.05, always=True)
    upper = betting.upper_bound(policy, baseline, candidate, 0.05, always=True)
    assert ((lower > true) | (upper < true)).mean() <= 0.1
    assert (lower <= upper).all()


def test_bound_and_decision_agree() -> None:
    """At the document that decides, the lower bound reaches the margin, and not before."""
    paired = pairs(noisy, 1.0)
    verdict = GATE.judge(paired)
    assert verdict.decision is Decision.ACCEPT
    assert verdict.lower is not None
    assert verdict.lower >= 0.95 - 1e-6
    count = verdict.documents - 1
    before = GATE.judge(PairedScores("text", *(side[:count] for side in _columns(paired))))
    assert before.lower is not None
    assert before.lower < 0.95


def _columns(paired: PairedScores) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    return paired.documents, paired.baseline, paired.candidate


def test_a_comparison_goes_on_in_another_process() -> None:
    """Document by document through JSON is the same as all at once."""
    paired = pairs(noisy, 0.99, 60)
    state = Shadow.begin(GATE, "text")
    for document, before, after in zip(*_columns(paired), strict=True):
        state = Shadow.from_json(state.add(document, before, after).to_json(), SequentialGate())
    assert state.verdict() == GATE.judge(paired)
    wealth = json.loads(state.to_json())["wealth"]
    assert wealth["good"] == pytest.approx(math.exp(GATE.path(paired).good[-1]), rel=1e-4)


def test_a_document_that_comes_again_counts_once() -> None:
    """Delivered twice it changes nothing; with other scores it is an error."""
    state = Shadow.begin(GATE, "text").add("a", 0.9, 0.8)
    assert state.add("a", 0.9, 0.8) is state
    with pytest.raises(GateInputError, match="a was compared before, with other scores"):
        state.add("a", 0.9, 0.7)


def test_rules_do_not_change_on_the_way() -> None:
    """A state that was begun with another error, budget or margin is refused."""
    text = Shadow.begin(GATE, "text").to_json()
    with pytest.raises(GateInputError, match="begun under other rules"):
        Shadow.from_json(text, SequentialGate(alpha=0.1))
    with pytest.raises(GateInputError, match="begun under other rules"):
        Shadow.from_json(text, SequentialGate(policies={"text": Policy(margin=0.9)}))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"paired": 3, "rules": {}}', '{"paired": {"family": "text"}}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    """With an error that a person understands."""
    with pytest.raises(GateInputError, match="no state of a sequential gate"):
        Shadow.from_json(text, GATE)


def test_a_family_without_a_policy_has_no_comparison() -> None:
    """It is refused at the beginning, not after documents were compared."""
    with pytest.raises(GateInputError, match="no gate for the family 'poems'"):
        Shadow.begin(GATE, "poems")
