"""Bands are monotone, calibrated cuts find what there is to find, and their bounds are those of the literature."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.bands import Band, Cut, Scale, Share, Source, Thresholds, shipped
from mineru_pipeline.quality.calibration import Judged, bounds, disagreement, find_cuts, left_out, true_band
from mineru_pipeline.quality.scores.model import DocumentScores, Family, PageScore, Score

SOURCE = Source("v1", "abc", "model", stand_in=False, date="2026-01-01")
CUTS = {"match": Cut(high_is_good=True, excellent=0.9, acceptable=0.6), "gaps": Cut(False, None, 0.2)}
THRESHOLDS = Thresholds(SOURCE, Scale(), CUTS, {"as read": Share(10, 1, 0, 0.002, 0.445)})


def scores(text: float | None, catastrophe: str | None = None, **others: float) -> DocumentScores:
    values = {family: Score(others.get(family.value)) for family in Family} | {Family.TEXT: Score(text)}
    return DocumentScores("d", "s", ("en",), values, (PageScore(0, values, catastrophe),), ())


def documents(noise: float = 0.0) -> list[Judged]:
    """Documents whose band follows from one signal; another one means nothing."""
    dice, found = Random(1), []
    for number in range(150):
        match = dice.random()
        band = Band.EXCELLENT if match > 0.7 else Band.ACCEPTABLE if match > 0.4 else Band.POOR
        seen = {"match": match + dice.gauss(0, noise), "other": dice.random()}
        found.append(Judged(f"d{number}", f"g{number % 5}", seen, band))
    return found


def test_the_worst_signal_decides_and_is_named() -> None:
    """A document is as good as its worst signal says; a signal that it lacks says nothing."""
    assert THRESHOLDS.band({"match": 0.95, "gaps": 0.0}) == (Band.EXCELLENT, "")
    assert THRESHOLDS.band({"match": 0.7, "gaps": 0.0}) == (Band.ACCEPTABLE, "match")
    assert THRESHOLDS.band({"match": 0.7, "gaps": 0.3}) == (Band.POOR, "gaps")
    assert THRESHOLDS.band({"match": None}) == (Band.EXCELLENT, "")


def test_a_value_at_a_cut_has_the_better_band() -> None:
    """The cut itself is still good enough, whichever way the signal points."""
    assert CUTS["match"].band(0.9) is Band.EXCELLENT
    assert CUTS["gaps"].band(0.2) is Band.EXCELLENT


def test_thresholds_survive_their_file() -> None:
    """What is written is what is read, byte by byte the second time."""
    text = THRESHOLDS.to_json()
    assert Thresholds.from_json(text) == THRESHOLDS
    assert Thresholds.from_json(text).to_json() == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "cuts": 3}'])
def test_a_damaged_file_is_an_error_of_ours(text: str) -> None:
    """No traceback of a parser reaches the user."""
    with pytest.raises(GateInputError):
        Thresholds.from_json(text)


def test_shipped_thresholds_say_what_they_were_calibrated_on() -> None:
    """Whoever reads a band can find out which corpus, parser, server and day stand behind it."""
    source = shipped().source
    assert all((source.corpus_version, source.parser_revision, source.model, source.date))
    assert source.stand_in == source.model.startswith("mineru-pipeline/")


def test_the_lowest_score_gives_the_true_band() -> None:
    """Text, digits and order count; a catastrophic page makes a document poor; no score, no band."""
    scale = Scale()
    assert true_band(scores(0.97, digits=0.99), scale) is Band.EXCELLENT
    assert true_band(scores(0.97, digits=0.85), scale) is Band.ACCEPTABLE
    assert true_band(scores(0.97, order=0.5), scale) is Band.POOR
    assert true_band(scores(0.97, tables=0.1), scale) is Band.EXCELLENT
    assert true_band(scores(0.97, catastrophe="loop"), scale) is Band.POOR
    assert true_band(scores(None), scale) is None


def test_cuts_are_found_where_they_are() -> None:
    """Of a signal that decides alone both cuts are found, to within the gaps between documents."""
    cuts = find_cuts(documents(), {"match": True, "other": True})
    assert set(cuts) == {"match"}
    assert cuts["match"].excellent == pytest.approx(0.7, abs=0.02)
    assert cuts["match"].acceptable == pytest.approx(0.4, abs=0.02)


def test_a_signal_where_low_is_good_is_cut_the_other_way_round() -> None:
    """The direction is the signal's, not the method's."""
    turned = [replace(each, signals={"gaps": 1 - (each.signals["match"] or 0)}) for each in documents()]
    cut = find_cuts(turned, {"gaps": False})["gaps"]
    assert cut.excellent == pytest.approx(0.3, abs=0.02)
    assert cut.acceptable == pytest.approx(0.6, abs=0.02)


def test_calibration_does_not_depend_on_the_order_of_documents() -> None:
    """The same documents give the same cuts."""
    shuffled = documents(0.1)
    Random(2).shuffle(shuffled)
    assert find_cuts(shuffled, {"match": True}) == find_cuts(documents(0.1), {"match": True})


def test_groups_that_were_left_out_are_judged_by_the_others() -> None:
    """With one cut for all groups, cuts from the others are about as good."""
    found = documents()
    renamed = [replace(each, signals={"layer_match": each.signals["match"]}) for each in found]
    assert disagreement(renamed, left_out(renamed)).share < 0.1


def test_bounds_are_exact() -> None:
    """Clopper and Pearson's own kind of figures: nothing of ten, five of ten, all of ten."""
    assert bounds(0, 10) == (0.0, 0.3085)
    assert bounds(5, 10) == (0.1871, 0.8129)
    assert bounds(10, 10) == (0.6915, 1.0)


def test_bounds_hold_as_often_as_they_say() -> None:
    """Of many samples with a known share, at most one in twenty has it outside of its bounds."""
    dice, outside = Random(3), 0
    known = {wrong: bounds(wrong, 90) for wrong in range(91)}
    for _ in range(2000):
        low, high = known[sum(dice.random() < 0.25 for _ in range(90))]
        outside += not low <= 0.25 <= high
    assert outside <= 100


def test_distances_of_two_bands_are_counted_apart() -> None:
    """Excellent for poor is worse than acceptable for poor."""
    judged = [Judged(str(n), "g", {}, Band.POOR) for n in range(3)]
    share = disagreement(judged, [Band.POOR, Band.ACCEPTABLE, Band.EXCELLENT])
    assert (share.documents, share.wrong, share.far) == (3, 2, 1)
