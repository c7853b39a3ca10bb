"""Claims about the detector of drift."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from bench.gate_trials import documents_to_warning, live, truncating
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates import ranks
from mineru_pipeline.quality.gates.drift import SIGNALS, Detector, Point, Side, bets_of, evidence
from mineru_pipeline.quality.gates.drift_state import DriftState, Track

SMALL = Detector((("agreement", Side.LOW), ("length", Side.BOTH)), every=100, reference=40, window=120)


def stream(seed: int, documents: int, shift: float = 0.0, start: int = 0) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Documents of which one in three has full agreement; from ``start`` on, agreement is lower by ``shift``."""
    rng = np.random.default_rng(seed)
    for number in range(documents):
        agreement = min(1.0, 0.97 + 0.05 * rng.normal()) - shift * (number >= start)
        yield f"{seed}-{number}", {"agreement": agreement, "length": rng.exponential(2_000)}


def warned(detector: Detector, seed: int, documents: int) -> int:
    """Documents after the reference until the warning; ``documents`` where there is none."""
    state, _ = detector.observe(detector.begin(), stream(seed, detector.reference + documents))
    return state.alarm.seen - detector.reference if state.alarm else documents


def test_false_alarms_are_as_rare_as_stated() -> None:
    """The detector itself, document by document: on average it takes ``every`` documents or more."""
    lengths = [warned(SMALL, seed, 500) for seed in range(60)]
    assert np.mean(lengths) - 2 * np.std(lengths) / math.sqrt(len(lengths)) >= SMALL.every


def test_false_alarms_are_rare_with_all_signals() -> None:
    """Nine correlated signals, two of them nearly always zero, and a window that slides many times."""
    detector = Detector(every=300, reference=100, window=200)
    first = documents_to_warning(detector, live(0.0), runs=150, horizon=2_000, changed=False)
    assert np.minimum(first, 2_000).mean() >= detector.every


def test_a_shift_is_noticed() -> None:
    """One signal of nine, lower by one deviation, takes some thirty documents at one false alarm in 10,000."""
    first = documents_to_warning(Detector(), live(1.0), runs=40, horizon=400, changed=True)
    assert np.median(first) <= 45
    assert (first <= 400).all()


def test_more_truncation_is_noticed() -> None:
    """A signal that is nearly always zero, too."""
    first = documents_to_warning(Detector(), truncating(0.3), runs=40, horizon=400, changed=True)
    assert np.median(first) <= 60


def test_the_warning_names_document_and_signal() -> None:
    """The first document at which the evidence was enough, and what moved."""
    state, points = SMALL.observe(SMALL.begin(), stream(3, 160, shift=0.3, start=100))
    assert state.alarm is not None
    assert state.alarm.leading == "agreement"
    assert 100 < state.alarm.seen <= 125
    assert points[state.alarm.seen - 1].evidence >= SMALL.every > points[state.alarm.seen - 2].evidence
    assert (len(points), points[0]) == (160, Point("3-0", 0.0, "agreement"))


def test_only_the_watched_side_warns() -> None:
    """Agreement that rises is no warning."""
    low = Detector((("agreement", Side.LOW),), every=100, reference=40, window=120)
    high = Detector((("agreement", Side.HIGH),), every=100, reference=40, window=120)
    assert low.observe(low.begin(), _only(stream(3, 100, shift=-0.3, start=60)))[0].alarm is None
    assert high.observe(high.begin(), _only(stream(3, 100, shift=-0.3, start=60)))[0].alarm is not None


def _only(documents: Iterator[tuple[str, Mapping[str, float]]]) -> Iterator[tuple[str, Mapping[str, float]]]:
    return ((name, {"agreement": values["agreement"]}) for name, values in documents)


def test_it_goes_on_between_ingests() -> None:
    """Three batches through JSON are one stream."""
    documents = list(stream(5, 150, shift=0.1, start=90))
    whole, points = SMALL.observe(SMALL.begin(), documents)
    state, found = SMALL.begin(), []
    for start in range(0, 150, 50):
        state, more = SMALL.observe(DriftState.from_json(state.to_json()), documents[start : start + 50])
        found += more
    assert (state, tuple(found)) == (whole, points)
    assert DriftState.from_json(whole.to_json()) == whole


def test_the_first_warning_stays_until_begun_anew() -> None:
    """Documents that are good again do not take it back."""
    state, _ = SMALL.observe(SMALL.begin(), stream(3, 160, shift=0.3, start=100))
    later, _ = SMALL.observe(state, stream(4, 100))
    assert later.alarm == state.alarm is not None
    assert SMALL.begin().alarm is None


