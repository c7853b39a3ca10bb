"""Bounds of the ratio of two means over the same documents, by the bootstrap, for one data set or many at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

RESAMPLES: Final = 9_999
#: Digits behind the point of a resampled ratio: what is below is the order of summation, and would split ties.
_DIGITS: Final = 12


class Bounds(NamedTuple):
    """Of each data set: the ratio, its one-sided bounds and its standard error.

    ``p_worse`` is the p-value of the claim that the true ratio lies below the one asked for.
    """

    ratio: Array
    lower: Array
    upper: Array
    error: Array
    p_worse: Array


def bounds(baseline: Array, candidate: Array, *, level: float, below: float, seed: int) -> Bounds:
    """BCa bounds, each with the nominal error ``level``, of mean(candidate) / mean(baseline).

    Documents are drawn with replacement, baseline and candidate of one together. The method is that of Efron,
    "Better bootstrap confidence intervals", JASA 82 (1987), as :func:`scipy.stats.bootstrap` implements it. The
    bootstrap is a little too narrow for few documents, as if it divided by n where it should by n - 1; its
    levels are those of Student's t instead (Hesterberg, "What teachers should know about the bootstrap",
    The American Statistician 69 (2015), section 3.3).

    Args:
        baseline: scores, data sets × documents, with a mean above zero.
        candidate: the same of the candidate.
        level: the error of each bound.
        below: the ratio for ``p_worse``.
        seed: for the drawing; the same seed draws the same documents in every data set.
    """
    documents = baseline.shape[-1]
    ratio, left_out = (_ratio(baseline, candidate)(drawn) for drawn in (np.arange(documents), _left_out(documents)))
    # Where no document matters for the ratio there is nothing to resample, and BCa would divide zero by zero.
    varies = np.ptp(left_out, axis=-1) > 0
    found = Bounds(ratio, ratio.copy(), ratio.copy(), np.zeros_like(ratio), np.where(ratio < below, 0.0, 1.0))
    if not varies.any():
        return found
    drawn = stats.bootstrap(
        (np.arange(documents),),
        _ratio(baseline[varies], candidate[varies]),
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * _expanded(level, documents),
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    found.lower[varies], found.upper[varies] = drawn.confidence_interval
    found.error[varies] = drawn.standard_error
    found.p_worse[varies] = _p_value(drawn.bootstrap_distribution, ratio[varies], below, left_out[varies])
    return found


def _ratio(baseline: Array, candidate: Array) -> Callable[..., Array]:
    """The ratio of means as a function of drawn documents: their numbers in, one value for each data set out."""

    def statistic(drawn: NDArray[np.int64], axis: int = -1) -> Array:  # noqa: ARG001 - scipy passes it
        # How often each document was drawn, times its score: a product of matrices serves thousands of data sets.
        documents = baseline.shape[-1]
        rows = drawn.reshape(-1, drawn.shape[-1])
        places = rows + documents * np.arange(len(rows))[:, None]
        counts = np.bincount(places.ravel(), minlength=documents * len(rows)).reshape(len(rows), documents)
        weights = counts.T.astype(float)
        below = baseline @ weights
        # A draw of nothing but zeros says nothing about the ratio, so it stands for the ratio of all.
        whole = candidate.sum(-1, keepdims=True) / baseline.sum(-1, keepdims=True)
        ratios = np.divide(candidate @ weights, below, out=whole.repeat(len(rows), -1), where=below > 0)
        return np.asarray(np.round(ratios, _DIGITS).reshape(-1, *drawn.shape[:-1]))

    return statistic


def _expanded(alpha: float, documents: int) -> float:
    """The level at which the percentiles are read so that the error is ``alpha``."""
    quantile = special.stdtrit(documents - 1, alpha) * math.sqrt(documents / (documents - 1))
    return float(special.ndtr(quantile))


def _left_out(documents: int) -> NDArray[np.int64]:
    """All documents but one, for each of them."""
    grid = np.tile(np.arange(documents), (documents, 1))
    return grid[~np.eye(documents, dtype=bool)].reshape(documents, documents - 1)


def _p_value(resampled: Array, ratio: Array, below: float, left_out: Array) -> Array:
    """The error at which the upper bound would be ``below``: the interval read backwards.

    Solves equation 14.10 of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), for its level.
    """
    documents = left_out.shape[-1]
    pull = left_out.mean(-1, keepdims=True) - left_out
    skew = (pull**3).sum(-1) / (6 * (pull**2).sum(-1) ** 1.5)
    bias = special.ndtri(_share_below(resampled, ratio[:, None]))
    # Never beyond what so many draws can show.
    least = 1 / (resampled.shape[-1] + 1)
    reached = special.ndtri(np.clip(_share_below(resampled, np.full((1, 1), below)), least, 1 - least)) - bias
    normal = reached / (1 + skew * reached) - bias
    return np.asarray(special.stdtr(documents - 1, -normal * math.sqrt((documents - 1) / documents)))


def _share_below(resampled: Array, value: Array) -> Array:
    return np.asarray(((resampled < value).mean(-1) + (resampled <= value).mean(-1)) / 2)
