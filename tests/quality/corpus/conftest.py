"""Both corpora, made once for all tests; they are only looked at by programs, the one held back included."""

from __future__ import annotations

from functools import cache

import pytest

from mineru_pipeline.quality.corpus import SEEDS, CorpusDocument, generate


@cache
def _whole(seed: int) -> tuple[CorpusDocument, ...]:
    return tuple(generate(seed))


@pytest.fixture(params=sorted(SEEDS))
def corpus(request: pytest.FixtureRequest) -> tuple[CorpusDocument, ...]:
    return _whole(SEEDS[request.param])


@pytest.fixture
def baseline() -> tuple[CorpusDocument, ...]:
    return _whole(SEEDS["baseline"])
