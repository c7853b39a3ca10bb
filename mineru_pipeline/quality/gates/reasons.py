"""What a verdict says to people, and what keeps a gate from having one."""

from __future__ import annotations

from typing import Final

from mineru_pipeline.quality.gates.model import Decision, Kind, PairedScores, Verdict
from mineru_pipeline.quality.gates.policy import Policy

#: Below this chance of accepting an equal candidate, "inconclusive" is the corpus' fault.
_ENOUGH_POWER: Final = 0.8
_SIGNIFICANT: Final = 0.05


def obstacle(policy: Policy, paired: PairedScores) -> str | None:
    """Why these scores cannot be judged at all, or ``None``."""
    documents = len(paired.documents)
    if documents < policy.minimum:
        return f"{documents} documents have scores of this family; at least {policy.minimum} are needed"
    if policy.kind is Kind.DIFFERENCE:
        return None
    good = sum(score > 0 for score in paired.baseline)
    if good == 0:
        return "the baseline scores 0 in every document, so there is nothing to keep a share of"
    if 2 * good < policy.minimum:
        return f"the baseline scores above 0 in {good} documents only; at least {policy.minimum // 2} are needed"
    return None


def undecided(policy: Policy, paired: PairedScores, alpha: float, method: str, reason: str) -> Verdict:
    """A verdict without figures."""
    return Verdict(
        family=paired.family,
        decision=Decision.INCONCLUSIVE,
        reason=reason,
        kind=policy.kind,
        estimate=None,
        lower=None,
        upper=None,
        margin=policy.margin,
        tolerated=policy.tolerated,
        alpha=alpha,
        documents=len(paired.documents),
        p_worse=None,
        power=None,
        method=method,
    )


def explain(verdict: Verdict) -> str:
    """The reason of a verdict that has figures."""
    found = f"{_shown(verdict, verdict.estimate)} of the baseline's mean is kept"
    if verdict.kind is Kind.DIFFERENCE:
        found = f"the mean moved by {_shown(verdict, verdict.estimate)}"
    sure = f"with {1 - verdict.alpha:.0%} confidence"
    margin, tolerated = _shown(verdict, verdict.margin), _shown(verdict, verdict.tolerated)
    at_least, at_most = _shown(verdict, verdict.lower), _shown(verdict, verdict.upper)
    if verdict.decision is Decision.ACCEPT:
        return f"{found}; {sure} at least {at_least}, and {margin} is asked for{_loss(verdict)}{_unseen(verdict)}"
    if verdict.decision is Decision.REJECT:
        return f"{found}; {sure} at most {at_most}, which is worse than the {tolerated} that is tolerated"
    return f"{found}; {sure} between {at_least} and {at_most}, too wide to tell{_loss(verdict)}{_too_few(verdict)}"


def _shown(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return "any amount"
    return f"{value:.1%}" if verdict.kind is Kind.RATIO else f"{100 * value:+.1f} points"


def _loss(verdict: Verdict) -> str:
    """A loss that is certain, but not shown to be larger than what is tolerated, is said all the same."""
    return ". Something was lost" if verdict.is_lower else ""


def _unseen(verdict: Verdict) -> str:
    """What a sample without any difference cannot exclude: shares p of documents up to (1 - p)^n = 5 %."""
    if verdict.kind is Kind.DIFFERENCE or not verdict.estimate == verdict.lower == verdict.upper == 1:
        return ""
    share = 1 - _SIGNIFICANT ** (1 / verdict.documents)
    return f". No document differs; a fault in fewer than one document in {int(1 / share)} may have been missed"


def _too_few(verdict: Verdict) -> str:
    if verdict.power is None or verdict.power >= _ENOUGH_POWER:
        return ""
    return f"; {verdict.documents} documents like these would accept an equal candidate {verdict.power:.0%} of the time"
