"""A batch on a server with faults: nothing is lost, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest

from bench.fault_batch import Run, compare, write_pdfs
from bench.faults import Case, Result, Trial, judge
from mineru_pipeline.devserver.process import ServerOptions

QUICK = {"http_client__backoff_min_seconds": 0, "http_client__backoff_max_seconds": 0.1}
LATER = [5, None]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "pdfs").mkdir()
    return Trial(write_pdfs(folder / "pdfs", 8), folder, ServerOptions(simulate=True, simulate_latency=0.02))


@pytest.fixture(scope="module")
def undisturbed(trial: Trial) -> Run:
    return trial.undisturbed("undisturbed")


def case(fault: str, match: dict[str, Any], *, stops: bool = False, **parameters: Any) -> Case:
    return Case(fault, {"fault": fault, "match": match, **parameters}, stops=stops, settings=QUICK)


def outcome(trial: Trial, undisturbed: Run, case: Case) -> Result:
    return judge(case, undisturbed, undisturbed.seconds, *trial.disturbed(case))


def test_an_undisturbed_batch_is_parsed_in_full(undisturbed: Run) -> None:
    """Without faults nothing is degraded, and no two blocks of the batch have the same answer by accident."""
    assert undisturbed.states == {"parsed": 8}
    assert not undisturbed.degraded
    answers = [content for content in undisturbed.contents.values() if content]
    assert len(set(answers)) > 0.9 * len(answers) > 50


def test_a_restart_in_the_middle_degrades_nothing(trial: Trial, undisturbed: Run) -> None:
    """What was in flight is asked again once the server is back, and every answer is that of an undisturbed run."""
    found = outcome(trial, undisturbed, case("restart", {"requests": [40, None], "times": 1}, seconds=1.0))
    assert found.states == {"parsed": 8}
    assert (found.damage.touched > 0, found.damage.wrong, found.damage.degraded_untouched) == (True, 0, 0)


def test_errors_that_pass_degrade_nothing(trial: Trial, undisturbed: Run) -> None:
    """One request in twenty fails, its retry gets through, and nobody can tell from the outputs."""
    found = outcome(trial, undisturbed, case("error-500", {"requests": LATER, "share": 0.05}))
    assert found.states == {"parsed": 8}
    assert (found.damage.touched > 0, found.damage.wrong) == (True, 0)


@pytest.mark.parametrize(
    ("fault", "kind", "cause"),
    [("loop", "text", "repetitive"), ("empty-layout", "layout", "empty-layout")],
)
def test_contents_that_always_fail_are_degraded_alone(
    trial: Trial, undisturbed: Run, fault: str, kind: str, cause: str
) -> None:
    """Blocks whose answers are of no use are degraded under their cause, and all others are as they should be."""
    match = {"requests": LATER, "kind": kind, "content_share": 0.3}
    found = outcome(trial, undisturbed, case(fault, match))
    assert found.states["degraded"] > 0
    assert sum(found.states.values()) == 8
    assert set(found.damage.causes) == {cause}
    damage = found.damage
    assert (damage.degraded_untouched, damage.wrong, damage.missing, damage.unfinished) == (0, 0, 0, 0)


def test_a_run_that_must_stop_is_resumed_where_it_was(trial: Trial, undisturbed: Run) -> None:
    """A server that refuses our key ends the run in words, and another run finishes the batch with what was missing."""
    found = outcome(trial, undisturbed, case("unauthorized", {"requests": [60, None]}, stops=True))
    assert "vllm_server.api_key" in found.stopped
    assert found.states == {"parsed": 8}
    assert found.resumed_requests is not None
    assert found.resumed_requests < undisturbed.requests
    assert found.damage.wrong == 0


def test_a_wrong_answer_would_be_noticed(undisturbed: Run) -> None:
    """The comparison finds an answer that differs, and a degraded block that no fault struck."""
    place = next(place for place, content in undisturbed.contents.items() if content)
    other = {**undisturbed.contents, place: "something else"}
    changed = Run(1.0, 1, "", undisturbed.rows, other, {}, ())
    assert (compare(undisturbed, changed).wrong, compare(undisturbed, changed).degraded_untouched) == (1, 0)
    degraded = Run(1.0, 1, "", undisturbed.rows, undisturbed.contents, {place: "timeout"}, ())
    assert (compare(undisturbed, degraded).wrong, compare(undisturbed, degraded).degraded_untouched) == (0, 1)
    fewer = {other: content for other, content in undisturbed.contents.items() if other != place}
    assert compare(undisturbed, Run(1.0, 1, "", undisturbed.rows[1:], fewer, {}, ())).missing == 1
    assert compare(undisturbed, Run(1.0, 1, "", undisturbed.rows[1:], fewer, {}, ())).unfinished == 1
