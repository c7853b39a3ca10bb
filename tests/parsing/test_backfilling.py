"""Batches are parsed again for a reason, the oldest first, and few at a time."""

from __future__ import annotations

from dataclasses import replace

from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.parsing import backoff
from mineru_pipeline.parsing.backfilling import FAILED, LOOKED_AT, STALE, Need, due_times, needs, next_try, select
from mineru_pipeline.parsing.release import Note

AT = "2026-01-02T00:00:00Z"
THEN = utc_moment(AT).timestamp()
PATIENCE = backoff.documents(3)
NOTE = Note("i" * 12, "s3://bucket/a.pdf", None, "default", "b1", "kafka", "internal", "boom", AT, AT)


def test_a_document_is_tried_again_after_its_pause_and_not_for_ever() -> None:
    """The pause grows with the failures the note counts, and after the last it waits for somebody."""
    assert next_try(NOTE, PATIENCE) == THEN + PATIENCE.first_pause
    assert next_try(replace(NOTE, attempts=2), PATIENCE) == THEN + 2 * PATIENCE.first_pause
    assert next_try(replace(NOTE, attempts=3), PATIENCE) is None


def test_what_cannot_end_otherwise_is_not_tried_again() -> None:
    """The announced state of an object that was replaced can be had no more, and a reference stays invalid."""
    assert next_try(replace(NOTE, reason="source-changed"), PATIENCE) is None
    assert next_try(replace(NOTE, reason="reference-invalid"), PATIENCE) is None


def test_what_came_from_folders_is_the_commands() -> None:
    """Whoever gave the command gives it again; the daemon may not even see the folder."""
    assert next_try(replace(NOTE, origin="folder"), PATIENCE) is None


def test_a_batch_is_due_when_all_its_documents_have_waited() -> None:
    """One run for all of them; those whose retries are spent do not hold it up."""
    later = replace(NOTE, identity="j" * 12, attempts=2)
    spent = replace(NOTE, identity="k" * 12, attempts=3)
    assert due_times([NOTE, later, spent], PATIENCE) == {"b1": THEN + 2 * PATIENCE.first_pause}
    assert due_times([spent], PATIENCE) == {}


def test_reasons_are_a_stale_table_or_documents_that_are_due() -> None:
    """Each batch once, the oldest first, and whether it was ever parsed; not one that Dagster does not know."""
    parsed, due = {"b1", "b2", "b3", "b4"}, {"b1": 10.0, "b2": 10.0, "b3": 99.0, "b5": 10.0, "b9": 10.0}
    found = needs({*parsed, "b5"}, parsed, {"b1", "b3", "b4"}, due, 50.0)
    assert found == [Need("b1", FAILED), Need("b2", STALE), Need("b5", FAILED, tabled=False)]


def test_so_many_of_the_oldest_are_chosen() -> None:
    """What may not start is passed over."""
    found = [Need(f"b{number}", STALE) for number in range(5)]
    assert select(found, lambda need: need.batch != "b0", 2, turn=0) == found[1:3]
    assert select(found, lambda _: True, 0, turn=0) == []


def test_stuck_batches_do_not_starve_the_others() -> None:
    """With more of them than one evaluation looks at, the others have their turn in a later one."""
    found = [Need(f"b{number:04}", STALE) for number in range(5 * LOOKED_AT)]
    looked: list[str] = []

    def may_start(need: Need) -> bool:
        looked.append(need.batch)
        return need == found[-1]

    chosen = [need for turn in range(10) for need in select(found, may_start, 1, turn)]
    assert found[-1] in chosen
    assert len(looked) <= 10 * LOOKED_AT
