"""How unusual a value is among those before it, and the evidence of change that many unusual values add up to.

The rank of a new value among all values so far, ties broken by lot, is uniform on (0, 1] and independent of the
earlier ranks as long as the order of the values carries no information, whatever their distribution (Vovk,
Gammerman and Shafer, "Algorithmic Learning in a Random World", 2nd ed. (2022), chapters 8 and 9). Bets on it being
small therefore gain nothing on average, and the sum of the wealths of gamblers of whom a new one begins before
each document grows by one a document: the procedure of Shiryaev (1963) and Roberts (1966). It first reaches a
threshold A after A documents or more on average (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework
for sequential change detection", New England Journal of Statistics in Data Science 2 (2024), and Volkhonskiy et al.,
"Inductive conformal martingales for change-point detection", PMLR 60 (2017)); the mean of several such sums, too,
however they depend on each other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Bets on the tail, p -> k p^(k - 1): for great changes.
_POWERS: Final = (0.5, 0.75)
#: Bets on the half, p -> 1 + s (1 - 2p): for small changes of all documents.
_SLOPES: Final = (0.4, 1.0)
#: Bets that p is at most t, which pay a, else (1 - a t) / (1 - t): for what is nearly always zero and then is less so.
_STEPS: Final = ((0.05, 3.0), (0.02, 5.0))
#: The number of bets on one side.
BETS: Final = len(_POWERS) + len(_SLOPES) + len(_STEPS)
#: Wealth is not counted beyond this; no threshold is so high.
_CAP: Final = 1e15


def p_value(history: Array, value: Array, lot: Array) -> Array:
    """The share of values at least as high as the new one, ties broken by ``lot`` (0-1].

    Args:
        history: earlier values, over the last axis.
        value: the new value, without that axis.
        lot: a random number for each value.
    """
    new = value[..., None]
    higher = (history > new).sum(-1)
    equal = (history == new).sum(-1) + 1
    return np.asarray((higher + lot * equal) / (history.shape[-1] + 1))


def bets(p_values: Array) -> Array:
    """What each bet pays for a p-value, over a new last axis; one on average if it is uniform."""
    tails = [power * p_values ** (power - 1) for power in _POWERS]
    halves = [1 + slope * (1 - 2 * p_values) for slope in _SLOPES]
    steps = [np.where(p_values <= most, pays, (1 - pays * most) / (1 - most)) for most, pays in _STEPS]
    return np.stack([*tails, *halves, *steps], axis=-1)


def grown(wealth: Array, paid: Array) -> Array:
    """The sums of wealth after one more document, by the recursion of Shiryaev and Roberts."""
    return np.minimum((1 + wealth) * paid, _CAP)
