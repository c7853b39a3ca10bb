"""Evidence by betting: how rich a gambler gets who bets that documents speak for a claim.

If the claim is false, no bet can be expected to gain, so that great wealth is evidence for it, at whatever document
one looks, and whatever the scores are distributed like. The bets here are fixed shares of the largest one that
cannot ruin the gambler; their wealth is averaged, which follows the best of them at the cost of a constant.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024);
Shafer, "Testing by betting", JRSS A 184 (2021); the average as a discrete universal portfolio: Cover, "Universal
portfolios", Mathematical Finance 1 (1991), and Orabona and Jun, "Tight concentrations and confidence sequences from
the regret of universal portfolio", IEEE Trans. Information Theory 70 (2024); always-valid by Ville's inequality (1939).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mineru_pipeline.quality.gates.model import Kind
from mineru_pipeline.quality.gates.policy import Gains, Policy

Array = NDArray[np.float64]

#: The bets, as shares of the largest, and the part of the stake that each begins with. Scores differ so little from
#: document to document that the largest bet is nearly the best one; the others are for losses of whole documents.
FRACTIONS: Final = (1.0, 0.5, 0.2, 0.08)
STAKES: Final = (0.7, 0.12, 0.1, 0.08)

_STEPS: Final = 40


def log_evidence(gains: Gains) -> Array:
    """The logarithm of the wealth after each document, over the last axis; it started at 0.

    Under "the mean gain, given what came before, is at most zero" the wealth is a non-negative supermartingale: it
    reaches 1/alpha at any time with a probability of at most alpha.
    """
    values, floor = gains
    with np.errstate(divide="ignore"):  # A lost document ruins the largest bet: log 0, and the other bets go on.
        wealth = [
            np.log(stake) + np.cumsum(np.log1p(np.maximum(fraction * values / -np.asarray(floor), -1)), axis=-1)
            for fraction, stake in zip(FRACTIONS, STAKES, strict=True)
        ]
    return np.asarray(special.logsumexp(np.stack(wealth), axis=0))


def lower_bound(policy: Policy, baseline: Array, candidate: Array, alpha: float, *, always: bool) -> Array:
    """The least estimate that the documents (last axis) do not speak against; ``always`` for any-time validity.

    The inversion of the test; the evidence falls as the estimate asked for rises, so halving finds the place.
    """

    def excluded(at: Array) -> NDArray[np.bool_]:
        return _is_evident(log_evidence(policy.better(baseline, candidate, at[..., None])), alpha, always=always)

    low, high = _ends(policy)
    return _edge(excluded, np.full(baseline.shape[:-1], low), high)


def upper_bound(policy: Policy, baseline: Array, candidate: Array, alpha: float, *, always: bool) -> Array:
    """The greatest such estimate; infinite where nothing up to ten times the baseline is spoken against."""

    def excluded(at: Array) -> NDArray[np.bool_]:
        return _is_evident(log_evidence(policy.worse(baseline, candidate, at[..., None])), alpha, always=always)

    low, high = _ends(policy)
    start = np.full(baseline.shape[:-1], high)
    return np.where(excluded(start), _edge(excluded, start, low), np.inf)


def _is_evident(path: Array, alpha: float, *, always: bool) -> NDArray[np.bool_]:
    return np.asarray((path.max(-1) if always else path[..., -1]) >= -np.log(alpha))


def _ends(policy: Policy) -> tuple[float, float]:
    """Estimates between which a bound is looked for."""
    return (1e-6, 10.0) if policy.kind is Kind.RATIO else (-1 + 1e-6, 1 - 1e-6)


def _edge(excluded: Callable[[Array], NDArray[np.bool_]], inside: Array, end: float) -> Array:
    """Where ``excluded`` ends on the way from ``inside`` to ``end``; ``inside`` where it is not even excluded there."""
    outside = np.where(excluded(inside), end, inside)
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        hit = excluded(middle)
        inside, outside = np.where(hit, middle, inside), np.where(hit, outside, middle)
    return inside
