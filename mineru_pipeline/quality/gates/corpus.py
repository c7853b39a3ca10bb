"""The gate on a corpus: all documents are there, and there is one look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates import betting, bootstrap
from mineru_pipeline.quality.gates.model import Decision, Kind, PairedScores, Verdict, rounded
from mineru_pipeline.quality.gates.policy import POLICIES, Policy, policy_of
from mineru_pipeline.quality.gates.reasons import explain, obstacle, undecided

Array = NDArray[np.float64]

#: BCa promises its level for many documents alone. With a hundred, rare losses of whole documents make it wrong up to
#: twice as often, so it is read at half the error that the gate promises (docs/quality.md has the figures).
_SAFETY: Final = 2.0

_METHODS: Final = {
    Kind.RATIO: "ratio of means, BCa bootstrap over documents",
    Kind.DIFFERENCE: "difference of means, betting on documents, one look",
}


class Outcome(NamedTuple):
    """Of each data set: the estimate, its bounds, p-value and, for a ratio, standard error."""

    estimate: Array
    lower: Array
    upper: Array
    p_worse: Array
    error: Array

    def accepted(self, policy: Policy) -> NDArray[np.bool_]:
        """Shown to keep the margin."""
        return np.asarray(self.lower >= policy.margin)

    def rejected(self, policy: Policy, alpha: float) -> NDArray[np.bool_]:
        """Shown to be worse than tolerated, and not shown to keep the margin."""
        return np.asarray(~self.accepted(policy) & (self.p_worse <= alpha))


@dataclass(frozen=True, slots=True)
class CorpusGate:
    """Ratios by BCa bootstrap, differences by betting; see :mod:`.bootstrap` and :mod:`.betting`.

    Documents are drawn from all strata together. Within strata of six a bootstrap would be too narrow by a tenth
    (Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.2), while ignoring strata can
    only widen the bounds; as scores are paired, it hardly does.

    Accepting tests "below the margin", rejecting tests "not worse than tolerated", each with error ``alpha``. With
    little noise both can be shown, for a ratio between the two lines; then the candidate is accepted.
    """

    alpha: float = 0.05
    policies: Mapping[str, Policy] = field(default_factory=lambda: POLICIES)

    def judge(self, paired: PairedScores) -> Verdict:
        """Return the verdict on one family.

        The same scores give the same verdict: the drawing depends on the names of the documents alone, so that
        two candidates on one corpus are judged by the same draws.
        """
        return self.judge_many([paired])[0]

    def judge_many(self, candidates: Sequence[PairedScores]) -> list[Verdict]:
        """What :meth:`judge` says about each of several candidates, drawing once for all of them.

        Raises:
            GateInputError: they are not of one family and the same documents.
        """
        if not candidates:
            return []
        family, documents = candidates[0].family, candidates[0].documents
        if any((one.family, one.documents) != (family, documents) for one in candidates):
            raise GateInputError(f"{family}: candidates are judged together only on the same documents")
        policy = policy_of(self.policies, family)
        obstacles = [obstacle(policy, one) for one in candidates]
        verdicts = [
            undecided(policy, one, self.alpha, _METHODS[policy.kind], problem or "")
            for one, problem in zip(candidates, obstacles, strict=True)
        ]
        judged = [place for place, problem in enumerate(obstacles) if problem is None]
        if not judged:
            return verdicts
        baseline = np.array([candidates[place].baseline for place in judged])
        candidate = np.array([candidates[place].candidate for place in judged])
        outcome = self.measure(policy, baseline, candidate, seed_of(documents))
        for row, place in enumerate(judged):
            verdicts[place] = self._verdict(policy, verdicts[place], outcome, row)
        return verdicts

    def measure(self, policy: Policy, baseline: Array, candidate: Array, seed: int) -> Outcome:
        """Estimate and bounds of many data sets at once, data sets × documents."""
        if policy.kind is Kind.DIFFERENCE:
            return self._by_betting(policy, baseline, candidate)
        level = self.alpha / _SAFETY
        found = bootstrap.bounds(baseline, candidate, level=level, below=policy.tolerated, seed=seed)
        p_worse = np.minimum(1.0, found.p_worse * _SAFETY)
        return Outcome(found.ratio, found.lower, found.upper, p_worse, found.error)

    def _by_betting(self, policy: Policy, baseline: Array, candidate: Array) -> Outcome:
        lower, upper = (
            bound(policy, baseline, candidate, self.alpha, always=False)
            for bound in (betting.lower_bound, betting.upper_bound)
        )
        # One over the evidence is a p-value, by Markov's inequality.
        worse = betting.log_evidence(policy.worse(baseline, candidate, policy.tolerated))[..., -1]
        estimate = policy.estimate(baseline, candidate)
        return Outcome(estimate, lower, upper, np.exp(-np.maximum(worse, 0.0)), np.zeros_like(estimate))

    def _verdict(self, policy: Policy, blank: Verdict, found: Outcome, row: int) -> Verdict:
        decision = Decision.INCONCLUSIVE
        if found.accepted(policy)[row]:
            decision = Decision.ACCEPT
        elif found.rejected(policy, self.alpha)[row]:
            decision = Decision.REJECT
        verdict = replace(
            blank,
            decision=decision,
            estimate=rounded(found.estimate[row]),
            lower=rounded(found.lower[row]),
            upper=rounded(found.upper[row]),
            p_worse=rounded(found.p_worse[row]),
            power=self._power(policy, found, row, blank.documents),
        )
        return replace(verdict, reason=explain(verdict))

    def _power(self, policy: Policy, found: Outcome, row: int, documents: int) -> float | None:
        """As if the estimate were t-distributed around 1, with the lower bound as far below it as it is here."""
        if policy.kind is Kind.DIFFERENCE:
            return None
        error = found.error[row]
        if error == 0:
            return 1.0
        room = 1 - policy.margin - (found.estimate[row] - found.lower[row])
        return rounded(special.stdtr(documents - 1, room / error))


def seed_of(documents: Sequence[str]) -> int:
    """A seed for these documents."""
    return int.from_bytes(hashlib.sha256("\n".join(documents).encode()).digest()[:8])
