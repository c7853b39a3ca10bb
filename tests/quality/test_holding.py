"""Bands hold as long as they are not certainly more often wrong than they were at their calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from measured import blank, measurement, store_corpus, truth

from mineru_pipeline.errors import QualityError
from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.bands import Band, Cut, Scale, Share, Source, Thresholds
from mineru_pipeline.quality.calibration import Judged
from mineru_pipeline.quality.holding import AS_READ, foreign, hold, judged_of
from mineru_pipeline.storage import FilesystemStore

SOURCE = Source("v9-0123456789ab", "0123456789ab", "example/model", stand_in=False, date="2026-01-01")
CUTS = {"layer_match": Cut(high_is_good=True, excellent=0.9, acceptable=0.6)}
THRESHOLDS = Thresholds(SOURCE, Scale(), CUTS, {AS_READ: Share(90, 22, 1, 0.16, 0.35)})


def documents(wrong: int, of: int = 90) -> list[Judged]:
    right = {"layer_match": 0.95}
    bands = [Band.ACCEPTABLE] * wrong + [Band.EXCELLENT] * (of - wrong)
    return [Judged(str(number), "g", right, band) for number, band in enumerate(bands)]


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (22, True), (31, True), (45, False), (90, False)])
def test_more_wrong_bands_than_bounds_allow_are_drift(wrong: int, passed: bool) -> None:
    """A share that is certainly higher does not pass; one that may be the same, or lower, does."""
    found = hold(documents(wrong), THRESHOLDS)
    assert found.passed is passed
    assert f"{wrong} of 90" in found.reason
    assert ("calibrate anew" in found.reason) is not passed


def test_a_small_sample_needs_more_to_be_certain() -> None:
    """Six of twelve may be chance, sixty of a hundred and twenty are not."""
    assert hold(documents(6, 12), THRESHOLDS).passed
    assert not hold(documents(60, 120), THRESHOLDS).passed


def test_without_signals_nothing_is_proven() -> None:
    """No document, no pass."""
    assert not hold([], THRESHOLDS).passed


@pytest.mark.parametrize(("of", "told"), [(3, True), (4, False)])
def test_where_nothing_could_fail_nothing_passes(of: int, told: bool) -> None:
    """So few documents that even wrong bands for all of them would prove nothing are too few to pass."""
    found = hold(documents(0, of), THRESHOLDS)
    assert ("too few" in found.reason, found.passed) == (told, not told)


def test_signals_and_scores_of_a_measurement_come_together(tmp_path: Path) -> None:
    """Each parsed document is judged by the signals that its result keeps; without them it is left out."""
    store = FilesystemStore(tmp_path)
    made = measurement(store, store_corpus(store, [truth(number) for number in range(3)]))
    scores = measurements.score(store, made)
    for number, document in enumerate(made.documents):
        signals = {"layer_match": 0.95, "text_share": 1.0} if number else {}
        store.put(f"{document.outputs}result.json", json.dumps({"signals": signals}).encode())
    judged = judged_of(store, made, scores, THRESHOLDS)
    assert [(each.name, each.band) for each in judged] == [("made-up-01", "excellent"), ("made-up-02", "excellent")]
    assert hold(judged, THRESHOLDS).found.wrong == 0


def test_a_blank_parse_with_good_signals_is_a_wrong_band(tmp_path: Path) -> None:
    """What the scores call poor and the signals excellent is counted, and as two bands apart."""
    store = FilesystemStore(tmp_path)
    made = measurement(store, store_corpus(store, [truth(1)]), parse=blank)
    (document,) = made.documents
    store.put(f"{document.outputs}result.json", json.dumps({"signals": {"layer_match": 1.0}}).encode())
    found = hold(judged_of(store, made, measurements.score(store, made), THRESHOLDS), THRESHOLDS).found
    assert (found.wrong, found.far) == (1, 1)


def test_a_result_that_is_gone_is_told(tmp_path: Path) -> None:
    """Nothing is left out in silence."""
    store = FilesystemStore(tmp_path)
    made = measurement(store, store_corpus(store, [truth(1)]))
    with pytest.raises(QualityError, match=r"result\.json is gone"):
        judged_of(store, made, measurements.score(store, made), THRESHOLDS)


def test_what_was_calibrated_with_something_else_is_said(tmp_path: Path) -> None:
    """Another server, revision or corpus stands beside the figure; the same ones do not."""
    store = FilesystemStore(tmp_path)
    made = measurement(store, store_corpus(store, [truth(1)]))
    assert foreign(made, THRESHOLDS) == ""
    other = replace(THRESHOLDS, source=replace(SOURCE, model="mineru-pipeline/dev", stand_in=True))
    assert foreign(made, other) == "server example/model, calibrated with mineru-pipeline/dev (a stand-in)"
