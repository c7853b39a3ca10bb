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


def filesystem(request: pytest.FixtureRequest) -> ObjectStore:
    return FilesystemStore(request.getfixturevalue("tmp_path") / "store")


def filesystem_without_hard_links(request: pytest.FixtureRequest) -> ObjectStore:
    folder: Path = request.getfixturevalue("tmp_path") / "store"
    return FilesystemStore(folder, link=without_hard_links)


def minio(request: pytest.FixtureRequest) -> ObjectStore:
    store: ObjectStore = request.getfixturevalue("s3").store(request.getfixturevalue("bucket"))
    return store


def minio_with_prefix(request: pytest.FixtureRequest) -> ObjectStore:
    store: ObjectStore = request.getfixturevalue("s3").store(request.getfixturevalue("bucket"), "team a/ö")
    return store


#: A further adapter joins the contract by a line here: an empty store.
STORES: tuple[Callable[[pytest.FixtureRequest], ObjectStore], ...] = (
    filesystem,
    filesystem_without_hard_links,
    minio,
    minio_with_prefix,
)


@pytest.fixture(params=STORES, ids=lambda make: make.__name__.replace("_", "-"))
def store(request: pytest.FixtureRequest) -> ObjectStore:
    made: ObjectStore = request.param(request)
    return made
