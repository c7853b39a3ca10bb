"""Pairs of scores as a gate meets them, with a known true ratio: what the Monte-Carlo figures are made on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Seeds × documents, for the baseline and the candidate.
Pairs = tuple[Array, Array]
#: Makes pairs whose expected candidate is ``ratio`` times the expected baseline; ``ratio`` is at most 1.
Scenario = Callable[[np.random.Generator, tuple[int, int], float], Pairs]


def _noisy(rng: np.random.Generator, mean: Array, precision: float) -> Array:
    """Beta noise around a mean, with the mean kept; a mean of 0 or 1 stays as it is."""
    inner = np.clip(mean, 1e-9, 1 - 1e-9)
    drawn = rng.beta(inner * precision, (1 - inner) * precision)
    return np.where((mean <= 0) | (mean >= 1), mean, drawn)


def quiet(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> Pairs:
    """Means around 0.88, both read with little noise (standard deviation of a difference about 0.07)."""
    quality = rng.beta(8.8, 1.2, shape)
    return _noisy(rng, quality, 40), _noisy(rng, quality * ratio, 40)


def noisy(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> Pairs:
    """Means around 0.88, the candidate read with much noise (standard deviation about 0.12)."""
    quality = rng.beta(8.8, 1.2, shape)
    return quality, _noisy(rng, quality * ratio, 5)


def mostly_exact(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> Pairs:
    """Half of the documents perfect; the loss falls on a third, and little on most of those."""
    half, third = 0.5, 1 / 3
    baseline = np.where(rng.random(shape) < half, 1.0, rng.beta(6, 2, shape))
    lost = (1 - ratio) / third
    share = rng.beta(1, (1 - lost) / lost, shape) if lost else np.zeros(shape)
    return baseline, baseline * np.where(rng.random(shape) < third, 1 - share, 1.0)


def total_losses(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> Pairs:
    """All equal, but for a few documents of which nothing is left."""
    baseline = rng.beta(8.8, 1.2, shape)
    return baseline, np.where(rng.random(shape) < 1 - ratio, 0.0, baseline)


def torn(rng: np.random.Generator, shape: tuple[int, int], ratio: float) -> Pairs:
    """Good or very bad, as tables are, and half of the loss in one piece."""
    quality = rng.beta(2.0, 0.5, shape)
    whole = 1 - (1 - ratio) / 2
    candidate = _noisy(rng, quality * ratio / whole, 15)
    return _noisy(rng, quality, 15), np.where(rng.random(shape) < 1 - whole, 0.0, candidate)


SCENARIOS: Final[dict[str, Scenario]] = {
    "quiet": quiet,
    "noisy": noisy,
    "mostly exact": mostly_exact,
    "total losses": total_losses,
    "torn": torn,
}


def pages(rng: np.random.Generator, shape: tuple[int, int], more: float) -> Pairs:
    """Shares of good pages of documents with two pages, of which ``more`` (0-1) become catastrophic.

    One page in a thousand is catastrophic for either side anyway, by chance.
    """
    chance = 0.001
    baseline = 1 - rng.binomial(2, chance, shape) / 2
    return baseline, 1 - rng.binomial(2, min(1.0, chance + more), shape) / 2
