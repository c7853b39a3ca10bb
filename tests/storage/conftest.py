"""Every store that the contract is run against."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mineru_pipeline.storage import FilesystemStore, ObjectStore


def without_hard_links(_source: str, _target: str) -> None:
    """What ``os.link`` does on a file system that has none."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


#: A further adapter joins the contract by a line here: an empty store for a given folder.
STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "filesystem": FilesystemStore,
    "filesystem-without-hard-links": lambda folder: FilesystemStore(folder, link=without_hard_links),
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return STORES[request.param](tmp_path / "store")
