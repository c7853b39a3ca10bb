"""Whether calibrated bands still hold: counted on a measurement of the corpus, where the scores are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mineru_pipeline.errors import ObjectNotFoundError, QualityError
from mineru_pipeline.quality.bands import Share, Thresholds
from mineru_pipeline.quality.calibration import DECIDING, Judged, bounds, disagreement, true_band
from mineru_pipeline.quality.measurements import Measurement
from mineru_pipeline.quality.scores.model import DocumentScores
from mineru_pipeline.storage import ObjectStore

#: The selection of the calibration that a measurement is compared with, and what to expect of other documents.
AS_READ: Final = "as read"
LEFT_OUT: Final = "as read, stratum left out"


@dataclass(frozen=True, slots=True)
class Holding:
    """How many documents of a measurement have another band than their scores, beside the calibration."""

    passed: bool
    #: One sentence for people.
    reason: str
    found: Share
    stated: Share


def judged_of(
    store: ObjectStore, measurement: Measurement, scores: Sequence[DocumentScores], thresholds: Thresholds
) -> list[Judged]:
    """Return the documents of a measurement that have signals and a true band; what was not parsed has neither.

    Raises:
        QualityError: an output is gone or damaged.
    """
    found = []
    for document, scored in zip(measurement.documents, scores, strict=True):
        band = true_band(scored, thresholds.scale)
        if not document.outputs or band is None:
            continue
        key = f"{document.outputs}result.json"
        try:
            signals = json.loads(store.get(key)).get("signals") or {}
        except (ObjectNotFoundError, ValueError, AttributeError) as error:
            raise QualityError(f"{store.uri(key)} is gone or damaged: {error}") from error
        if signals:
            known = {name: signals.get(name) for name in DECIDING}
            found.append(Judged(document.name, document.stratum, known, band))
    return found


def hold(documents: Sequence[Judged], thresholds: Thresholds) -> Holding:
    """Compare the share of wrong bands with that of the calibration.

    It has drifted if it is certainly higher: if its bounds lie above those that were stated. A server that reads
    better has fewer wrong bands, and nobody is to be troubled for it.
    """
    found = disagreement(documents, [thresholds.band(document.signals)[0] for document in documents])
    stated = thresholds.disagreement[AS_READ]
    if not documents:
        return Holding(passed=False, reason="no document of this measurement has signals", found=found, stated=stated)
    drifted = found.low > stated.high
    text = (
        f"{found.wrong} of {found.documents} documents ({found.share:.1%}, {found.low:.1%} to {found.high:.1%}) have "
        f"another band than their scores, {found.far} by two bands; {stated.share:.1%} ({stated.low:.1%} to "
        f"{stated.high:.1%}) at the calibration of {thresholds.source.date}"
    )
    if bounds(len(documents), len(documents))[0] <= stated.high:
        # A check that could not fail does not pass either.
        few = "; too few documents to tell: were all their bands wrong, it could be chance"
        return Holding(passed=False, reason=text + few, found=found, stated=stated)
    advice = "; calibrate anew: docs/quality.md tells how" if drifted else ""
    return Holding(passed=not drifted, reason=text + advice, found=found, stated=stated)


def foreign(measurement: Measurement, thresholds: Thresholds) -> str:
    """Return in what a measurement differs from what was calibrated on, for people; "" if in nothing."""
    source = thresholds.source
    pairs = (
        ("server", measurement.model.name, source.model, " (a stand-in)" if source.stand_in else ""),
        ("parser revision", measurement.parser_revision, source.parser_revision, ""),
        ("corpus", measurement.corpus, source.corpus_version, ""),
    )
    return "; ".join(
        f"{name} {here}, calibrated with {there}{note}" for name, here, there, note in pairs if here != there
    )
