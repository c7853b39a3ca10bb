"""The layout of the store's keys."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import InvalidKeyError
from mineru_pipeline.storage import layout

SHA = "ab" + "0" * 62


def test_every_kind_of_object_has_its_documented_place() -> None:
    """The keys are those of the documented store layout, with the hash's first two digits as a folder."""
    assert layout.manifest_key("20260101T000000Z-abc") == "manifests/20260101T000000Z-abc.jsonl"
    assert layout.page_checkpoint_key("t", "e1", SHA, 7) == f"extracted/t/e1/ab/{SHA}/pages/000007.json"
    assert layout.model_key("t", "e1", SHA) == f"extracted/t/e1/ab/{SHA}/model.jsonl"
    assert layout.result_key("t", "p1", SHA) == f"parsed/t/p1/ab/{SHA}/result.json"
    assert layout.table_key("x", "p1", "b") == "tables/x/revision=p1/batch=b/part-0.parquet"
    assert layout.seen_key("papers/in/", 7, SHA) == f"intake/60f50ff92e19d220/0000000007-{SHA[:32]}.seen"
    assert layout.seen_key("papers/in/", 7, SHA).startswith(layout.seen_prefix("papers/in/"))
    assert layout.quarantine_key(SHA) == f"quarantine/{SHA}.json"


def test_checkpoints_sort_by_page() -> None:
    """Keys of pages sort as the pages do."""
    keys = [layout.page_checkpoint_key("t", "e", SHA, page) for page in (0, 9, 10, 99_999, 100_000)]
    assert keys == sorted(keys)


@pytest.mark.parametrize("part", ["", "a/b", "..", "a\\b", "x" * 300])
def test_a_part_that_is_no_plain_name_is_refused(part: str) -> None:
    """Nobody's tenant, revision or batch name can move an object somewhere else."""
    for make in (
        lambda: layout.manifest_key(part),
        lambda: layout.parsed_prefix(part, "r", SHA),
        lambda: layout.extracted_prefix("t", part, SHA),
        lambda: layout.table_key(part, "r", "b"),
        lambda: layout.quarantine_key(part),
    ):
        with pytest.raises(InvalidKeyError):
            make()


@pytest.mark.parametrize("sha256", ["", "abc", SHA.upper(), SHA + "0", "../" + SHA])
def test_only_a_sha256_names_a_document(sha256: str) -> None:
    """Anything but 64 lower-case hexadecimal digits is refused."""
    with pytest.raises(InvalidKeyError, match="SHA-256"):
        layout.parsed_prefix("t", "r", sha256)


def test_pages_count_from_zero() -> None:
    """There is no page before the first."""
    with pytest.raises(InvalidKeyError, match="-1"):
        layout.page_checkpoint_key("t", "e", SHA, -1)


def test_a_document_without_bytes_is_named_by_its_place() -> None:
    """The hash names a document; where there is none, address and version do, and differ by version."""
    assert layout.document_identity(sha256=SHA, uri="file:///a", version=None) == SHA
    one, two = (layout.document_identity(sha256=None, uri="file:///a", version=v) for v in ("1", "2"))
    assert one != two
    assert len(one) == 64


def test_a_table_is_found_again_by_its_key() -> None:
    """Revision and batch are read back from the key of a table, and from nothing else."""
    assert layout.table_place(layout.table_key("parsed_documents", "r1", "b1")) == ("r1", "b1")
    assert layout.table_place(layout.manifest_key("b1")) is None
    assert layout.batch_of_manifest(layout.manifest_key("b1")) == "b1"


def test_a_measurement_is_found_again_by_its_key() -> None:
    """Corpus, revision and name are read back from the note that it has begun, and from nothing else."""
    assert layout.measurement_place(layout.begun_key("v1-a", "r1", "m1")) == ("v1-a", "r1", "m1")
    assert layout.measurement_place(layout.measurement_key("v1-a", "r1", "m1")) is None
    assert layout.measurement_place(layout.corpus_key("v1-a", "begun.json")) is None
    assert layout.measurement_key("v1-a", "r1", "m1").startswith(layout.measurement_prefix("v1-a", "r1", "m1"))
    assert layout.baseline_key("b").startswith(layout.BASELINES)
