"""The corpus is parsed by the real engine against the simulated server, once for each measurement."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from conftest import ModelServer
from measured import store_corpus, truth

from mineru_pipeline.errors import PipelineError
from mineru_pipeline.parsing.progress import ProgressEvent, ignore_progress
from mineru_pipeline.quality import measurements
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import layout
from resources.documents import open_store
from resources.measuring import begin, measure, name_of

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_every_measurement_asks_the_model_anew_and_a_repeated_one_does_not(
    found: Settings, model_server: ModelServer
) -> None:
    """A model that was changed under its name is noticed, and going on with a measurement costs no request."""
    store = open_store(found)
    corpus = store_corpus(store, [truth(1), truth(2)])
    seen: list[ProgressEvent] = []
    counts = [model_server.answered()]
    for name in ("first", "first", "second"):
        noted = begin(found, store, corpus, name_of(STARTED, name), STARTED, "test")
        made = measure(found, store, corpus, noted, seen.append, now=lambda: STARTED)
        counts.append(model_server.answered())
        assert [document.state for document in made.documents] == ["parsed", "parsed"]
    first, repeated, second = (after - before for before, after in pairwise(counts))
    assert first > 0
    assert repeated == 0
    assert second >= first - 1  # of which one proves the model
    assert seen[-1].documents_done == 2
    assert made.model.is_stand_in
    assert made.model.servers == (model_server.url,)
    assert [each.name for each in measurements.begun(store, corpus.version)] == [
        "20260102T030405Z-first", "20260102T030405Z-second",
    ]  # fmt: skip
    # Neither a batch nor rows of tables: nobody waits for these documents.
    assert not list(store.list(layout.MANIFESTS))
    assert not list(store.list("tables/"))
    assert len(measurements.score(store, made)) == 2


def test_what_was_parsed_before_a_crash_is_not_asked_again(found: Settings, model_server: ModelServer) -> None:
    """A measurement that ended after its documents and before its record goes on without a request."""
    store = open_store(found)
    corpus = store_corpus(store, [truth(1)])
    noted = begin(found, store, corpus, name_of(STARTED, "crashed"), STARTED, "test")
    made = measure(found, store, corpus, noted, ignore_progress)
    store.delete(made.key)
    before = model_server.answered()
    again = measure(found, store, corpus, noted, ignore_progress)
    assert model_server.answered() == before
    assert [document.outputs for document in again.documents] == [document.outputs for document in made.documents]
    assert again.started_at == made.started_at


def test_without_a_model_nothing_is_kept(found: Settings) -> None:
    """An outage is no measurement: the error says so, and the next attempt goes on."""
    store = open_store(found)
    corpus = store_corpus(store, [truth(1)])
    off = found.model_copy(update={"vllm_server": found.vllm_server.model_copy(update={"enabled": False})})
    noted = begin(off, store, corpus, name_of(STARTED, "off"), STARTED, "test")
    with pytest.raises(PipelineError, match=r"vllm_server\.enabled"):
        measure(off, store, corpus, noted, ignore_progress)
    assert measurements.find(store, noted) is None
