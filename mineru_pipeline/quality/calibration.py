"""Finds the cuts of signals that agree best with true scores, and says how often they are wrong, with bounds.

The rule is the simplest monotone one, a minimum over signals; monotone rules fitted by counting errors are as old as
isotonic regression (Barlow, Bartholomew, Bremner and Brunk 1972; for ordered classes, Kotłowski and Słowiński, "On
nonparametric ordinal classification with monotonicity constraints", IEEE TKDE 25 (2013)). With some hundred documents a
richer one would learn the documents. Cuts are found by coordinate descent on the sum of the distances between bands:
one after the other moves to its best place until none moves. A cut that does not save :data:`WORTH` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.quality.bands import Band, Cut, Scale, Share, Source, Thresholds
from mineru_pipeline.quality.scores.model import DocumentScores

Ranks = NDArray[np.int64]

#: What may decide a band, the most telling first, and whether high values are good. The mix of blocks and the length
#: of the text differ from document to document without being better or worse; seconds depend on the machine.
DECIDING: Final[Mapping[str, bool]] = {
    "layer_match": True,
    "gap_share": False,
    "odd_word_share": False,
    "repeated_share": False,
    "repetition_share": False,
    "truncated_share": False,
    "empty_ink_share": False,
}
#: Distances between bands that a cut must save.
WORTH: Final = 3
_ROUNDS: Final = 12
#: Digits of a cut; signals have as many.
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Judged:
    """One document with its signals and its true band."""

    name: str
    group: str
    signals: Mapping[str, float | None]
    band: Band


def true_band(scores: DocumentScores, scale: Scale) -> Band | None:
    """Return the band that the scores give; ``None`` where the truth has nothing that counts."""
    if any(page.catastrophe is not None for page in scores.pages):
        return Band.POOR
    counted = [scores.scores[family].value for family in scores.scores if family.value in scale.families]
    known = [value for value in counted if value is not None]
    if not known:
        return None
    if min(known) >= scale.excellent:
        return Band.EXCELLENT
    return Band.ACCEPTABLE if min(known) >= scale.acceptable else Band.POOR


def find_cuts(documents: Sequence[Judged], deciding: Mapping[str, bool] = DECIDING) -> dict[str, Cut]:
    """Return the cuts that fit the documents; the same for the same documents, in whatever order."""
    ordered = sorted(documents, key=lambda document: document.name)
    target = np.array([document.band.rank for document in ordered], dtype=np.int64)
    values = {name: _goodness(ordered, name, high_is_good=high) for name, high in deciding.items()}
    # Bounds of goodness below which a document is not excellent, and poor; minus infinity for no cut.
    bounds = {name: [-np.inf, -np.inf] for name in deciding}
    for _ in range(_ROUNDS):
        before = {name: list(pair) for name, pair in bounds.items()}
        for name in deciding:
            rest = _worst([_ranks(values[other], *bounds[other]) for other in deciding if other != name], len(target))
            bounds[name] = _best_pair(values[name], rest, target)
        if bounds == before:
            break
    return {name: _cut(deciding[name], *pair) for name, pair in bounds.items() if max(pair) > -np.inf}


def _goodness(documents: Sequence[Judged], name: str, *, high_is_good: bool) -> NDArray[np.float64]:
    """A signal with the best value highest; infinite where a document does not have it."""
    sign = 1.0 if high_is_good else -1.0
    found = [document.signals.get(name) for document in documents]
    return np.array([np.inf if value is None else sign * value for value in found])


def _best_pair(values: NDArray[np.float64], rest: Ranks, target: Ranks) -> list[float]:
    """The two bounds of a signal, the others as they are; none of them unless it is worth it."""
    known = np.unique(values[np.isfinite(values)])
    places = [-np.inf, *((known[1:] + known[:-1]) / 2).tolist()]
    none = _loss(rest, target)
    pairs = [(poor, excellent) for n, poor in enumerate(places) for excellent in places[n:]]
    found = [
        (_loss(np.maximum(rest, _ranks(values, excellent, poor)), target), poor, excellent) for poor, excellent in pairs
    ]
    # Of equals the most lenient: what was not seen in calibration is not called bad.
    loss, poor, excellent = min(found)
    if none - loss < WORTH:
        return [-np.inf, -np.inf]
    # Each bound by itself must be worth it, too.
    for pair in ([excellent, -np.inf], [poor, poor]):
        if max(pair) > -np.inf and _loss(np.maximum(rest, _ranks(values, *pair)), target) - loss < WORTH:
            return pair
    return [excellent, poor]


def _ranks(values: NDArray[np.float64], excellent: float, acceptable: float) -> Ranks:
    return (values < excellent).astype(np.int64) + (values < acceptable)


def _worst(ranks: Sequence[Ranks], size: int) -> Ranks:
    return np.maximum.reduce(ranks) if ranks else np.zeros(size, dtype=np.int64)


def _loss(ranks: Ranks, target: Ranks) -> int:
    return int(np.abs(ranks - target).sum())


def _cut(high_is_good: bool, excellent: float, acceptable: float) -> Cut:  # noqa: FBT001 - as the mapping has it
    sign = 1.0 if high_is_good else -1.0
    bounds = [None if bound == -np.inf else round(sign * bound, _DIGITS) for bound in (excellent, acceptable)]
    return Cut(high_is_good, *bounds)


def disagreement(documents: Sequence[Judged], bands: Sequence[Band]) -> Share:
    """Return how many documents have another band than their scores, with :func:`bounds`."""
    apart = [abs(document.band.rank - band.rank) for document, band in zip(documents, bands, strict=True)]
    wrong = sum(distance > 0 for distance in apart)
    return Share(len(documents), wrong, sum(distance > 1 for distance in apart), *bounds(wrong, len(documents)))


def bounds(wrong: int, documents: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided bounds of a share (Clopper and Pearson, Biometrika 26 (1934)).

    They hold the true share in ``level`` of all samples, or in more.
    """
    from scipy.stats import beta  # of the extra "quality"; bands need it only when they are calibrated

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, wrong, documents - wrong + 1)) if wrong else 0.0
    high = float(beta.ppf(1 - tail, wrong + 1, documents - wrong)) if wrong < documents else 1.0
    return round(low, _DIGITS), round(high, _DIGITS)


def left_out(documents: Sequence[Judged]) -> list[Band]:
    """Return the band of each document by cuts that never saw its group: an honest guess at other documents."""
    found: dict[str, Band] = {}
    for group in sorted({document.group for document in documents}):
        cuts = find_cuts([document for document in documents if document.group != group])
        thresholds = Thresholds(Source("", "", "", stand_in=True, date=""), Scale(), cuts)
        found |= {
            document.name: thresholds.band(document.signals)[0] for document in documents if document.group == group
        }
    return [found[document.name] for document in documents]
