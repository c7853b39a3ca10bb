"""The gate for documents that come one by one: looking after each of them is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.quality.gates import betting
from mineru_pipeline.quality.gates.model import Decision, PairedScores, Verdict, rounded
from mineru_pipeline.quality.gates.policy import POLICIES, Policy, policy_of
from mineru_pipeline.quality.gates.reasons import explain, undecided

Array = NDArray[np.float64]

#: With an identical candidate at 0.88 the best bet needs 67 documents, and ours 73; noise makes it some 130.
BUDGET: Final = 400
_METHOD: Final = "betting on documents, valid at any time"


class Evidence(NamedTuple):
    """Logarithms of two e-processes after each document, over the last axis."""

    #: That the margin is kept, and that it is worse than tolerated.
    good: Array
    worse: Array


@dataclass(frozen=True, slots=True)
class SequentialGate:
    """Two e-processes, one for each claim; the first to reach 1/alpha decides, and that stays decided.

    For a ratio the bets are on D = candidate - 0.95 × baseline, which lies in [-0.95, 1], against "its mean is at
    most 0", and on 0.98 × baseline - candidate likewise. Whoever looks after every document errs with a probability
    of at most ``alpha`` for each claim, as long as each document is what the earlier ones let one expect: no picking
    of documents by their scores. Sources: :mod:`.betting`. What is reported as p-value is the inverse of the
    largest evidence so far, which is valid at any time, too (Vovk and Wang, "E-values: calibration, combination
    and applications", Annals of Statistics 49 (2021)).
    """

    alpha: float = 0.05
    #: Documents after which "inconclusive" is the last word.
    budget: int = BUDGET
    policies: Mapping[str, Policy] = field(default_factory=lambda: POLICIES)

    def judge(self, paired: PairedScores) -> Verdict:
        """Return the verdict on documents in the order of their arrival; those beyond the budget do not count.

        ``documents`` of the verdict is how many it took.
        """
        policy = policy_of(self.policies, paired.family)
        if not paired.documents:
            return undecided(policy, paired, self.alpha, _METHOD, "no document was compared yet")
        baseline, candidate = self._within_budget(paired)
        evidence = self.evidence(policy, baseline, candidate)
        accepted, rejected = (int(place) for place in self.crossings(evidence))
        count = len(baseline)
        decision = Decision.INCONCLUSIVE
        if min(accepted, rejected) <= count:
            decision = Decision.ACCEPT if accepted <= rejected else Decision.REJECT
            count = min(accepted, rejected)
        bounds = (
            bound(policy, baseline[:count], candidate[:count], self.alpha, always=True)
            for bound in (betting.lower_bound, betting.upper_bound)
        )
        lower, upper = (rounded(float(bound)) for bound in bounds)
        verdict = replace(
            undecided(policy, paired, self.alpha, _METHOD, ""),
            decision=decision,
            estimate=rounded(float(policy.estimate(baseline[:count], candidate[:count]))),
            lower=lower,
            upper=upper,
            documents=count,
            p_worse=rounded(math.exp(-max(0.0, float(evidence.worse.max())))),
        )
        return replace(verdict, reason=explain(verdict) + self._outlook(verdict))

    def path(self, paired: PairedScores) -> Evidence:
        """The evidence after each document, for a plot."""
        return self.evidence(policy_of(self.policies, paired.family), *self._within_budget(paired))

    def evidence(self, policy: Policy, baseline: Array, candidate: Array) -> Evidence:
        """Of one data set or of many at once, data sets × documents."""
        return Evidence(
            betting.log_evidence(policy.better(baseline, candidate, policy.margin)),
            betting.log_evidence(policy.worse(baseline, candidate, policy.tolerated)),
        )

    def crossings(self, evidence: Evidence) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """After how many documents each claim is proven; one more than there are where it is not."""
        good, worse = (self._first(path) for path in evidence)
        return good, worse

    def _first(self, path: Array) -> NDArray[np.int64]:
        proven = path >= -math.log(self.alpha)
        return np.asarray(np.where(proven.any(-1), proven.argmax(-1) + 1, path.shape[-1] + 1))

    def _within_budget(self, paired: PairedScores) -> tuple[Array, Array]:
        return np.array(paired.baseline[: self.budget]), np.array(paired.candidate[: self.budget])

    def _outlook(self, verdict: Verdict) -> str:
        if verdict.decision is not Decision.INCONCLUSIVE:
            return ""
        left = self.budget - verdict.documents
        return f"; {left} more documents may tell" if left > 0 else f" within the budget of {self.budget} documents"
