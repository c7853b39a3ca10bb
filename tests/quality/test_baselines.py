"""Baselines are records that nobody overwrites, and a candidate is compared with the one that is meant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from measured import CORPUS, MODEL, blank, measurement, store_corpus, truth, unparsed

from mineru_pipeline.errors import QualityError
from mineru_pipeline.quality import baselines, measurements, presentation
from mineru_pipeline.quality.baselines import Acceptance, Baseline
from mineru_pipeline.quality.comparison import Comparison, compare, no_baseline
from mineru_pipeline.quality.damage import Entry, damaged, faithful
from mineru_pipeline.quality.examination import examine, write_report
from mineru_pipeline.quality.gates.model import Decision
from mineru_pipeline.quality.measurements import Corpus, MeasuredModel, Measurement, Selection
from mineru_pipeline.quality.scores.model import DIGITS, Family
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.storage import FilesystemStore, ObjectStore

ACCEPTED = Acceptance("somebody", "it is the first", "2026-01-02T03:06:05Z")
STAND_IN = MeasuredModel("mineru-pipeline/made-up-1", None, is_stand_in=True)
LATER = "20270102T030405Z-11111111"
#: As many documents as all gates need to decide.
ENOUGH = 70


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def accept(store: ObjectStore, made: Measurement, name: str = "first", accepted: Acceptance = ACCEPTED) -> Baseline:
    record = baselines.record(name, made, measurements.score(store, made), accepted)
    baselines.write(store, record)
    return record


def compared(store: ObjectStore, made: Measurement, baseline: Baseline) -> Comparison:
    return compare(baseline, made, measurements.score(store, made))


@pytest.fixture
def corpus(store: FilesystemStore) -> Corpus:
    return store_corpus(store, [truth(number) for number in range(ENOUGH)])


@pytest.fixture
def baseline(store: FilesystemStore, corpus: Corpus) -> Baseline:
    return accept(store, measurement(store, corpus))


def known(store: ObjectStore) -> Sequence[Baseline]:
    return baselines.accepted(store, packaged=[])


def test_the_unchanged_system_is_accepted(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """The same parse, measured again, is accepted in every family, and no document differs."""
    found = compared(store, measurement(store, corpus, LATER), baseline)
    assert found.decision is Decision.ACCEPT
    assert (found.different, found.lower, found.changes, found.objections) == (0, 0, (), [])
    assert {verdict.decision for verdict in found.judgement.verdicts} == {Decision.ACCEPT}


def test_a_worse_system_is_rejected(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """Rows of tables that are lost are found by the gate of tables, and the documents are named, the worst first."""

    def spoilt(document: DocumentTruth) -> list[Entry]:
        return damaged(faithful(document), "drop_rows", 0.5, seed=int(document.name[-2:]))

    found = compared(store, measurement(store, corpus, LATER, spoilt), baseline)
    assert found.decision is Decision.REJECT
    assert "worse in" in found.reason
    assert "tables" in [each.family for each in found.judgement.verdicts if each.decision is Decision.REJECT]
    differences = [change.after - change.before for change in found.changes]
    assert differences == sorted(differences)
    assert 0 < found.lower == found.different <= ENOUGH


def test_a_document_that_is_not_parsed_is_a_reject(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """One of seventy moves no mean far enough, and is not let pass for that; it is named with its reason."""

    def one_failed(document: DocumentTruth) -> list[Entry] | None:
        return None if document.name.endswith("-07") else faithful(document)

    found = compared(store, measurement(store, corpus, LATER, one_failed), baseline)
    assert found.judgement.decision is not Decision.REJECT
    assert found.decision is Decision.REJECT
    assert "1 documents have not been parsed: made-up-07 (failed)." in found.reason


def test_a_new_catastrophic_page_is_a_reject_and_a_known_one_is_not(store: FilesystemStore, corpus: Corpus) -> None:
    """What the accepted baseline loses, too, is no news; a page more is."""

    def lost(*names: str) -> Measurement:
        name = f"2026010{len(names)}T030405Z-00000000"
        return measurement(
            store, corpus, name, lambda document: [] if document.name in names else faithful(document), f"{len(names)}r"
        )

    baseline = accept(store, lost("made-up-03"))
    assert baseline.documents["made-up-03"].catastrophic == (0,)
    same = compared(store, replace(lost("made-up-03"), name=LATER), baseline)
    assert (same.decision, [each.new for each in same.findings.catastrophes]) == (Decision.ACCEPT, [False])
    more = compared(store, lost("made-up-03", "made-up-04"), baseline)
    assert more.judgement.decision is not Decision.REJECT
    assert more.decision is Decision.REJECT
    assert "made-up-04 page 1 (lost)" in more.reason


def test_a_sample_is_judged_on_its_own_documents(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """Only pairs count: a good sample is inconclusive, not accepted; a ruined one is rejected."""
    del corpus
    small = store_corpus(store, [truth(number) for number in range(25)], Selection(sample=25))
    good = compared(store, measurement(store, small, LATER), baseline)
    assert (good.documents, good.selection, good.decision) == (25, "sample-25", Decision.INCONCLUSIVE)
    ruined = compared(store, measurement(store, small, LATER.replace("11", "22"), blank), baseline)
    assert ruined.judgement.decision is Decision.REJECT


def test_the_report_of_the_same_parse_has_the_same_bytes(
    store: FilesystemStore, corpus: Corpus, baseline: Baseline
) -> None:
    """Two measurements at different times give one JSON report, byte by byte, and it holds no date."""
    texts = []
    for name in ("20270102T030405Z-11111111", "20280102T030405Z-22222222"):
        made = measurement(store, corpus, name)
        measurements.score(store, made)
        found = examine(store, made, known(store))
        assert found.baseline == baseline
        key = write_report(store, found, "comparison.json", found.to_json().encode)
        assert write_report(store, found, "comparison.json", lambda: b"{}") == key
        texts.append((store.get(key).decode(), presentation.report_values(store, found)))
        assert "against-first" in key
    assert texts[0] == texts[1]
    assert json.loads(texts[0][0])["comparison"]["decision"] == "accept"
    assert "2027" not in "".join(texts[0])


def test_nothing_of_single_documents_is_told_of_the_seed_that_is_held_back(store: FilesystemStore) -> None:
    """Its report has the means by stratum and how many, but names no document."""
    held_back = store_corpus(store, [truth(1), truth(2)], Selection("held-back"))
    made = measurement(store, held_back, parse=unparsed)
    measurements.score(store, made)
    text = examine(store, made, []).to_json()
    assert "made-up-0" not in text
    assert json.loads(text)["findings"] == {"catastrophes": 2, "unparsed": 2}
    for key in presentation.write(store, examine(store, made, [])).values():
        assert b"made-up-0" not in store.get(key), key


def test_no_document_of_the_held_back_seed_is_named_by_a_reject(store: FilesystemStore) -> None:
    """That documents are lost and pages are new catastrophes is counted; which ones they are stands nowhere."""
    held_back = store_corpus(store, [truth(number) for number in range(4)], Selection("held-back"))
    baseline = accept(store, measurement(store, held_back))
    for name, parse in ((LATER, unparsed), ("20280102T030405Z-11111111", blank)):
        made = measurement(store, held_back, name, parse)
        measurements.score(store, made)
        found = examine(store, made, [baseline])
        assert found.comparison is not None
        assert (found.comparison.decision, "4 " in found.comparison.reason) == (Decision.REJECT, True)
        told = [found.comparison.reason, found.to_json(), *presentation.compared_of(store, found).objections]
        assert not any("made-up-0" in text for text in told)


@pytest.mark.parametrize(
    ("selection", "kept", "lacks"),
    [
        (Selection(), [*range(1), *range(2, ENOUGH)], "made-up-01"),
        (Selection(sample=3), [0, 2], "1 of the stratum made-up"),
    ],
    ids=["all", "sample"],
)
def test_documents_that_are_left_out_are_told(
    store: FilesystemStore, corpus: Corpus, baseline: Baseline, selection: Selection, kept: list[int], lacks: str
) -> None:
    """Whoever leaves out the documents that went wrong passes no gate with the rest."""
    few = replace(corpus, selection=selection, entries=tuple(corpus.entries[place] for place in kept))
    with pytest.raises(QualityError, match=f"lacks documents that the baseline first has: {lacks}"):
        compared(store, measurement(store, few, LATER), baseline)


def test_the_documents_of_a_sample_are_those_of_the_generator(
    store: FilesystemStore, corpus: Corpus, baseline: Baseline
) -> None:
    """Which are not the first by their names, nor are all strata as large as the sample."""
    some = replace(corpus, selection=Selection(sample=2), entries=(corpus.entries[7], corpus.entries[3]))
    assert compared(store, measurement(store, some, LATER), baseline).documents == 2
    whole = replace(corpus, selection=Selection(sample=ENOUGH + 1))
    later = "20280102T030405Z-11111111"
    assert compared(store, measurement(store, whole, later), baseline).decision is Decision.ACCEPT


def test_the_page_shows_truth_and_parse_and_what_the_baseline_had(store: FilesystemStore) -> None:
    """With the baseline's measurement in the store block by block, from its record alone by family."""
    corpus = store_corpus(store, [truth(1), truth(2)])
    baseline = accept(store, measurement(store, corpus))
    made = measurement(store, corpus, LATER, blank)
    measurements.score(store, made)
    found = examine(store, made, [baseline])
    html = presentation.report_html(store, found)
    assert "word1x0" in html
    assert "2 pages are catastrophic that are not in the baseline" in html
    whole = presentation.baseline_scores(store, baseline, ["made-up-01"])
    assert [(each.name, len(each.blocks)) for each in whole] == [("made-up-01", 4)]
    alone = presentation.baseline_scores(store, replace(baseline, measurement="elsewhere"), ["made-up-01"])
    assert [(each.families, each.blocks) for each in alone] == [(whole[0].families, ())]


