"""Checkpoints: nothing lost, nothing half trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.parsing.checkpoint import Checkpoints, decode_page, encode_page
from mineru_pipeline.parsing.pages import Degradation, PageExtraction
from mineru_pipeline.storage import FilesystemStore, layout

SHA = "c" * 64


def page(index: int, content: str = "text") -> PageExtraction:
    block = {"type": "text", "bbox": [0.0, 0.1, 1.0, 0.2], "angle": 0, "content": content}
    lost = Degradation(0, "truncated", "ran out", "words")
    return PageExtraction(index, 595.0, 842.0, 1654, 2339, 0.1, (block,), (lost,))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(FilesystemStore(tmp_path), "tenant", "rev", SHA)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_page_survives_the_round_trip(content: str) -> None:
    """Whatever the model said comes back, line separators and control characters included."""
    line = encode_page(page(3, content))
    assert decode_page(line) == page(3, content)
    assert line.count(b"\n") == 1


def test_pages_are_loaded_one_by_one_while_running(checkpoints: Checkpoints) -> None:
    """Whatever was saved is found, with gaps where pages are missing."""
    checkpoints.save(page(0))
    checkpoints.save(page(2))
    assert sorted(checkpoints.load()) == [0, 2]


def test_compacting_leaves_one_object_with_the_same_pages(checkpoints: Checkpoints) -> None:
    """After the commit there is model.jsonl and no page object, and loading gives the same."""
    pages = [page(0), page(1)]
    for each in pages:
        checkpoints.save(each)
    checkpoints.compact(pages)
    prefix = layout.extracted_prefix("tenant", "rev", SHA)
    assert [item.key for item in checkpoints.store.list(prefix)] == [f"{prefix}model.jsonl"]
    assert checkpoints.load() == {0: pages[0], 1: pages[1]}


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"schema": 99}', b'{"schema": 1, "index": 0}', b"\xff\xfe"])
def test_a_damaged_checkpoint_is_asked_again(checkpoints: Checkpoints, damage: bytes) -> None:
    """Half a page is never trusted; its neighbours are."""
    checkpoints.save(page(0))
    checkpoints.store.put(layout.page_checkpoint_key("tenant", "rev", SHA, 1), damage)
    assert sorted(checkpoints.load()) == [0]
