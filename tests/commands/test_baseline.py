"""``mineru-pipeline baseline``: measure, compare, accept, list and report, with their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import ModelServer
from measured import Parse, measurement, store_corpus, truth
from typer.testing import CliRunner

from mineru_pipeline import settings
from mineru_pipeline.cli import app
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.damage import Entry, damaged, faithful
from mineru_pipeline.quality.measurements import Begun, Corpus, MeasuredModel, Selection
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.storage import FilesystemStore
from resources import measuring
from resources.parsing import model_of, revisions_of

pytestmark = pytest.mark.timeout(300)

Environ = Mapping[str, str]
OLD, NEW = "20260102T030405Z-00000000", "20260202T030405Z-11111111"


@pytest.fixture
def environ(environment: Callable[[ModelServer], dict[str, str]], model_server: ModelServer) -> Environ:
    return environment(model_server)


@pytest.fixture
def store(environ: Environ) -> FilesystemStore:
    return FilesystemStore(Path(environ["MINERU_PIPELINE__DATA_DIR"]) / "store")


@pytest.fixture
def corpus(store: FilesystemStore) -> Corpus:
    """Enough documents for every gate, in the place of those of this version."""
    version = measurements.corpus_version_of(Selection())
    return store_corpus(store, [truth(number) for number in range(70)], version=version)


def command(environ: Environ, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["baseline", *arguments], env=dict(environ))


def last(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def measured(environ: Environ, store: FilesystemStore, corpus: Corpus, name: str, parse: Parse = faithful) -> None:
    """A measurement with the settings of the command, without asking its server."""
    found = settings.load(environ=environ).settings
    model = model_of(found)
    by = MeasuredModel(model.name, model.revision, model.is_stand_in)
    made = measurement(store, corpus, name, parse, revisions_of(found).parser, by)
    measurements.score(store, made)


def worse(document: DocumentTruth) -> list[Entry]:
    """Half of the words are gone."""
    return damaged(faithful(document), "drop_words", 0.5, seed=1)


def a_little_worse(document: DocumentTruth) -> list[Entry]:
    """Some headings are gone, which is neither little nor much."""
    return damaged(faithful(document), "lose_headings", 0.05, seed=int(document.name[-2:]))


def test_a_first_baseline_is_accepted_and_compared_with(
    environ: Environ, store: FilesystemStore, corpus: Corpus, tmp_path: Path
) -> None:
    """Without one there is nothing to compare with; afterwards the same system is accepted, and all is listed."""
    measured(environ, store, corpus, OLD)
    done = command(environ, "compare")
    assert (done.exit_code, "No baseline has been accepted" in done.output) == (2, True)
    file = tmp_path / "record.json"
    done = command(
        environ, "accept", "--why", "the first", "--by", "me", "--name", "one", "--file", str(file), "--json"
    )
    assert (done.exit_code, last(done)["accepted"]["name"]) == (0, "one")
    record = store.get("quality/baselines/one.json")
    assert file.read_bytes() == record
    assert json.loads(record)["accepted"]["comparison"] is None
    measured(environ, store, corpus, NEW)
    done = command(environ, "compare", "--json")
    assert (done.exit_code, last(done)["comparison"]["decision"]) == (0, "accept")
    listed = last(command(environ, "list", "--json"))
    named = {each["name"]: each["current"] for each in listed["baselines"]}
    assert named == {"one": True, "dev-ocr-1": True}
    assert [each["name"] for each in listed["measurements"]] == [OLD, NEW]
    assert "one*" in command(environ, "list").output


def test_a_rejected_candidate_is_accepted_only_despite_it(
    environ: Environ, store: FilesystemStore, corpus: Corpus
) -> None:
    """Compare ends with 1, accept refuses, and with a reason the judgement goes into the record."""
    measured(environ, store, corpus, OLD)
    assert command(environ, "accept", "--why", "the first", "--name", "one").exit_code == 0
    measured(environ, store, corpus, NEW, worse)
    done = command(environ, "compare")
    assert (done.exit_code, "reject" in done.output) == (1, True)
    done = command(environ, "accept", "--why", "cheaper", "--name", "two")
    assert (done.exit_code, "--despite" in done.output) == (1, True)
    assert not store.exists("quality/baselines/two.json")
    assert command(environ, "accept", "--why", "cheaper", "--name", "two", "--despite", "half is enough").exit_code == 0
    accepted = json.loads(store.get("quality/baselines/two.json"))["accepted"]
    assert (accepted["despite"], accepted["against"], accepted["comparison"]["decision"]) == (
        "half is enough",
        "one",
        "reject",
    )
    assert command(environ, "compare").exit_code == 0
    assert command(environ, "compare", "--baseline", "one").exit_code == 1
    assert command(environ, "compare", "--measurement", OLD[:15], "--baseline", "one").exit_code == 0


def test_a_candidate_in_doubt_is_accepted_only_despite_it(
    environ: Environ, store: FilesystemStore, corpus: Corpus
) -> None:
    """So that no line of baselines slides down, each a little worse than the last."""
    measured(environ, store, corpus, OLD)
    assert command(environ, "accept", "--why", "the first", "--name", "one").exit_code == 0
    measured(environ, store, corpus, NEW, a_little_worse)
    assert command(environ, "compare").exit_code == 4
    done = command(environ, "accept", "--why", "faster", "--name", "two", "--json")
    assert (done.exit_code, last(done)["accepted"]) == (4, None)
    assert "It is inconclusive against one" in last(done)["reason"]
    done = command(environ, "accept", "--why", "faster", "--name", "two", "--despite", "twice as fast")
    assert done.exit_code == 0
    assert json.loads(store.get("quality/baselines/two.json"))["accepted"]["despite"] == "twice as fast"


def test_a_sample_is_inconclusive(environ: Environ, store: FilesystemStore, corpus: Corpus) -> None:
    """Exit code 4, and a plain message; a sample cannot be accepted, the whole measurement before it can."""
    measured(environ, store, corpus, OLD)
    assert command(environ, "accept", "--why", "the first", "--name", "one").exit_code == 0
    small = store_corpus(store, [truth(number) for number in range(3)], Selection(sample=3), corpus.version)
    measured(environ, store, small, NEW)
    done = command(environ, "compare")
    assert (done.exit_code, "A sample seldom proves anything" in done.output) == (4, True)
    assert command(environ, "accept", "--why", "again", "--name", "two").exit_code == 0
    assert json.loads(store.get("quality/baselines/two.json"))["measurement"] == OLD


def test_the_report_is_in_the_store(environ: Environ, store: FilesystemStore, corpus: Corpus) -> None:
    """The command says where; nothing is parsed for it."""
    measured(environ, store, corpus, OLD)
    done = command(environ, "report", "--json")
    assert done.exit_code == 0
    json_key, html_key = (last(done)[name].partition("/store/")[2] for name in ("comparison", "report"))
    assert json.loads(store.get(json_key))["corpus"] == corpus.version
    html = store.get(html_key)
    assert b"made-up-00" in html
    assert b"not MinerU2.5" in html or b"Not MinerU2.5" in html
    store.put(html_key, b"as it was")
    assert command(environ, "report").exit_code == 0
    assert store.get(html_key) == b"as it was"


def test_a_copy_of_the_report_is_put_where_people_can_open_it(
    environ: Environ, store: FilesystemStore, corpus: Corpus, tmp_path: Path
) -> None:
    """The same bytes as in the store, which may be a bucket; a folder that cannot be is refused with the reason."""
    measured(environ, store, corpus, OLD)
    done = command(environ, "report", "--json", "--copy", str(tmp_path / "new" / "folder"))
    assert done.exit_code == 0
    key = last(done)["report"].partition("/store/")[2]
    assert (tmp_path / "new" / "folder" / "report.html").read_bytes() == store.get(key)
    (tmp_path / "file").write_bytes(b"")
    done = command(environ, "report", "--copy", str(tmp_path / "file"))
    assert (done.exit_code, "cannot be written" in done.output) == (2, True)


def test_measuring_parses_and_scores_the_sample(environ: Environ, store: FilesystemStore) -> None:
    """Parsed by the simulated server, which reads nothing: all documents end, and that it is a stand-in is said."""
    version = measurements.corpus_version_of(Selection())
    store_corpus(store, [truth(1), truth(2)], Selection(sample=2), version)
    done = command(environ, "measure", "--sample", "2", "--json")
    assert done.exit_code == 0, done.output
    found = last(done)
    assert (found["documents"], found["unparsed"], found["selection"]["sample"]) == (2, [], 2)
    assert "not MinerU2.5" in found["remark"]
    assert found["summary"]["documents"] == 2
    again = command(environ, "measure", "--sample", "2", "--json")
    assert last(again)["name"] != found["name"]
    assert last(again)["summary"] == found["summary"]


def test_a_measurement_that_was_stopped_is_gone_on_with(environ: Environ, store: FilesystemStore) -> None:
    """Without its server it ends with 3; the same command finishes what it began."""
    version = measurements.corpus_version_of(Selection())
    store_corpus(store, [truth(1)], Selection(sample=1), version)
    gone = {**environ, "MINERU_PIPELINE__VLLM_SERVER__ENABLED": "false"}
    done = command(gone, "measure", "--sample", "1")
    assert (done.exit_code, "vllm_server.enabled" in done.output) == (3, True)
    done = command(environ, "measure", "--sample", "1")
    assert (done.exit_code, "Going on with" in done.output) == (0, True)
    (begun,) = measurements.begun(store, version)
    assert measurements.find(store, begun) is not None


def test_nothing_is_gone_on_with_by_who_measures_anew(environ: Environ, store: FilesystemStore) -> None:
    """Two processes that measure need not share a measurement, nor is half of an exchanged model kept."""
    version = measurements.corpus_version_of(Selection())
    store_corpus(store, [truth(1)], Selection(sample=1), version)
    revision = revisions_of(settings.load(environ=environ).settings).parser
    now = datetime.now(UTC)
    first = Begun(measuring.name_of(now, "0" * 8), version, Selection(sample=1), revision, utc_text(now), "command")
    measurements.begin(store, first)
    done = command(environ, "measure", "--sample", "1", "--anew", "--json")
    assert (done.exit_code, "Going on with" in done.output) == (0, False)
    assert last(done)["name"] != first.name
    assert measurements.find(store, first) is None


def test_what_is_finished_is_what_is_compared(environ: Environ, store: FilesystemStore) -> None:
    """A measurement that stopped before another one began is not gone on with: the other one would be compared."""
    version = measurements.corpus_version_of(Selection())
    for sample in (1, 2):
        store_corpus(store, [truth(number) for number in range(sample)], Selection(sample=sample), version)
    revision = revisions_of(settings.load(environ=environ).settings).parser
    now = datetime.now(UTC)
    for name, sample in (
        (measuring.name_of(now - timedelta(hours=1), "0" * 8), 2),
        (measuring.name_of(now, "1" * 8), 1),
    ):
        begun = Begun(name, version, Selection(sample=sample), revision, utc_text(now), "command")
        measurements.begin(store, begun)
    assert "Going on with" in command(environ, "measure", "--sample", "1").output
    done = command(environ, "measure", "--sample", "2", "--json")
    assert (done.exit_code, "Going on with" in done.output) == (0, False)
    newest = measurements.latest(store, version)
    assert newest is not None
    assert newest.name == last(done)["name"]


def test_nothing_is_accepted_whose_file_cannot_be_written(
    environ: Environ, store: FilesystemStore, corpus: Corpus, tmp_path: Path
) -> None:
    """A file that is there is left alone, and without its folder there is a sentence; neither leaves a record."""
    measured(environ, store, corpus, OLD)
    file = tmp_path / "there.json"
    file.write_text("precious")
    for path, said in ((file, "no record is overwritten"), (tmp_path / "nowhere" / "one.json", "cannot be written")):
        done = command(environ, "accept", "--why", "the first", "--name", "one", "--file", str(path))
        assert (done.exit_code, said in done.output) == (2, True), done.output
    assert file.read_text() == "precious"
    assert not store.exists("quality/baselines/one.json")
    assert [path.name for path in tmp_path.glob(".*.json.*")] == []


def test_a_record_that_does_not_count_is_not_called_the_baseline(
    environ: Environ, store: FilesystemStore, corpus: Corpus
) -> None:
    """Where somebody whose clock is ahead has accepted another one, the command says which one counts."""
    measured(environ, store, corpus, OLD)
    assert command(environ, "accept", "--why", "the first", "--name", "ahead").exit_code == 0
    key = "quality/baselines/ahead.json"
    record = json.loads(store.get(key))
    record["accepted"]["at"] = "2999-01-01T00:00:00Z"
    store.put(key, json.dumps(record).encode())
    done = command(environ, "accept", "--why", "again", "--name", "[q]", "--json")
    assert (done.exit_code, last(done)["accepted"]["current"]) == (0, False)
    assert "[q] is accepted, but ahead was later" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare",), "has not been measured"),
        (("report", "--measurement", "2026"), "0 complete measurements"),
        (("accept", "--why", " "), "says why"),
        (("measure", "--seed", "mine"), "There is no seed"),
        (("compare", "--seed", "mine"), "There is no seed"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(environ: Environ, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, and a sentence."""
    done = command(environ, *arguments)
    assert (done.exit_code, said in done.output) == (2, True), done.output
