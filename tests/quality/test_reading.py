"""What lies in the store is checked before it is used, whatever somebody has made of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from measured import measurement, store_corpus, truth

from mineru_pipeline.errors import PipelineError
from mineru_pipeline.quality import baselines, measurements
from mineru_pipeline.quality.baselines import Acceptance
from mineru_pipeline.quality.examination import examine
from mineru_pipeline.quality.measurements import Measurement
from mineru_pipeline.quality.reading import decoded, loaded
from mineru_pipeline.storage import FilesystemStore

#: None of these is what a field should hold, apart from a few that happen to fit.
HOSTILE = [None, 5, "x", [], {}, True, -1, 10**400, float("nan"), float("inf"), "../../x", [[1]], {"a": 1}]
BROKEN = [b"", b"{", b"\xff\xfe", b"[]", b"5", b'"x"', b"null", b"[" * 100_000, b'{"a":' * 50_000]
DELETED = object()


@pytest.fixture
def store(tmp_path: Any) -> FilesystemStore:
    return FilesystemStore(tmp_path)


@pytest.fixture
def made(store: FilesystemStore) -> Measurement:
    """A scored measurement and an accepted baseline, of two documents."""
    made = measurement(store, store_corpus(store, [truth(1), truth(2)]))
    scores = measurements.score(store, made)
    baselines.write(store, baselines.record("one", made, scores, Acceptance("me", "why", "2026-01-01T00:00:00Z")))
    return made


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value: the first of each list, and three of what a mapping deep within has."""
    yield before
    most = 3 if len(before) > 1 else None
    listed = enumerate(value[:1]) if isinstance(value, list) else ()
    inner = list(value.items())[:most] if isinstance(value, dict) else listed
    for key, item in inner:
        yield from places(item, (*before, key))


def changed(value: Any, place: tuple[Any, ...], new: object) -> Any:
    if not place:
        return new
    whole = copy.deepcopy(value)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    if new is DELETED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return whole


def looked_at(store: FilesystemStore, made: Measurement) -> None:
    found = measurements.latest(store, made.corpus)
    if found is not None:
        examine(store, found, baselines.accepted(store, packaged=[])).to_json()


@pytest.mark.parametrize("which", ["begun", "measurement", "scores", "baseline"])
def test_no_damage_of_a_stored_file_is_more_than_an_error_of_ours(
    store: FilesystemStore, made: Measurement, which: str
) -> None:
    """Whatever value stands in whatever field, it is read or refused with a sentence, never a traceback."""
    keys = {
        "begun": f"{made.prefix}begun.json",
        "measurement": made.key,
        "scores": f"{made.scores_prefix()}made-up-01.json",
        "baseline": "quality/baselines/one.json",
    }
    value = json.loads(store.get(keys[which]))
    damaged = [
        changed(value, place, new) for place in places(value) for new in [*HOSTILE, *([DELETED] if place else [])]
    ]
    refused = 0
    for data in [*BROKEN, *(json.dumps(each).encode() for each in damaged)]:
        store.put(keys[which], data)
        try:
            looked_at(store, made)
        except PipelineError:
            refused += 1
    assert refused > len(damaged) // 2


def test_scores_of_another_document_are_not_taken(store: FilesystemStore, made: Measurement) -> None:
    """A file that was copied over another one would hide the document that it stands for."""
    folder = made.scores_prefix()
    store.put(f"{folder}made-up-01.json", store.get(f"{folder}made-up-02.json"))
    with pytest.raises(PipelineError, match="belongs under"):
        looked_at(store, made)


def test_a_measurement_in_the_place_of_another_is_not_taken(store: FilesystemStore, made: Measurement) -> None:
    """Its scores and outputs would be looked for where those of the other one are."""
    other = measurement(store, store_corpus(store, [truth(1), truth(2)]), "20270102T030405Z-11111111")
    store.put(other.key, store.get(made.key))
    with pytest.raises(PipelineError, match="belongs under"):
        looked_at(store, made)


def test_two_records_of_one_name_do_not_hide_each_other(store: FilesystemStore, made: Measurement) -> None:
    """A copy of a record under another name is told, not dropped."""
    store.put("quality/baselines/two.json", store.get("quality/baselines/one.json"))
    with pytest.raises(PipelineError, match="says that it is called 'one'"):
        looked_at(store, made)


@pytest.mark.parametrize("text", ["NaN", "[1e999]", "-Infinity", "[" * 100_000])
def test_numbers_that_are_none_and_endless_nesting_are_refused(text: str) -> None:
    """They are no JSON, or no tree of ours."""
    with pytest.raises(ValueError, match=r"no number|too large|too deep"):
        loaded(text)


def test_a_wrong_field_is_named() -> None:
    """The message says which one, in one line."""
    with pytest.raises(ValueError, match=r"^1: Input should be a valid integer$"):
        decoded(tuple[int, ...], '[1, "2"]')
