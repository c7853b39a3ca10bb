"""Measurements are kept once, found again, and scored from what is stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from example_truth import example_truth
from measured import CORPUS, blank, measurement, store_corpus, truth, unparsed

from mineru_pipeline.errors import QualityError
from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.damage import DAMAGES, damaged, faithful
from mineru_pipeline.quality.extra import explain_missing, require_extra
from mineru_pipeline.quality.measurements import Measurement, Selection
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import SCORES_VERSION, Family
from mineru_pipeline.storage import FilesystemStore, layout

#: Of the scores of a known document with each kind of damage, by version of the scorer.
_SCORES = {1: "fa42b267103ccac9f96811e893a6248f8596924133118307a0ab61afb14818ed"}


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def test_whoever_changes_the_scores_raises_their_version() -> None:
    """The scores of a known parse are pinned for this version; if not, raise SCORES_VERSION and pin the new digest."""
    document, digest = example_truth(), hashlib.sha256()
    for name in sorted(DAMAGES):
        parse = damaged(faithful(document), name, 0.5, seed=1)
        digest.update(score_document(document, parse).to_json().encode())
    assert digest.hexdigest() == _SCORES[SCORES_VERSION]


def test_a_measurement_is_read_back_as_it_was_kept(store: FilesystemStore) -> None:
    """Documents, model, revisions and times survive the store."""
    kept = measurement(store, store_corpus(store, [truth(1), truth(2)]))
    assert Measurement.from_json(kept.to_json()) == kept
    assert measurements.read(store, kept.key) == kept
    assert measurements.latest(store, CORPUS) == kept


def test_what_was_measured_is_never_overwritten(store: FilesystemStore) -> None:
    """Who comes second gets the first's measurement, note and scores."""
    corpus = store_corpus(store, [truth(1)])
    first = measurement(store, corpus)
    before = measurements.score(store, first)
    assert measurements.keep(store, replace(first, ended_at="2027-01-01T00:00:00Z")) == first
    store.put(first.documents[0].outputs + "content_list.json", b"[]")
    assert measurements.score(store, first) == before
    (begun,) = measurements.begun(store, CORPUS)
    assert measurements.begin(store, replace(begun, origin="somebody else")) == begun


def test_scores_are_read_without_scoring_again(store: FilesystemStore) -> None:
    """Once scored, neither the parse nor the truth is needed any more."""
    made = measurement(store, store_corpus(store, [truth(1), truth(2)]))
    with pytest.raises(QualityError, match="has no scores of version"):
        measurements.scores_of(store, made)
    scores = measurements.score(store, made)
    for document in made.documents:
        store.delete(document.outputs + "content_list.json")
        store.delete(layout.corpus_key(CORPUS, f"{document.name}.truth.json"))
    assert measurements.scores_of(store, made) == scores
    assert [each.families[Family.TEXT] for each in scores] == [1.0, 1.0]


def test_two_measurements_of_the_same_parse_have_the_same_bytes(store: FilesystemStore) -> None:
    """Scores and summary hold nothing but what was measured: no dates, no names of measurements."""
    corpus = store_corpus(store, [truth(1), truth(2)])
    texts = []
    for name in ("20260102T030405Z-00000000", "20270102T030405Z-11111111"):
        made = measurement(store, corpus, name)
        measurements.score(store, made)
        prefix = made.scores_prefix()
        texts.append({item.key.removeprefix(prefix): store.get(item.key) for item in store.list(prefix)})
    assert texts[0] == texts[1]
    assert sorted(texts[0]) == ["made-up-01.json", "made-up-02.json", "summary.json"]


def test_a_document_without_outputs_scores_as_if_nothing_was_read(store: FilesystemStore) -> None:
    """A failed document is not left out of the means: that would make a parser better by failing."""
    corpus = store_corpus(store, [truth(1)])
    failed = measurement(store, corpus, "20260102T030405Z-00000000", unparsed)
    nothing = measurement(store, corpus, "20270102T030405Z-11111111", blank)
    assert [document.name for document in failed.unparsed] == ["made-up-01"]
    assert nothing.unparsed == ()
    assert measurements.score(store, failed) == measurements.score(store, nothing)


def test_the_newest_complete_measurement_is_found(store: FilesystemStore) -> None:
    """By corpus, revision and documents; what has only begun does not count."""
    corpus = store_corpus(store, [truth(1)])
    sample = store_corpus(store, [truth(1)], Selection(sample=1))
    old = measurement(store, corpus, "20260102T030405Z-00000000")
    other = measurement(store, corpus, "20260103T030405Z-00000000", revision="ffffffffffff")
    small = measurement(store, sample, "20260104T030405Z-00000000")
    (begun,) = (each for each in measurements.begun(store, CORPUS) if each.name == old.name)
    measurements.begin(store, replace(begun, name="20260105T030405Z-00000000"))
    assert measurements.latest(store, CORPUS) == small
    assert measurements.latest(store, CORPUS, selection=Selection()) == other
    assert measurements.latest(store, CORPUS, parser_revision=old.parser_revision, selection=Selection()) == old
    assert measurements.latest(store, CORPUS, parser_revision="000000000000") is None
    assert measurements.latest(store, "v9-ffffffffffff") is None


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"schema": 99}', b'{"schema": 1}', b"\xff"])
def test_a_damaged_measurement_is_named(store: FilesystemStore, broken: bytes) -> None:
    """Whatever is wrong with it, the error says where it lies."""
    made = measurement(store, store_corpus(store, [truth(1)]))
    store.put(made.key, broken)
    with pytest.raises(QualityError, match=r"measurement\.json"):
        measurements.read(store, made.key)


def test_a_corpus_that_is_not_there_says_how_to_make_it(store: FilesystemStore) -> None:
    """The error names the asset and the command; a damaged index is named, too."""
    with pytest.raises(QualityError, match="baseline_corpus"):
        measurements.stored_corpus(store, CORPUS, Selection())
    store.put(layout.corpus_key(CORPUS, "index-all.json"), json.dumps([{"name": "x"}]).encode())
    with pytest.raises(QualityError, match="damaged"):
        measurements.stored_corpus(store, CORPUS, Selection())


def test_the_corpus_is_made_once(store: FilesystemStore) -> None:
    """The second time it is read; it has the documents of the sample, as the generator makes them."""
    done: list[int] = []
    made = measurements.make_corpus(store, Selection(sample=1), done.append)
    assert (len(made.entries), done) == (15, list(range(1, 16)))
    assert made.version == measurements.corpus_version_of(Selection())
    assert measurements.make_corpus(store, Selection(sample=1), done.append) == made
    assert len(done) == 15
    with pytest.raises(QualityError, match="There is no seed 'mine'; there are baseline, held-back"):
        measurements.corpus_version_of(Selection("mine"))


def test_a_missing_extra_says_what_to_install() -> None:
    """Where a module of it is missing, the text names the module and the command."""
    require_extra(list)
    with pytest.raises(QualityError, match=r"needs apted, scipy.*mineru-pipeline\[quality\]"):
        require_extra(lambda: ["apted", "scipy"])
    assert "locks/cluster.txt" in explain_missing(["ziamath"])
