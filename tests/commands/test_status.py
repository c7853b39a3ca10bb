"""``mineru-pipeline status``: where documents are, on real stores and a real Dagster instance."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from conftest import ModelServer, pdf
from s3_server import S3Server
from typer.testing import CliRunner

from mineru_pipeline import launch
from mineru_pipeline.cli import app
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, LogRange, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import ledger, quarantine, whereabouts
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, SOURCE_DOCUMENTS, ParsedRow
from mineru_pipeline.settings import load
from mineru_pipeline.storage import FilesystemStore, ObjectStore, layout
from resources.parsing import revisions_of

AT = "2026-01-01T00:00:00Z"
REF = DocumentRef("s3://inbox/a%20b.pdf", 1, "e", None, AT, "kafka", tenant="acme")
SHA, OTHER = "ab" * 32, "ab" * 31 + "cd"
EARLY, LATE = "20260101T000000Z-0123456789ab", "20260102T000000Z-0123456789ab"


def status(environ: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", *arguments], env=dict(environ))


def answer(environ: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    done = status(environ, *arguments, "--json")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def revision(environ: Mapping[str, str]) -> str:
    ours = {name: value for name, value in environ.items() if name.startswith("MINERU_PIPELINE__")}
    return revisions_of(load(environ=ours).settings).parser


def fill(store: ObjectStore, under: str) -> None:
    """An early batch in which one document failed and one was parsed, and a late one that nobody has begun."""
    refs = (REF, replace(REF, uri="s3://inbox/b.pdf", tenant=None))
    write_manifest(store, BatchManifest(EARLY, "default", refs, LogRange("requests", 0, 5, 7)))
    write_manifest(store, BatchManifest(LATE, "default", (REF,)))
    sources = [
        SourceRow(number, ref.uri, 1, "e", None, sha256, "accepted", pages=2)
        for number, (ref, sha256) in enumerate(zip(refs, (SHA, OTHER), strict=True))
    ]
    first = ParsedRow(0, REF.uri, SHA, None, "failed", "internal", "boom", 2, 0, 1, 0, 0.0, 0, None, "", "acme")
    rows = [first, replace(first, entry=1, uri=refs[1].uri, sha256=OTHER, state="parsed", outputs="parsed/x/")]
    ledger.write(store, SOURCE_DOCUMENTS, under, EARLY, sources, SourceRow)
    ledger.write(store, PARSED_DOCUMENTS, under, EARLY, rows, ParsedRow)
    quarantine.record(store, rows, refs, EARLY, now=datetime(2026, 1, 2, tzinfo=UTC))
    store.put("outbox/waits.jsonl", b"")


@pytest.fixture
def environ(tmp_path: Path, environment: Callable[[str], dict[str, str]]) -> dict[str, str]:
    return environment("http://127.0.0.1:9")


@pytest.fixture(params=["folder", "bucket"])
def filled(request: pytest.FixtureRequest, tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """The settings of a filled store, of each kind."""
    store: ObjectStore = FilesystemStore(tmp_path / "data" / "store")
    if request.param == "bucket":
        s3: S3Server = request.getfixturevalue("s3")
        bucket: str = request.getfixturevalue("bucket")
        environ = environ | s3.environment(bucket, "p")
        store = s3.store(bucket, "p")
    fill(store, revision(environ))
    return environ


def test_the_overview_counts_batches_documents_and_what_waits(filled: dict[str, str], tmp_path: Path) -> None:
    """Every number is that of the store, and looking makes no Dagster instance."""
    found = answer(filled)
    assert found["batches"] == {"fixed": 1, "running": 0, "failed": 0, "done": 1}
    assert found["documents"] == {"failed": 1, "parsed": 1}
    assert (found["quarantined"], found["outbox"], found["cut"], found["dagster"]) == (1, 1, False, False)
    assert not (tmp_path / "data" / "dagster").exists()
    assert "1 fixed, 0 running, 0 failed, 1 done" in status(filled).stdout


def test_a_document_is_found_by_its_address_however_it_is_spelled(filled: dict[str, str]) -> None:
    """Every entry that names it is shown, the newest first, with what became of it and the note in the quarantine."""
    late, early = answer(filled, "s3://inbox/a%20b.pdf")["entries"]
    assert (late["batch"], late["state"], late["revision"]) == (LATE, "waiting", None)
    assert (early["batch"], early["entry"], early["state"], early["reason"]) == (EARLY, 0, "failed", "internal")
    assert (early["tenant"], early["pages"], early["degraded_pages"], early["sha256"]) == ("acme", 2, 1, SHA)
    assert early["quarantine"]["message"] == "boom"
    text = status(filled, "s3://inbox/a%20b.pdf").stdout
    assert "boom" in text
    assert "tenant acme" in text


def test_a_document_is_found_by_a_prefix_of_its_content_if_that_is_unique(filled: dict[str, str]) -> None:
    """A prefix of two documents names both and is an error; one more digit finds the one."""
    both = status(filled, SHA[:12])
    assert both.exit_code == 2
    assert SHA in both.output
    assert OTHER in both.output
    (entry,) = answer(filled, OTHER[:63])["entries"]
    assert (entry["uri"], entry["outputs"], entry["tenant"]) == ("s3://inbox/b.pdf", "parsed/x/", "default")


def test_a_batch_tells_where_it_was_announced(filled: dict[str, str]) -> None:
    """Origin, offsets and states are those of manifest and table."""
    found = answer(filled, EARLY)
    assert found["source"] == {"topic": "requests", "partition": 0, "first_offset": 5, "next_offset": 7}
    assert list(found["states"].values()) == [{"failed": 1, "parsed": 1}]
    assert "requests[0] 5-7" in status(filled, EARLY).stdout
    assert "no table yet" in status(filled, LATE).stdout


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("s3://inbox/unknown.pdf", 1, "Nothing is known"),
        ("0" * 64, 1, "Nothing is known"),
        ("abc", 2, "at least 8"),
        ("x" * 5000, 2, "no file"),
        ("20250101T000000Z-0123456789ab", 2, "There is no batch"),
    ],
)
def test_what_nobody_knows_is_said_so(filled: dict[str, str], what: str, code: int, says: str) -> None:
    """An unknown document is 1, a question that makes no sense is 2; neither is a traceback."""
    done = status(filled, what)
    assert (done.exit_code, says in done.output) == (code, True), done.output


def test_an_empty_store_is_no_error(environ: dict[str, str], tmp_path: Path) -> None:
    """Before the first run everything is nought, and nothing is created by looking."""
    assert answer(environ)["batches"] == {"fixed": 0, "running": 0, "failed": 0, "done": 0}
    assert not (tmp_path / "data").exists()


def test_more_batches_than_are_looked_at_are_said_to_be_cut(tmp_path: Path) -> None:
    """Only the newest are counted and searched then, and the answer says so."""
    store = FilesystemStore(tmp_path)
    fill(store, "r1")
    found = whereabouts.overview(store, "r1", most=1)
    assert (found.batches, found.open, found.cut) == (1, (LATE,), True)
    entries = whereabouts.by_uri(store, {REF.uri}, most=1)
    assert ([entry.batch for entry in entries.entries], entries.cut) == ([LATE], True)


def test_batches_whose_runs_failed_or_go_on_are_told_apart(tmp_path: Path, environ: dict[str, str]) -> None:
    """Of a batch without a table, a run under way counts before a failure; cancelled counts as failed."""
    settings = load(environ={k: v for k, v in environ.items() if k.startswith("MINERU_PIPELINE__")}).settings
    store = FilesystemStore(tmp_path / "data" / "store")
    keys = [f"2026010{day}T000000Z-0123456789ab" for day in (1, 2, 3, 4)]
    for key in keys:
        write_manifest(store, BatchManifest(key, "default", (REF,)))
    failed, cancelled, going = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.STARTED
    with launch.open_instance(settings) as instance:
        for batch, how in [(keys[0], failed), (keys[1], cancelled), (keys[2], failed), (keys[2], going)]:
            instance.add_run(dg.DagsterRun(launch.JOB, status=how, tags={"dagster/partition": batch}))
    assert answer(environ)["batches"] == {"fixed": 1, "running": 1, "failed": 2, "done": 0}
    assert sorted(run["status"] for run in answer(environ, keys[2])["runs"]) == ["failure", "started"]


def damage(environ: dict[str, str], tmp_path: Path, *what: str) -> list[str]:
    """Addresses of what is damaged in a filled store: manifest or tables of the early batch."""
    store = FilesystemStore(tmp_path / "data" / "store")
    fill(store, revision(environ))
    keys = {
        "manifest": layout.manifest_key(EARLY),
        "source": layout.table_key(SOURCE_DOCUMENTS, revision(environ), EARLY),
        "parsed": layout.table_key(PARSED_DOCUMENTS, revision(environ), EARLY),
    }
    for name in what:
        # As half a write would leave it; addresses that were in it are in it still.
        store.put(keys[name], store.get(keys[name])[:-20])
    return [store.uri(keys[name]) for name in what]


def names(environ: Mapping[str, str], damaged: list[str], *arguments: str) -> dict[str, Any]:
    """The answer, if it names what is damaged and nothing else, to people and to programs, and ends with 1."""
    done, found = status(environ, *arguments), answer(environ, *arguments)
    assert done.exit_code == 1, done.output
    assert len(found["damaged"]) == len(damaged)
    for place, text in zip(damaged, found["damaged"], strict=True):
        assert f"{place} is damaged" in text
        assert f"damaged: {text}" in done.output
    return found


def test_a_damaged_table_does_not_hide_how_all_the_rest_stands(tmp_path: Path, environ: dict[str, str]) -> None:
    """It is named; its batch is done, its documents are in no count, and those of other tables are."""
    damaged = damage(environ, tmp_path, "parsed")
    store = FilesystemStore(tmp_path / "data" / "store")
    rows = [ParsedRow(0, REF.uri, SHA, None, "degraded", "", "", 2, 2, 1, 0, 0.0, 0, None, "", "acme")]
    ledger.write(store, PARSED_DOCUMENTS, revision(environ), LATE, rows, ParsedRow)
    found = names(environ, damaged)
    assert found["batches"] == {"fixed": 0, "running": 0, "failed": 0, "done": 2}
    assert (found["documents"], found["quarantined"], found["outbox"]) == ({"degraded": 1}, 1, 1)


def test_a_damaged_table_does_not_hide_its_batch(tmp_path: Path, environ: dict[str, str]) -> None:
    """Manifest, runs and the tables of other revisions are told as ever."""
    damaged = damage(environ, tmp_path, "parsed")
    rows = [ParsedRow(0, REF.uri, SHA, None, "degraded", "", "", 2, 2, 1, 0, 0.0, 0, None, "", "acme")]
    ledger.write(FilesystemStore(tmp_path / "data" / "store"), PARSED_DOCUMENTS, "old", EARLY, rows, ParsedRow)
    found = names(environ, damaged, EARLY)
    assert (found["documents"], found["states"]) == (2, {"old": {"degraded": 1}})
    assert "no table yet" not in status(environ, EARLY).output


def test_a_damaged_manifest_does_not_hide_what_became_of_its_batch(tmp_path: Path, environ: dict[str, str]) -> None:
    """The tables tell it; how many documents there should be nobody knows."""
    damaged = damage(environ, tmp_path, "manifest")
    found = names(environ, damaged, EARLY)
    assert (found["documents"], list(found["states"].values())) == (None, [{"failed": 1, "parsed": 1}])
    assert "its manifest cannot be read" in status(environ, EARLY).output


@pytest.mark.parametrize("what", [REF.uri, SHA])
def test_a_damaged_table_does_not_hide_a_document(tmp_path: Path, environ: dict[str, str], what: str) -> None:
    """Its entry is unknown there, and is shown with that of every other batch."""
    damaged = damage(environ, tmp_path, "parsed")
    entries = names(environ, damaged, what)["entries"]
    assert [entry["batch"] for entry in entries] == [LATE, EARLY][-len(entries) :]
    assert (entries[-1]["state"], entries[-1]["uri"]) == ("unknown", REF.uri)


def test_a_damaged_manifest_does_not_hide_other_batches(tmp_path: Path, environ: dict[str, str]) -> None:
    """A document is found in those that can be read; where it is in none of them, the answer says no more than that."""
    damaged = damage(environ, tmp_path, "manifest")
    (entry,) = names(environ, damaged, REF.uri)["entries"]
    assert entry["batch"] == LATE
    assert names(environ, damaged, SHA)["entries"] == []
    assert "no batch that can be read names it" in status(environ, SHA).output


def test_a_damaged_table_of_the_intake_does_not_end_the_search_by_content(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """Other tables are searched on, and the one that could not be is named."""
    damaged = damage(environ, tmp_path, "source")
    source = SourceRow(0, REF.uri, 1, "e", None, SHA, "accepted", pages=2)
    ledger.write(FilesystemStore(tmp_path / "data" / "store"), SOURCE_DOCUMENTS, "r", LATE, [source], SourceRow)
    (entry,) = names(environ, damaged, SHA)["entries"]
    assert (entry["batch"], entry["state"]) == (LATE, "accepted")


def test_of_very_many_damaged_tables_people_see_some_and_programs_all(tmp_path: Path, environ: dict[str, str]) -> None:
    """The screen is not flooded, and says how many there are."""
    store = FilesystemStore(tmp_path / "data" / "store")
    for number in range(25):
        batch = f"20260101T000000Z-{number:012x}"
        write_manifest(store, BatchManifest(batch, "default", (REF,)))
        store.put(layout.table_key(PARSED_DOCUMENTS, revision(environ), batch), b"no Parquet")
    assert len(answer(environ)["damaged"]) == 25
    output = status(environ).output
    assert output.count(".parquet is damaged") == 20
    assert "damaged: 5 more" in output


def test_a_document_is_followed_from_the_run_to_its_outputs(
    tmp_path: Path, model_server: ModelServer, environment: Callable[[ModelServer], dict[str, str]]
) -> None:
    """After a real run, the file leads to its batch, the run on the instance with its times, and the outputs."""
    environ = environment(model_server)
    paper = tmp_path / "a b.pdf"
    paper.write_bytes(pdf("one"))
    done = CliRunner().invoke(app, ["run", str(paper), "--json"], env=environ)
    assert done.exit_code == 0, done.output
    ran = json.loads(done.stdout.splitlines()[-1])
    (entry,) = answer(environ, str(paper))["entries"]
    assert (entry["batch"], entry["state"], entry["pages"]) == (ran["batches"][0], "parsed", 1)
    (shown,) = entry["runs"]
    assert (shown["run_id"], shown["status"]) == (ran["runs"][0], "success")
    assert shown["started"] <= shown["ended"]
    assert (tmp_path / "data" / "store" / entry["outputs"] / "result.json").exists()
    assert answer(environ)["batches"]["done"] == 1
    assert answer(environ, ran["batches"][0])["runs"] == [shown]
