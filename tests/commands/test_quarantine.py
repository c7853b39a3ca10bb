"""``mineru-pipeline quarantine``: documents that failed are shown, tried again, and dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import ModelServer, pdf
from s3_server import S3Server
from typer.testing import CliRunner

from mineru_pipeline.cli import app
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import ledger, quarantine
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.storage import FilesystemStore, ObjectStore

pytestmark = pytest.mark.timeout(300)

AT = "2026-01-01T00:00:00Z"
EARLY = "20260101T000000Z-0123456789ab"


def command(environ: Mapping[str, str], *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["quarantine", *arguments], env=dict(environ), input=answer)


def last(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def listed(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    done = command(environ, "list", "--json")
    assert done.exit_code == 0, done.output
    documents: list[dict[str, Any]] = last(done)["documents"]
    return documents


def fail(store: ObjectStore, *uris: str, tenant: str = "default", tabled: bool = False) -> None:
    """A batch of which no document could be read."""
    refs = [DocumentRef(uri, None, None, None, AT, "folder") for uri in uris]
    write_manifest(store, BatchManifest(EARLY, tenant, tuple(refs)))
    rows = [
        ParsedRow(number, uri, None, None, "failed", "source-missing", "gone", 0, 0, 0, 0, 0.0, 0, None, "", tenant)
        for number, uri in enumerate(uris)
    ]
    if tabled:
        ledger.write(store, PARSED_DOCUMENTS, "earlier", EARLY, rows, ParsedRow)
    quarantine.record(store, rows, refs, EARLY, now=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def environ(environment: Callable[[ModelServer], dict[str, str]], model_server: ModelServer) -> dict[str, str]:
    return environment(model_server)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "data" / "store")


def test_the_list_says_why_when_and_from_where(environ: dict[str, str], store: FilesystemStore) -> None:
    """Every note is there with its reason, time, origin and how often it failed."""
    assert listed(environ) == []
    fail(store, "file:///gone/a.pdf", "file:///gone/b.pdf")
    first, second = listed(environ)
    assert {first["uri"], second["uri"]} == {"file:///gone/a.pdf", "file:///gone/b.pdf"}
    assert (first["reason"], first["origin"], first["batch"], first["attempts"]) == (
        "source-missing", "folder", EARLY, 1,
    )  # fmt: skip
    assert first["at"].startswith("2026-01-02")
    assert "source-missing" in command(environ, "list").stdout


def test_a_retry_that_fails_counts_and_one_that_succeeds_empties_the_quarantine(
    tmp_path: Path, environ: dict[str, str], store: FilesystemStore
) -> None:
    """Each attempt is a batch with its own table; the document leaves by itself once it can be parsed."""
    paper = tmp_path / "a.pdf"
    fail(store, paper.as_uri())
    (note,) = listed(environ)

    again = command(environ, "retry", note["identity"][:8], "--json")
    assert (again.exit_code, last(again)["failed"]) == (1, 1), again.output
    (failed,) = listed(environ)
    assert (failed["attempts"], failed["first_at"]) == (2, note["first_at"])
    assert failed["batch"] == last(again)["batches"][0] != EARLY

    paper.write_bytes(pdf("one"))
    done = command(environ, "retry", "--reason", "source-missing", "--json")
    assert (done.exit_code, last(done)["parsed"]) == (0, 1), done.output
    assert last(done)["batches"] != last(again)["batches"]
    assert listed(environ) == []


def test_a_retry_of_the_same_failures_is_the_same_batch(environ: dict[str, str], store: FilesystemStore) -> None:
    """What stopped before its end, here for want of a Dagster home, goes on with the manifest it had."""
    fail(store, "file:///gone/a.pdf")
    environ["MINERU_PIPELINE__DAGSTER__HOME"] = "/dev/null/no"
    stopped = [command(environ, "retry", "--all") for _ in range(2)]
    assert [done.exit_code for done in stopped] == [2, 2]
    assert len(list(store.list("manifests/"))) == 2
    assert len(listed(environ)) == 1


def test_what_was_dropped_is_gone_and_on_record(environ: dict[str, str], store: FilesystemStore) -> None:
    """Who did it, when and why is kept with what the note said; without a yes nothing happens."""
    fail(store, "file:///gone/a.pdf", "file:///gone/b.pdf")
    declined = command(environ, "drop", "--all", answer="n\n")
    assert (declined.exit_code, len(listed(environ))) == (1, 2)
    half = command(environ, "drop", "--all", "--why", "\udcff", "--yes")
    assert (half.exit_code, "not valid Unicode" in half.output, len(listed(environ))) == (2, True, 2)

    note = listed(environ)[0]
    done = command(environ, "drop", note["identity"], "--why", "withdrawn by the sender", "--yes", "--json")
    assert last(done) == {"dropped": [note["identity"]]}
    assert note["identity"] not in {other["identity"] for other in listed(environ)}
    record = json.loads(store.get(f"dropped/{note['identity']}.json"))
    assert (record["why"], record["note"]["uri"]) == ("withdrawn by the sender", note["uri"])
    assert "@" in record["by"]
    assert command(environ, "drop", "--all", answer="y\n").exit_code == 0
    assert listed(environ) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--all"),
        (["--all", "--reason", "x"], "--all"),
        (["12345"], "8 to 64"),
        (["0123456789"], "No documents"),
        (["--reason", "source-mising"], "source-missing"),
    ],
)
def test_an_unclear_choice_changes_nothing(
    environ: dict[str, str], store: FilesystemStore, arguments: list[str], says: str
) -> None:
    """Neither is guessed what is meant nor is a wrong document dropped; the exit code is 2."""
    fail(store, "file:///gone/a.pdf")
    for verb in (["retry"], ["drop", "--yes"]):
        done = command(environ, *verb, *arguments)
        assert (done.exit_code, says in done.output) == (2, True), done.output
    assert len(listed(environ)) == 1


def test_a_document_whose_batch_is_gone_is_left_out_and_named(environ: dict[str, str], store: FilesystemStore) -> None:
    """The others would go on; the exit code says that not all did."""
    fail(store, "file:///gone/a.pdf")
    store.delete(f"manifests/{EARLY}.jsonl")
    done = command(environ, "retry", "--all")
    assert done.exit_code == 1
    assert "left out" in done.output
    assert EARLY in done.output


def test_a_retry_goes_on_where_one_batch_cannot_be_read(environ: dict[str, str], store: FilesystemStore) -> None:
    """A damaged manifest, or a note that names no batch there can be, keeps no other document from being tried."""
    fail(store, "file:///gone/a.pdf", "file:///gone/b.pdf")
    note = listed(environ)[0]
    key, manifest = f"quarantine/{note['identity']}.json", store.get(f"manifests/{EARLY}.jsonl")
    store.put(key, json.dumps(json.loads(store.get(key)) | {"batch": "no/batch"}).encode())
    done = command(environ, "retry", "--all", "--json")
    assert (done.exit_code, last(done)["failed"]) == (1, 1), done.output
    assert "left out" in done.stderr
    store.put(key, json.dumps(json.loads(store.get(key)) | {"batch": EARLY}).encode())
    store.put(f"manifests/{EARLY}.jsonl", manifest[:-20])
    done = command(environ, "retry", "--all", "--json")
    assert (done.exit_code, last(done)["failed"]) == (1, 1), done.output
    assert "is damaged" in " ".join(done.stderr.split())


def test_a_damaged_note_is_named_and_hides_no_other(environ: dict[str, str], store: FilesystemStore) -> None:
    """The others are listed, the exit code says that it is not all, and the others can be dropped as ever."""
    fail(store, "file:///gone/a.pdf", "file:///gone/b.pdf")
    first, second = listed(environ)
    store.put(f"quarantine/{first['identity']}.json", b"{")
    done = command(environ, "list", "--json")
    assert (done.exit_code, [note["uri"] for note in last(done)["documents"]]) == (1, [second["uri"]])
    (damaged,) = last(done)["damaged"]
    assert (damaged["identity"], last(done)["total"], last(done)["truncated"]) == (first["identity"], 2, False)
    assert f"quarantine/{first['identity']}.json is damaged" in " ".join(done.stderr.split())
    assert command(environ, "drop", second["identity"][:8], "--yes").exit_code == 0
    gone = command(environ, "drop", first["identity"][:8], "--yes", "--json")
    assert (gone.exit_code, last(gone)) == (0, {"dropped": [first["identity"]]})
    assert listed(environ) == []


@pytest.mark.parametrize("name", ["x.txt", "folder/x.json"])
def test_what_is_no_note_at_all_can_be_dropped_by_its_key(
    environ: dict[str, str], store: FilesystemStore, name: str
) -> None:
    """Whoever put it there: it is named, and goes."""
    store.put(f"quarantine/{name}", b"?")
    (damaged,) = last(command(environ, "list", "--json"))["damaged"]
    retried = command(environ, "retry", damaged["key"])
    assert (retried.exit_code, "drop it" in retried.output) == (1, True), retried.output
    assert command(environ, "drop", damaged["key"], "--yes").exit_code == 0
    assert listed(environ) == []


def test_a_retry_of_a_damaged_note_finds_its_document_in_the_tables(
    tmp_path: Path, environ: dict[str, str], store: FilesystemStore
) -> None:
    """The note is gone when the document ends well, and written anew when it fails; a drop knows its batch, too."""
    paper = tmp_path / "a.pdf"
    fail(store, paper.as_uri(), tabled=True)
    (note,) = listed(environ)
    store.put(f"quarantine/{note['identity']}.json", b"{")
    again = command(environ, "retry", note["identity"], "--json")
    assert (again.exit_code, last(again)["failed"]) == (1, 1), again.output
    assert listed(environ)[0]["identity"] == note["identity"]
    store.put(f"quarantine/{note['identity']}.json", b"{")
    assert command(environ, "drop", note["identity"], "--yes").exit_code == 0
    record = json.loads(store.get(f"dropped/{note['identity']}.json"))
    assert record["batches"] == [EARLY, last(again)["batches"][0]]

    store.put(f"quarantine/{note['identity']}.json", b"{")
    paper.write_bytes(pdf("one"))
    done = command(environ, "retry", "--all", "--json")
    assert (done.exit_code, last(done)["parsed"]) == (0, 1), done.output
    assert listed(environ) == []


def test_it_works_on_a_bucket(environ: dict[str, str], s3: S3Server, bucket: str) -> None:
    """Notes are listed and dropped in a bucket as in a folder."""
    environ |= s3.environment(bucket, "p")
    fail(s3.store(bucket, "p"), "file:///gone/a.pdf")
    assert [note["uri"] for note in listed(environ)] == ["file:///gone/a.pdf"]
    assert command(environ, "drop", "--all", "--yes").exit_code == 0
    assert listed(environ) == []
