"""Which batches are parsed again: those with failed documents whose pause is over, and those of another revision.

A batch is parsed again as the same batch: its table is written anew, so that each manifest entry keeps exactly one row,
and what is committed under the present revision already makes no request to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mineru_pipeline.documents.refs import INVALID, ORIGIN_FOLDER, utc_moment
from mineru_pipeline.parsing.backoff import Patience, is_over, retry_at
from mineru_pipeline.parsing.release import Note

#: Why a batch is parsed again.
FAILED, STALE = "failed", "stale"
#: Another attempt reads the same reference, so it cannot end otherwise.
HOPELESS = frozenset({"source-changed", INVALID})
#: Batches whose runs one evaluation looks at: the oldest, and as many of the rest by turns.
LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Need:
    """A batch that is to be parsed again, and why."""

    batch: str
    why: str
    #: Whether it has a table of some revision.
    tabled: bool = True


def next_try(note: Note, patience: Patience) -> float | None:
    """When a document in the quarantine may be tried again, in seconds since 1970; None: it waits for somebody."""
    # Documents that were named to the command are repeated by whoever gave it.
    if note.origin == ORIGIN_FOLDER or note.reason in HOPELESS:
        return None
    return retry_at(note.attempts, utc_moment(note.at).timestamp(), patience)


def due_times(notes: Iterable[Note], patience: Patience) -> dict[str, float]:
    """Return for each batch with documents that are still to be tried when the last of them has waited long enough."""
    due: dict[str, float] = {}
    for note in notes:
        at = next_try(note, patience)
        if at is not None:
            due[note.batch] = max(at, due.get(note.batch, at))
    return due


def needs(
    known: Collection[str], parsed: Collection[str], current: Collection[str], due: Mapping[str, float], now: float
) -> list[Need]:
    """Return what is to be parsed again, the oldest batch first, each once.

    Args:
        known: all batches.
        parsed: batches that have a table of some revision.
        current: batches that have a table of the present revision. After a return to an earlier revision its tables
            are there already, and nothing is stale.
        due: as :func:`due_times` gives it.
        now: seconds since 1970.
    """
    why = dict.fromkeys(set(parsed) - set(current), STALE)
    why |= {batch: FAILED for batch, at in due.items() if is_over(at, now) and batch in known and batch not in why}
    return [Need(batch, why[batch], batch in parsed) for batch in sorted(why)]


def select(found: Sequence[Need], may_start: Callable[[Need], bool], most: int, turn: int) -> list[Need]:
    """Return the ``most`` oldest that may start, looking at a bounded number of them.

    What may not start, because it has failed too often or waits, must not keep younger ones from their turn for ever:
    the second half of what is looked at moves on with ``turn``, the number of the evaluation.
    """
    chosen: list[Need] = []
    for need in _in_turn(found, turn):
        if len(chosen) >= most:
            break
        if may_start(need):
            chosen.append(need)
    return chosen


def _in_turn(found: Sequence[Need], turn: int) -> Iterator[Need]:
    half = LOOKED_AT // 2
    yield from found[:half]
    rest = found[half:]
    start = turn * half % max(len(rest), 1)
    yield from rest[start : start + half]