def test_a_missing_signal_says_nothing() -> None:
    """A scan has no text layer: its agreement neither counts nor stands in the history."""
    state, _ = SMALL.observe(SMALL.begin(), stream(1, 60))
    after, _ = SMALL.observe(state, [("scan", {"agreement": None, "length": 2_000.0}), ("empty", {})])
    assert after.tracks["agreement"] == state.tracks["agreement"]
    assert len(after.tracks["length"].history) == 61
    assert after.seen == 62


def test_what_never_changes_never_warns() -> None:
    """Ties are broken by lot, so that a constant is not unusual."""
    constant = ((f"d{number}", {"agreement": 1.0, "length": 7.0}) for number in range(400))
    state, _ = Detector(SMALL.signals, every=1_000, reference=40, window=120).observe(
        Detector(SMALL.signals, every=1_000, reference=40, window=120).begin(), constant
    )
    assert state.alarm is None


def test_the_memory_is_bounded() -> None:
    """However many documents come, the window is what is kept."""
    state, _ = SMALL.observe(SMALL.begin(), stream(1, 300))
    assert {len(track.history) for track in state.tracks.values()} == {SMALL.window}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_signal_is_a_finite_number(value: float) -> None:
    """Otherwise its rank would be undefined."""
    with pytest.raises(GateInputError, match="d1: the signal length is"):
        SMALL.observe(SMALL.begin(), [("d1", {"length": value})])


def test_an_unknown_signal_is_refused() -> None:
    """A misspelt signal would never be watched."""
    with pytest.raises(GateInputError, match="no such signal of drift: lenght"):
        SMALL.observe(SMALL.begin(), [("d1", {"lenght": 1.0})])


def test_another_detector_does_not_go_on() -> None:
    """With other signals or another rate of false alarms the evidence so far means nothing."""
    with pytest.raises(GateInputError, match="begin anew"):
        Detector().observe(SMALL.begin(), [])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tracks": {"a": 1}, "alarm": null, "rules": {}, "seen": 0}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    """With an error that a person understands."""
    with pytest.raises(GateInputError, match="no state of a drift detector"):
        DriftState.from_json(text)


def test_a_state_that_lacks_a_signal_is_refused() -> None:
    """Another number of bets, or no track at all, is a damaged state and no error of numpy."""
    detector = Detector(signals=(("match", Side.LOW),))
    for tracks in ({}, {"match": Track((), (1.0, 2.0))}):
        with pytest.raises(GateInputError, match="damaged in match"):
            detector.observe(replace(detector.begin(), tracks=tracks), [])


def test_ranks_are_uniform_whatever_the_values() -> None:
    """With ties and without, the p-value is below t in a share t of the cases."""
    rng = np.random.default_rng(2)
    for values in (rng.exponential(size=(4_000, 31)), rng.integers(0, 3, (4_000, 31)).astype(float)):
        p_values = ranks.p_value(values[:, :-1], values[:, -1], rng.random(4_000))
        for level in (0.05, 0.2, 0.5, 0.9):
            assert (p_values <= level).mean() == pytest.approx(level, abs=0.025)


@pytest.mark.parametrize("side", Side)
def test_every_bet_pays_one_on_average(side: Side) -> None:
    """Over uniform p-values, so that nobody gains while nothing changes."""
    p_values = (np.arange(1_000_000) + 0.5) / 1_000_000
    gained = evidence(np.zeros((1_000_000, bets_of(side))), p_values, side).mean(axis=0)
    assert gained == pytest.approx(np.ones(bets_of(side)), abs=2e-3)


def test_the_simulation_is_the_detector() -> None:
    """Ranks, bets and sums over many runs at once give what the detector gives document by document."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(80, len(SIGNALS)))
    detector = Detector(reference=30, window=50)
    state, points = detector.observe(
        detector.begin(), [(f"d{at}", dict(zip(SIGNALS, row, strict=True))) for at, row in enumerate(values.tolist())]
    )
    wealth = [np.zeros((1, bets_of(side))) for side in SIGNALS.values()]
    for at in range(30, 80):
        before = values[None, max(0, at - 50) : at].transpose(0, 2, 1)
        # Without ties the lot moves a rank by less than one place; the same lots would give the same evidence.
        p_values = ranks.p_value(before, values[None, at], np.full((1, len(SIGNALS)), 0.5))
        wealth = [
            evidence(each, p_values[:, place], side)
            for place, (each, side) in enumerate(zip(wealth, SIGNALS.values(), strict=True))
        ]
    assert points[-1].evidence == pytest.approx(np.mean([each.mean() for each in wealth]), rel=0.6)
    assert state.seen == 80
