"""What tests of this room share: an engine whose model is scripted, and buckets to compare with batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from compared_shelf import Shelf
from scripted_engine import Bench

from mineru_pipeline.storage import FilesystemStore


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(FilesystemStore(tmp_path / "store"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(FilesystemStore(tmp_path))
