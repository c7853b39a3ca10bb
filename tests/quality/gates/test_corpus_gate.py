"""Claims about the gate that looks at a corpus once."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from bench.gate_scenarios import SCENARIOS, Scenario, noisy, pages, quiet
from bench.gate_trials import on_corpus
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates import bootstrap
from mineru_pipeline.quality.gates.corpus import CorpusGate, seed_of
from mineru_pipeline.quality.gates.model import Decision, PairedScores, dumped
from mineru_pipeline.quality.gates.policy import PAGES

#: Documents of the baseline corpus, and of the smaller one that the gate was designed for.
CORPUS, SMALL = 90, 72
SEEDS = 1_000
#: Two standard errors of a share of 5 % in so many seeds.
CHANCE = 2 * (0.05 * 0.95 / SEEDS) ** 0.5

GATE = CorpusGate()


def pairs(draw: Scenario, ratio: float, documents: int = CORPUS, family: str = "text") -> PairedScores:
    baseline, candidate = draw(np.random.default_rng(1), (1, documents), ratio)
    names = tuple(f"d{number:03}" for number in range(documents))
    return PairedScores(family, names, tuple(baseline[0].tolist()), tuple(candidate[0].tolist()))


def scaled(factor: float, documents: int = CORPUS, family: str = "text") -> PairedScores:
    paired = pairs(quiet, 1.0, documents, family)
    return replace(paired, candidate=tuple(factor * score for score in paired.baseline))


@pytest.mark.parametrize("name", SCENARIOS)
def test_at_the_margin_it_accepts_in_one_of_twenty_at_most(name: str) -> None:
    """The error of a wrong accept is kept for scores of all shapes, exactly where it is hardest to keep."""
    assert on_corpus(SCENARIOS[name], 0.95, documents=CORPUS, seeds=SEEDS).accept <= 0.05 + CHANCE


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_per_cent_worse_is_rejected_in_one_of_twenty_at_most(name: str) -> None:
    """What is tolerated is accepted or left open, but not rejected, with the corpus as with fewer documents."""
    for documents in (SMALL, CORPUS):
        assert on_corpus(SCENARIOS[name], 0.98, documents=documents, seeds=SEEDS).reject <= 0.05 + CHANCE


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_equal_candidate_is_accepted_in_four_of_five_at_least(name: str) -> None:
    """The corpus is large enough for noise of all shapes; and an equal candidate is never rejected."""
    found = on_corpus(SCENARIOS[name], 1.0, documents=CORPUS, seeds=SEEDS)
    assert found.accept >= 0.8
    assert found.reject <= 0.005


@pytest.mark.parametrize(("name", "least"), [("quiet", 0.99), ("mostly exact", 0.97), ("noisy", 0.8)])
def test_seven_per_cent_worse_is_rejected(name: str, least: float) -> None:
    """And hardly ever accepted."""
    found = on_corpus(SCENARIOS[name], 0.93, documents=CORPUS, seeds=SEEDS)
    assert found.reject >= least
    assert found.accept <= 0.01


def test_the_unchanged_system_is_accepted() -> None:
    """Without any difference there is nothing to resample; the verdict says what such a sample cannot show."""
    for documents in (20, 25, CORPUS):
        verdict = GATE.judge(scaled(1.0, documents))
        assert verdict.decision is Decision.ACCEPT
        assert (verdict.estimate, verdict.lower, verdict.upper, verdict.power) == (1.0, 1.0, 1.0, 1.0)
    assert "fewer than one document in 30 may have been missed" in verdict.reason


@pytest.mark.parametrize(
    ("factor", "decision"), [(0.96, Decision.ACCEPT), (0.97, Decision.ACCEPT), (0.94, Decision.REJECT)]
)
def test_documents_that_all_lose_the_same_leave_no_doubt(factor: float, decision: Decision) -> None:
    """A ratio that is the same in each document has no spread, and is not NaN."""
    verdict = GATE.judge(scaled(factor))
    assert verdict.decision is decision
    assert verdict.lower == verdict.upper == pytest.approx(factor)


def test_a_loss_that_is_tolerated_is_said() -> None:
    """An accepted candidate that has certainly lost something does not look like one that has not."""
    worse, same = GATE.judge(scaled(0.97)), GATE.judge(scaled(1.0))
    assert (worse.decision, worse.is_lower, same.is_lower) == (Decision.ACCEPT, True, False)
    assert "Something was lost" in worse.reason
    assert "Something was lost" not in same.reason


def test_one_document_that_differs_is_no_reason_to_reject() -> None:
    """Nor does a single lost document of 90 break the bounds."""
    same = scaled(1.0)
    verdict = GATE.judge(replace(same, candidate=(0.0, *same.candidate[1:])))
    assert verdict.decision is not Decision.REJECT
    assert verdict.lower is not None
    assert verdict.lower < 0.97


def test_few_documents_are_inconclusive_and_say_so() -> None:
    """Even if they are all alike."""
    verdict = GATE.judge(scaled(1.0, 19))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reason == "19 documents have scores of this family; at least 20 are needed"


def test_a_baseline_of_zeros_is_inconclusive() -> None:
    """There is no share of nothing, and hardly one of nearly nothing."""
    paired = scaled(0.0)
    nothing = replace(paired, baseline=paired.candidate)
    assert "nothing to keep" in GATE.judge(nothing).reason
    little = replace(nothing, baseline=(*[0.5] * 5, *[0.0] * (CORPUS - 5)))
    assert "above 0 in 5 documents only" in GATE.judge(little).reason
    enough = replace(nothing, baseline=(*[0.5] * 10, *[0.0] * (CORPUS - 10)))
    assert GATE.judge(enough).decision is Decision.REJECT


def test_the_same_scores_give_the_same_bytes() -> None:
    """Nothing but names and scores decides."""
    first, second = (dumped(asdict(CorpusGate().judge(pairs(noisy, 0.97)))) for _ in range(2))
    assert first == second


def test_judging_many_is_judging_each() -> None:
    """What the simulations use is what a single verdict comes from."""
    candidates = [pairs(noisy, ratio) for ratio in (1.0, 0.97, 0.95, 0.93)] + [scaled(1.0)]
    candidates = [replace(each, baseline=candidates[0].baseline) for each in candidates]
    assert GATE.judge_many(candidates) == [GATE.judge(each) for each in candidates]
    with pytest.raises(GateInputError, match="same documents"):
        GATE.judge_many([candidates[0], pairs(noisy, 1.0, 30)])
    assert GATE.judge_many([]) == []


def test_the_bounds_are_those_of_scipy() -> None:
    """The product of matrices computes what resampling pairs one by one does."""
    paired = pairs(noisy, 0.97)
    baseline, candidate = np.array(paired.baseline), np.array(paired.candidate)
    ours = bootstrap.bounds(baseline[None], candidate[None], level=0.05, below=0.98, seed=7)
    theirs = stats.bootstrap(
        (baseline, candidate),
        lambda before, after, axis: after.mean(axis) / before.mean(axis),
        paired=True,
        n_resamples=bootstrap.RESAMPLES,
        confidence_level=1 - 2 * bootstrap._expanded(0.05, CORPUS),
        rng=np.random.default_rng(7),
    )
    assert ours.lower[0] == pytest.approx(theirs.confidence_interval.low, abs=1e-9)
    assert ours.upper[0] == pytest.approx(theirs.confidence_interval.high, abs=1e-9)


def test_the_p_value_is_the_level_at_which_the_bound_is_met() -> None:
    """Read backwards, the interval gives the p-value that it was asked for."""
    paired = pairs(noisy, 0.95)
    sides = np.array([paired.baseline]), np.array([paired.candidate])
    p_worse = float(bootstrap.bounds(*sides, level=0.05, below=0.98, seed=7).p_worse[0])
    again = bootstrap.bounds(*sides, level=p_worse, below=0.98, seed=7)
    assert again.upper[0] == pytest.approx(0.98, abs=5e-4)


def test_the_stated_power_is_about_right() -> None:
    """What a verdict says about an equal candidate is what happens to equal candidates."""
    baseline, candidate = noisy(np.random.default_rng(3), (500, CORPUS), 1.0)
    names = tuple(f"d{number}" for number in range(CORPUS))
    sides = zip(baseline.tolist(), candidate.tolist(), strict=True)
    verdicts = GATE.judge_many([PairedScores("text", names, tuple(b), tuple(c)) for b, c in sides])
    accepted = np.mean([verdict.decision is Decision.ACCEPT for verdict in verdicts])
    assert np.median([verdict.power or 0.0 for verdict in verdicts]) == pytest.approx(accepted, abs=0.05)


def test_too_little_power_is_said() -> None:
    """Whoever reads "inconclusive" learns whether more documents are what is missing."""
    verdict = GATE.judge(pairs(noisy, 0.96, 24))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "24 documents like these would accept an equal candidate" in verdict.reason


def test_an_unknown_family_is_an_error() -> None:
    """No family passes for want of a gate."""
    with pytest.raises(GateInputError, match="no gate for the family 'poems'"):
        GATE.judge(scaled(1.0, family="poems"))


def test_names_decide_what_is_drawn() -> None:
    """Another corpus gets other draws."""
    assert seed_of(["a", "b"]) == seed_of(("a", "b")) != seed_of(["ab"])


@pytest.mark.parametrize("documents", [SMALL, CORPUS])
def test_pages_keep_their_errors(documents: int) -> None:
    """At a margin of five more catastrophic pages in a hundred, and of two, nothing is decided wrongly too often."""
    at_margin = on_corpus(pages, 0.05, documents=documents, seeds=SEEDS, policy=PAGES)
    tolerated = on_corpus(pages, 0.02, documents=documents, seeds=SEEDS, policy=PAGES)
    assert at_margin.accept <= 0.05
    assert tolerated.reject <= 0.05


def test_whole_documents_lost_do_not_pass_the_pages() -> None:
    """The bound holds where a bootstrap fails: few documents, all of their pages gone, the others unchanged."""

    def lost(rng: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(shape), (rng.random(shape) >= share).astype(float)

    for documents in (SMALL, CORPUS):
        assert on_corpus(lost, 0.05, documents=documents, seeds=SEEDS, policy=PAGES).accept <= 0.05


def test_equal_pages_are_accepted() -> None:
    """With a catastrophic page in a thousand on either side."""
    assert on_corpus(pages, 0.0, documents=CORPUS, seeds=SEEDS, policy=PAGES).accept >= 0.8


def test_pages_without_a_difference_need_65_documents() -> None:
    """A sample of unchanged pages proves nothing if it is small."""
    few, enough = (GATE.judge(scaled(1.0, documents, "pages")) for documents in (64, 65))
    assert few.decision is Decision.INCONCLUSIVE
    assert enough.decision is Decision.ACCEPT
    assert enough.lower is not None
    assert enough.lower >= -0.05
