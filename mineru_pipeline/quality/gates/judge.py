"""One judgement from the verdicts of all families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mineru_pipeline.quality.gates.model import Decision, Gate, Judgement, PairedScores, Verdict
from mineru_pipeline.quality.gates.policy import POLICIES, Policy


def judge(gate: Gate, families: Iterable[PairedScores], policies: Mapping[str, Policy] = POLICIES) -> Judgement:
    """Judge every family that has a policy; a policy without scores is inconclusive, and so is the whole then.

    Raises:
        GateInputError: see :class:`.model.PairedScores`.
    """
    given = {paired.family: paired for paired in families}
    missing = (PairedScores(family, (), (), ()) for family in policies if family not in given)
    paired = [*(one for family, one in given.items() if family in policies), *missing]
    verdicts = [gate.judge(one) for one in sorted(paired, key=lambda one: one.family)]
    return combine(verdicts, gate.alpha, ungated=sorted(set(given) - set(policies)))


def combine(verdicts: Iterable[Verdict], alpha: float, ungated: Iterable[str] = ()) -> Judgement:
    """Accept if every family accepts; reject if any is worse, corrected for how many were asked.

    *Accept* needs no correction. It claims that all families keep their margin; if that is wrong, one of them does
    not, and that one accepts with a probability of at most ``alpha``: an intersection-union test (Berger,
    "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982)).

    *Reject* claims that at least one family is worse than tolerated, and with m families there are m chances to say
    so wrongly. The p-values are therefore compared by Holm's procedure ("A simple sequentially rejective multiple
    test procedure", Scandinavian Journal of Statistics 6 (1979)): the smallest with alpha/m, the next with
    alpha/(m - 1), and so on until one is too large. The probability that any family is rejected though it is no
    worse than tolerated is then at most ``alpha``, however the families hang together.
    """
    given = list(verdicts)
    rejected = _holm(given, alpha)
    settled = tuple(one if one.family in rejected else _softened(one) for one in given)
    return Judgement(*_overall(settled), alpha, settled, tuple(ungated))


def _holm(verdicts: list[Verdict], alpha: float) -> set[str]:
    """The families whose rejection stands; a family that accepts keeps its place in the count."""
    ordered = sorted((one.p_worse, one.family, one.decision) for one in verdicts if one.p_worse is not None)
    found = set()
    for place, (p_value, family, decision) in enumerate(ordered):
        if p_value > alpha / (len(ordered) - place):
            break
        if decision is Decision.REJECT:
            found.add(family)
    return found


def _softened(verdict: Verdict) -> Verdict:
    if verdict.decision is not Decision.REJECT:
        return verdict
    reason = f"{verdict.reason}; alone this would be rejected, but among so many families it may be chance"
    return replace(verdict, decision=Decision.INCONCLUSIVE, reason=reason)


def _overall(verdicts: tuple[Verdict, ...]) -> tuple[Decision, str]:
    by_decision = {decision: [one.family for one in verdicts if one.decision is decision] for decision in Decision}
    if worse := by_decision[Decision.REJECT]:
        return Decision.REJECT, f"worse in {', '.join(worse)}"
    if unclear := by_decision[Decision.INCONCLUSIVE]:
        return Decision.INCONCLUSIVE, f"not shown to be good enough in {', '.join(unclear)}"
    if not verdicts:
        return Decision.INCONCLUSIVE, "there is no family to judge"
    return Decision.ACCEPT, "good enough in every family"
