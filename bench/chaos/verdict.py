"""Holds what was found against what was announced: a pure function, so that its eyes can be tested."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.chaos.broker import Place
from bench.chaos.findings import Findings
from bench.chaos.plan import State

_EXAMPLES = 5
_STATES = ("parsed", "degraded", "rejected", "failed")


@dataclass(frozen=True, slots=True)
class Expected:
    """What was announced: states of objects, numbers of documents by sha256, and what must be refused."""

    entries: tuple[State, ...]
    numbers: Mapping[str, int]
    poison: Mapping[Place, str]
    kills: int


@dataclass(slots=True)
class Verdict:
    """The figures, and each invariant that is broken with examples."""

    figures: dict[str, int] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)

    def must_be_empty(self, what: str, found: Iterable[object]) -> int:
        """Note what breaks an invariant; returns how many there are."""
        listed = list(found)
        if listed:
            self.broken[what] = [str(each) for each in listed[:_EXAMPLES]]
        return len(listed)


def judge(expected: Expected, found: Findings, kills: Sequence[float]) -> Verdict:
    """Return the verdict; ``kills`` are the times of all kills, in order."""
    verdict = Verdict()
    states = Counter(state for batch in found.batches for _, _, state in batch.rows or ())
    verdict.figures |= {
        "announced": len(expected.entries),
        "distinct": len(expected.numbers),
        **{state: states[state] for state in _STATES},
        "missing": _missing(expected, found, verdict),
        "committed_twice": _committed(expected, found, verdict),
        "requested_again": _requested_again(expected, found, kills, verdict),
        "poison": len(expected.poison),
        "dead_lettered": _letters(expected, found, verdict),
        "lag": found.lag,
        "kills": len(kills),
        "in_flight_again": sum(len(times) > 1 for times in found.asked.values()),
        "letters_repeated": len(found.letters) - len({each.id for each in found.letters}),
        "batches": len(found.batches),
    }
    verdict.must_be_empty("documents did not end as parsed", [s for s in states.elements() if s != "parsed"])
    entries = {(batch.key, number) for batch in found.batches for number, _, _ in batch.rows or ()}
    verdict.must_be_empty("results that were not told", entries - found.told.keys())
    verdict.must_be_empty("results told under several ids", [at for at, ids in found.told.items() if len(ids) > 1])
    verdict.must_be_empty("written outside of the store's prefix", found.strays)
    verdict.must_be_empty("the lag is not 0", [found.lag] * (found.lag != 0))
    verdict.must_be_empty("kills were not done", range(expected.kills - len(kills)))
    return verdict


def _missing(expected: Expected, found: Findings, verdict: Verdict) -> int:
    """Entries that are not in exactly one row: announced and in no batch, in several, or without their row."""
    fixed = Counter(entry for batch in found.batches for entry in batch.entries)
    rows: Counter[State] = Counter()
    for batch in found.batches:
        said = sorted((entry, uri) for entry, uri, _ in batch.rows or ())
        if said == [(number, uri) for number, (uri, _) in enumerate(batch.entries)]:
            rows.update(batch.entries)
        else:
            verdict.must_be_empty(f"rows and manifest differ in batch {batch.key}", [f"{len(said)} rows"])
    wanted = Counter(expected.entries)
    verdict.must_be_empty("announced and in no batch", (wanted - fixed).elements())
    verdict.must_be_empty("in batches and not announced, or more often", (fixed - wanted).elements())
    verdict.must_be_empty("more rows than announcements", (rows - wanted).elements())
    return verdict.must_be_empty("announced and without a row", (wanted - rows).elements())


def _committed(expected: Expected, found: Findings, verdict: Verdict) -> int:
    """Documents whose result was written more than once; each must have been written, and be there, once."""
    there = Counter(part for key in found.results for part in key.split("/") if part in expected.numbers)
    verdict.must_be_empty("no result in the store", [sha for sha in expected.numbers if not there[sha]])
    verdict.must_be_empty("results under several keys", [sha for sha, count in there.items() if count > 1])
    strangers = len(found.results) - sum(there.values())
    verdict.must_be_empty("results of documents that nobody announced", range(strangers))
    unseen = [sha for sha in expected.numbers if not found.committed.get(sha)]
    verdict.must_be_empty("the S3 server knows of no commit", unseen)
    return verdict.must_be_empty(
        "committed twice", [sha for sha, times in found.committed.items() if len(times) > 1 and sha in expected.numbers]
    )


def _requested_again(expected: Expected, found: Findings, kills: Sequence[float], verdict: Verdict) -> int:
    """Documents that the model was asked about again although their page was kept, or for no reason.

    Asked again may be what was in flight when something was killed: asked about before, and not kept by then. So may
    be what the client gave up for want of an answer: the server has seen it hang up.
    """
    again, retried = [], []
    for sha, number in expected.numbers.items():
        times = found.asked.get(number, [])
        kept = min([*found.kept.get(sha, []), *found.committed.get(sha, [])], default=float("inf"))
        what = f"page {number}, asked at {times}, kept at {kept}"
        if times and times[-1] > kept:
            again.append(what)
        elif any(bisect_left(kills, later) == bisect_left(kills, earlier) for earlier, later in pairwise(times)):
            retried.append(what)
    verdict.figures["retried"] = len(retried)
    unasked = [number for number in expected.numbers.values() if number not in found.asked]
    verdict.must_be_empty("the model was never asked about", unasked)
    return verdict.must_be_empty("asked about again", again + retried[found.hung_up :])


def _letters(expected: Expected, found: Findings, verdict: Verdict) -> int:
    """Messages that must be refused and have their letter, with the right reason and one id."""
    ids: dict[Place, set[str]] = {}
    reasons: dict[Place, set[str]] = {}
    for each in found.letters:
        ids.setdefault(each.place, set()).add(each.id)
        reasons.setdefault(each.place, set()).add(each.reason)
    verdict.must_be_empty("poison without a dead letter", [place for place in expected.poison if place not in ids])
    verdict.must_be_empty("dead letters of good messages", [place for place in ids if place not in expected.poison])
    verdict.must_be_empty("repeated letters with other ids", [place for place, found in ids.items() if len(found) > 1])
    wrong = [
        f"{place}: {reasons[place]}, not {reason}"
        for place, reason in expected.poison.items()
        if place in reasons and reasons[place] != {reason}
    ]
    verdict.must_be_empty("another reason", wrong)
    return sum(place in ids for place in expected.poison)
