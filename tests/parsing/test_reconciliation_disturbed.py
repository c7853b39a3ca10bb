"""The comparison of listings with batches where something is damaged, strange or fails: the rest is compared."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compared_shelf import Shelf, counts, ref

from mineru_pipeline.parsing import verdicts
from mineru_pipeline.parsing.difference import KINDS, MISSING
from mineru_pipeline.parsing.holdings import Place
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS
from mineru_pipeline.parsing.reconciliation import Target
from mineru_pipeline.storage import ObjectStore, layout


def parquet(**columns: list[Any]) -> bytes:
    """A table of whatever columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_one_bucket_that_fails_keeps_no_other_from_being_compared(shelf: Shelf) -> None:
    """The others are compared, nothing of the one is called gone, and its failure is told."""
    shelf.put("a.pdf", bucket="down")
    shelf.put("b.pdf")
    shelf.batch("1", ref("x.pdf", uri="s3://down/x.pdf"), states=["parsed"])
    shelf.failing = {"down"}
    found = shelf.reconcile(Target(Place("down")), Target(Place("inbox")))
    assert found.failures == ["Cannot list s3://down/: it is down."]
    assert (found.places[1].counts.get(MISSING), found.counts["gone"]) == (1, 0)
    assert found.places[1].requested == 1


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda store, key: store.put(layout.manifest_key(key), b"{"), "missing"),
        (lambda store, key: store.put(layout.table_key(PARSED_DOCUMENTS, "r1", key), b"PAR1"), "unknown"),
        (lambda store, key: store.put(layout.manifest_key(key), b"[" * 100_000), "missing"),
        (lambda store, key: store.put(layout.table_key(PARSED_DOCUMENTS, "r1", key), parquet(a=[1])), "unknown"),
        (
            lambda store, key: store.put(
                layout.table_key(PARSED_DOCUMENTS, "r1", key), parquet(entry=[[0]], state=["parsed"], reason=[""])
            ),
            "unknown",
        ),
    ],
)
def test_what_is_damaged_is_told_and_stops_nothing(
    shelf: Shelf, damage: Callable[[ObjectStore, str], None], kind: str
) -> None:
    """The others are compared, and the verdict says it.

    Documents of a damaged table are unknown and not requested; those of a damaged manifest are nobody's, and requested.
    """
    shelf.put("a.pdf")
    shelf.put("b.pdf")
    shelf.batch("2", ref("b.pdf"), states=["parsed"])
    damage(shelf.store, shelf.batch("1", ref("a.pdf"), states=["parsed"]))
    found = shelf.reconcile()
    assert counts(found) == {"parsed": 1, kind: 1}
    (text,) = found.failures
    assert "damaged" in text
    assert (found.unlisted, found.figures["damaged"], found.requested) == ([], 1, int(kind == MISSING))
    assert "1 manifests or tables are damaged" in verdicts.nothing_missing(found.figures).message


def test_a_damaged_table_hides_no_better_one(shelf: Shelf) -> None:
    """Under another revision, or in another batch, the document was parsed: so it is known."""
    for key in ("a.pdf", "b.pdf"):
        shelf.put(key)
    batch = shelf.batch("1", ref("a.pdf"), ref("b.pdf"), states=["parsed", "failed"])
    shelf.store.put(layout.table_key(PARSED_DOCUMENTS, "r2", batch), b"PAR1")
    shelf.batch("2", ref("b.pdf"), states=["degraded"])
    found = shelf.reconcile()
    assert (counts(found), len(found.damaged)) == ({"parsed": 1, "degraded": 1}, 1)


def test_an_object_that_no_reference_can_name_stops_nothing(shelf: Shelf) -> None:
    """Half a character in a key or an ETag is missing and not requested; the place says why, and the others come in."""
    for key, etag in (("a\ud800.pdf", "e"), ("b.pdf", "\ud800"), ("c.pdf", "e")):
        shelf.put(key, etag)
    found = shelf.reconcile()
    assert (counts(found), found.requested, found.failures) == ({"missing": 3}, 1, [])
    assert "valid Unicode" in found.places[0].note
    assert r"s3://inbox/a\ud800.pdf" in found.places[0].examples[MISSING]
    assert counts(shelf.reconcile()) == {"missing": 2, "waiting": 1}


def test_the_verdict_is_passed_only_if_everything_was_known(shelf: Shelf) -> None:
    """Something missing is a reason to look at the sensors, though it has been requested; once more, nothing is."""
    shelf.put("a.pdf")
    first, second = (verdicts.nothing_missing(shelf.reconcile().figures) for _ in range(2))
    assert (first.passed, second.passed) == (False, True)
    assert "1 objects were in no batch" in first.message
    assert set(first.figures) >= set(KINDS)
    assert not verdicts.nothing_missing({}).passed


@pytest.mark.parametrize(
    "key",
    [
        "a b.pdf",
        "100%.pdf",
        "a+b.pdf",
        "a#b?.pdf",
        "x/../y.pdf",
        "//.pdf",
        "ä€😀.pdf",
        "%2e%20.pdf",
        "n" * 896 + ".pdf",
    ],
)
def test_any_key_is_found_again(shelf: Shelf, key: str) -> None:
    """Addresses are compared by what they name: what was requested under a strange key is known the next time."""
    shelf.put(key)
    assert shelf.reconcile().requested == 1
    assert counts(shelf.reconcile()) == {"waiting": 1}
    shelf.remove(key)
    assert counts(shelf.reconcile()) == {"gone": 1}
