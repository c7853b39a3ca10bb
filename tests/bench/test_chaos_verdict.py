"""The verdict on a chaos run sees every kind of loss and repetition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.chaos.broker import Place
from bench.chaos.findings import Batch, Findings, Letter
from bench.chaos.verdict import Expected, Verdict, judge

A, B, C = ("s3://documents/a", "1"), ("s3://documents/b", "1"), ("s3://documents/copy", "1")
SHA_A, SHA_B = "a" * 64, "b" * 64
FOUL: Place = ("requests", 0, 7, None)
KILL = 50.0

EXPECTED = Expected((A, B, C, A), {SHA_A: 0, SHA_B: 1}, {FOUL: "not-json"}, kills=1)
#: Everything in order: the page of A was in flight when something was killed.
SOUND = Findings(
    batches=(
        Batch("one", (A, B), ((0, A[0], "parsed"), (1, B[0], "parsed"))),
        Batch("two", (C, A), ((0, C[0], "parsed"), (1, A[0], "parsed"))),
    ),
    letters=(Letter("x", "not-json", FOUL), Letter("x", "not-json", FOUL)),
    lag=0,
    asked={0: [40.0, 60.0], 1: [10.0]},
    kept={SHA_A: [61.0], SHA_B: [11.0]},
    committed={SHA_A: [62.0], SHA_B: [12.0]},
    results=(f"parsed/{SHA_A}/result.json", f"parsed/{SHA_B}/result.json"),
    told={("one", 0): {"1"}, ("one", 1): {"2"}, ("two", 0): {"3"}, ("two", 1): {"4"}},
)


def judged(found: Findings, kills: tuple[float, ...] = (KILL,)) -> Verdict:
    return judge(EXPECTED, found, kills)


def test_what_is_in_order_is_found_in_order() -> None:
    """A page asked about again after a kill that found it in flight is no fault, nor is a letter sent twice."""
    verdict = judged(SOUND)
    assert verdict.broken == {}
    assert verdict.figures["in_flight_again"] == 1
    assert verdict.figures["letters_repeated"] == 1
    assert (verdict.figures["announced"], verdict.figures["distinct"], verdict.figures["parsed"]) == (4, 2, 4)


def test_what_the_client_gave_up_may_be_asked_again() -> None:
    """As often as the server has seen a client hang up, and before the page is kept; no more."""
    impatient = replace(SOUND, asked={**SOUND.asked, 0: [55.0, 60.0]}, hung_up=1)
    assert judged(impatient).broken == {}
    assert judged(impatient).figures["retried"] == 1
    assert "asked about again" in judged(replace(impatient, hung_up=0)).broken
    assert "asked about again" in judged(replace(impatient, asked={**SOUND.asked, 1: [10.0, 12.0]})).broken


def without_a_row(found: Findings) -> Findings:
    return replace(found, batches=(replace(found.batches[0], rows=((0, A[0], "parsed"),)), found.batches[1]))


def without_a_table(found: Findings) -> Findings:
    return replace(found, batches=(replace(found.batches[0], rows=None), found.batches[1]))


DAMAGES: list[tuple[str, Callable[[Findings], Findings], str]] = [
    ("missing", without_a_row, "announced and without a row"),
    ("missing", without_a_table, "announced and without a row"),
    ("missing", lambda found: replace(found, batches=found.batches[1:]), "announced and in no batch"),
    ("", lambda found: replace(found, batches=(*found.batches, replace(found.batches[0], key="three"))), "more rows"),
    ("committed_twice", lambda found: replace(found, committed={**found.committed, SHA_A: [62.0, 70.0]}), "committed"),
    ("", lambda found: replace(found, results=found.results[:1]), "no result in the store"),
    ("", lambda found: replace(found, results=(*found.results, f"parsed/x/{SHA_A}/result.json")), "several keys"),
    ("", lambda found: replace(found, results=(*found.results, "parsed/strange/result.json")), "nobody announced"),
    # After it was kept, and although nothing was killed in between.
    ("requested_again", lambda found: replace(found, asked={**found.asked, 1: [10.0, 60.0]}), "asked about again"),
    ("requested_again", lambda found: replace(found, asked={**found.asked, 0: [55.0, 60.0]}), "asked about again"),
    ("", lambda found: replace(found, asked={0: found.asked[0]}), "never asked about"),
    ("", lambda found: replace(found, letters=()), "poison without a dead letter"),
    ("", lambda found: replace(found, letters=(*found.letters, Letter("y", "not-json", FOUL))), "other ids"),
    ("", lambda found: replace(found, letters=(Letter("x", "empty", FOUL),)), "another reason"),
    ("", lambda found: replace(found, letters=(*found.letters, Letter("z", "empty", ("r", 0, 1, None)))), "good mess"),
    ("lag", lambda found: replace(found, lag=3), "the lag is not 0"),
    ("", lambda found: replace(found, told={}), "results that were not told"),
    ("", lambda found: replace(found, told={**found.told, ("one", 0): {"1", "9"}}), "several ids"),
    ("", lambda found: replace(found, strays=("elsewhere/x",)), "outside of the store's prefix"),
]


@pytest.mark.parametrize(("figure", "damage", "named"), DAMAGES)
def test_every_damage_is_named(figure: str, damage: Callable[[Findings], Findings], named: str) -> None:
    """Whatever is lost, repeated or out of place breaks an invariant by name, and its figure is not 0."""
    verdict = judged(damage(SOUND))
    assert any(named in what for what in verdict.broken), verdict.broken
    assert not figure or verdict.figures[figure] > 0


def test_a_document_that_did_not_end_well_is_no_success() -> None:
    """All that is announced can be parsed; a row that says otherwise is a fault."""
    first = replace(SOUND.batches[0], rows=((0, A[0], "parsed"), (1, B[0], "failed")))
    verdict = judged(replace(SOUND, batches=(first, SOUND.batches[1])))
    assert verdict.figures["failed"] == 1
    assert "documents did not end as parsed" in verdict.broken


def test_a_kill_that_was_not_done_is_not_counted() -> None:
    """A run in which less was killed than asked for proves less than it says."""
    assert "kills were not done" in judged(replace(SOUND, asked={0: [60.0], 1: [10.0]}), kills=()).broken