def test_a_record_is_read_back_as_it_was_written(store: FilesystemStore, baseline: Baseline) -> None:
    """Scores, people and reasons survive; the file has the means and a line for each document."""
    assert Baseline.from_json(baseline.to_json()) == baseline
    assert known(store) == [baseline]
    assert baseline.documents["made-up-00"].families[Family.TEXT] == 1.0
    assert len(baseline.to_json()) < 20_000
    value = json.loads(baseline.to_json())
    assert value["means"]["text"] == 1.0
    assert value["means"]["formulas"] is None
    assert round(value["means"]["order"], DIGITS) == value["means"]["order"]


def test_no_record_is_overwritten(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """A name that is taken is refused, also that of a record that comes with the package."""
    later = measurement(store, corpus, LATER, blank)
    with pytest.raises(QualityError, match="none is overwritten"):
        accept(store, later)
    assert known(store) == [baseline]
    for name in ("a/b", "", "..", baselines.shipped()[0].name):
        with pytest.raises(QualityError):
            accept(store, later, name)


def test_the_last_accepted_of_its_line_is_current(store: FilesystemStore) -> None:
    """By corpus and by line: models share one, and each stand-in has its own."""
    corpus = store_corpus(store, [truth(1)])
    other = MeasuredModel("another/model", "r2", is_stand_in=False)
    late = replace(ACCEPTED, at="2026-05-02T03:06:05Z")
    first = accept(store, measurement(store, corpus, "20260102T030405Z-00000000"), "z-first")
    second = accept(store, measurement(store, corpus, LATER, model=other), "a-second", late)
    third = accept(store, measurement(store, corpus, LATER + "2", model=STAND_IN), "third", late)
    assert [each.name for each in known(store)] == ["z-first", "a-second", "third"]
    assert baselines.current(known(store), CORPUS, MODEL) == second
    assert baselines.current(known(store), CORPUS, STAND_IN) == third
    assert baselines.current(known(store), "v9-ffffffffffff", MODEL) is None
    assert baselines.named(known(store), "z-first") == first
    with pytest.raises(QualityError, match="There are z-first, a-second, third"):
        baselines.named(known(store), "fourth")
    assert "not MinerU2.5" in third.remark
    assert first.remark == ""


def test_what_does_not_fit_is_not_compared(store: FilesystemStore, corpus: Corpus, baseline: Baseline) -> None:
    """Other documents, another scorer, a stand-in against a model: each is refused with what to do."""
    made = measurement(store, corpus, LATER)
    scores = measurements.score(store, made)
    for changed, candidate, said in (
        (replace(baseline, corpus="v9-ffffffffffff"), made, "Measure and accept a new baseline"),
        (replace(baseline, scores_version=99), made, "scores of version 99"),
        (baseline, replace(made, model=STAND_IN), "a stand-in is compared with itself alone"),
        (replace(baseline, documents={}), made, "lacks documents"),
    ):
        with pytest.raises(QualityError, match=said):
            compare(changed, candidate, scores)


def test_without_a_baseline_it_is_said_how_to_accept_one(store: FilesystemStore) -> None:
    """The text names corpus, line and command, and what there is for other documents."""
    made = measurement(store, store_corpus(store, [truth(1)]))
    baseline, made = accept(store, made), replace(made, corpus="v10-0")
    text = no_baseline(made, [baseline])
    assert "v10-0" in text
    assert f"There are some for {CORPUS}" in text
    assert "mineru-pipeline baseline accept" in text


def test_a_sample_is_no_baseline(store: FilesystemStore) -> None:
    """What was not measured on all documents cannot be accepted."""
    made = measurement(store, store_corpus(store, [truth(1)], Selection(sample=1)))
    with pytest.raises(QualityError, match="needs all documents"):
        accept(store, made)


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"schema": 99}', b'{"schema": 1, "documents": []}', b"\xff"])
def test_a_damaged_record_is_named(store: FilesystemStore, broken: bytes) -> None:
    """A record that cannot be read is not passed over: it might be the current one."""
    store.put("quality/baselines/broken.json", broken)
    with pytest.raises(QualityError, match=r"broken\.json is damaged"):
        known(store)


def test_the_shipped_records_are_small_and_say_what_made_them() -> None:
    """They are baselines of stand-ins, whole, and count as accepted in every store."""
    found = baselines.shipped()
    assert found
    for each in found:
        assert each.model.is_stand_in
        assert "not MinerU2.5" in each.remark
        assert len(each.documents) == 90
        assert len(each.to_json()) < 100_000
        assert not each.model.servers
