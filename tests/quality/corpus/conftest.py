"""Both corpora, made once for all tests; they are only looked at by programs, the one held back included."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from functools import cache

import pytest

from mineru_pipeline.quality.corpus import SEEDS, CorpusDocument, generate

Corpus = tuple[CorpusDocument, ...]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Corpus]:
    """The corpus of a seed, made by whichever process of this run of the tests needs it first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Each process of the run has a folder of its own in it.
        folder = folder.parent

    @cache
    def whole(seed: int) -> Corpus:
        with (folder / f"corpus-{seed}").open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not file.tell():
                pickle.dump(tuple(generate(seed)), file)
                file.flush()
            file.seek(0)
            made: Corpus = pickle.load(file)
            return made

    return whole


@pytest.fixture(params=sorted(SEEDS))
def corpus(request: pytest.FixtureRequest, whole: Callable[[int], Corpus]) -> Corpus:
    return whole(SEEDS[request.param])


@pytest.fixture
def baseline(whole: Callable[[int], Corpus]) -> Corpus:
    return whole(SEEDS["baseline"])
