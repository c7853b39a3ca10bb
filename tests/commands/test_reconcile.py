"""``mineru-pipeline reconcile``: what it says, what it requests and how it ends, on a real S3 server and instance."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from s3_faults import error, faulty_s3, no_fault
from s3_server import S3Server
from typer.testing import CliRunner

from mineru_pipeline import launch
from mineru_pipeline.cli import app
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.documents.sweep import PAGE
from mineru_pipeline.settings import load
from mineru_pipeline.storage import FilesystemStore, layout
from mineru_pipeline.storage.addresses import object_uri


@dataclass
class Desk:
    """A folder as store, a bucket of documents, and the command."""

    environ: Mapping[str, str]
    server: S3Server
    bucket: str
    store: FilesystemStore

    def put(self, *keys: str) -> None:
        client = self.server.client
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: client.put_object(self.bucket, key, io.BytesIO(b"x"), 1), keys))

    def run(self, *arguments: str, **changes: str) -> Result:
        environ = {**self.environ, **{f"MINERU_PIPELINE__{name}": value for name, value in changes.items()}}
        return CliRunner().invoke(app, ["reconcile", *arguments], env=environ)

    def answer(self, *arguments: str, **changes: str) -> tuple[int, dict[str, Any]]:
        done = self.run(*arguments, "--json", **changes)
        return done.exit_code, json.loads(done.stdout.splitlines()[-1])

    def partitions(self) -> list[str]:
        ours = {name: value for name, value in self.environ.items() if name.startswith("MINERU_PIPELINE__")}
        with launch.open_instance(load(environ=ours).settings) as instance:
            return list(instance.get_dynamic_partitions(launch.PARTITIONS))


@pytest.fixture
def desk(tmp_path: Path, environment: Callable[[str], dict[str, str]], s3: S3Server, bucket: str) -> Desk:
    environ = {
        **environment("http://127.0.0.1:9"),
        **s3.access(),
        "MINERU_PIPELINE__INTAKE__BUCKETS": bucket,
        "MINERU_PIPELINE__INTAKE__RECONCILE_GRACE_SECONDS": "0",
        "MINERU_PIPELINE__MINIO__RETRY_BUDGET_SECONDS": "5",
    }
    return Desk(environ, s3, bucket, FilesystemStore(tmp_path / "data" / "store"))


def test_what_is_missing_is_requested_once(desk: Desk) -> None:
    """The batch and its partition are made, and said; a second call finds nothing missing; both end with 0."""
    desk.put("a b.pdf", "ü/c.pdf", "notes.txt")
    code, found = desk.answer()
    assert (code, found["missing_in_all"], found["requested"]) == (0, 2, 2)
    ((batch,),) = (report["batches"] for report in found["places"])
    assert desk.partitions() == [batch]
    manifest = read_manifest(desk.store, batch)
    assert [ref.uri for ref in manifest.refs] == [object_uri(desk.bucket, key) for key in ("a b.pdf", "ü/c.pdf")]
    assert manifest.tenant == "default"
    again, found = desk.answer()
    assert (again, found["missing_in_all"], found["requested"], found["counts"]["waiting"]) == (0, 0, 0, 2)
    assert desk.partitions() == [batch]


def test_it_says_what_will_start_the_runs(desk: Desk) -> None:
    """Whoever has no daemon learns that nothing runs the batches."""
    desk.put("a.pdf")
    text = desk.run().stdout
    assert f"missing   {object_uri(desk.bucket, 'a.pdf')}" in text
    assert "1 missing, 1 requested" in text
    assert "unfinished_batches" in text
    assert "without a daemon nothing runs them" in text


def test_a_dry_run_changes_nothing_and_ends_with_1_where_something_is_missing(desk: Desk, tmp_path: Path) -> None:
    """Neither store nor instance is made; with nothing missing it ends with 0."""
    assert desk.run("--dry-run").exit_code == 0
    desk.put("a.pdf")
    done = desk.run("--dry-run")
    assert (done.exit_code, "dry run" in done.stdout) == (1, True)
    assert not list((tmp_path).glob("data/*"))


def test_the_grace_is_a_setting(desk: Desk) -> None:
    """With the default an object that has just been stored is left to the sensors."""
    desk.put("a.pdf")
    code, found = desk.answer(INTAKE__RECONCILE_GRACE_SECONDS="600")
    assert (code, found["counts"]["fresh"], found["requested"]) == (0, 1, 0)


def test_places_are_those_of_the_settings_and_can_be_narrowed(desk: Desk) -> None:
    """A bucket with watched places is compared there alone; a prefix is compared as it is; others are refused."""
    desk.put("in/a.pdf", "out/b.pdf")
    watch = {"INTAKE__WATCH": f"{desk.bucket}/in/"}
    _, found = desk.answer("--dry-run", **watch)
    assert ([report["place"] for report in found["places"]], found["missing_in_all"]) == ([f"{desk.bucket}/in/"], 1)
    _, found = desk.answer("--dry-run", "--bucket", desk.bucket, "--prefix", "out/", **watch)
    assert ([report["place"] for report in found["places"]], found["missing_in_all"]) == ([f"{desk.bucket}/out/"], 1)
    refused = desk.run("--bucket", "another")
    assert (refused.exit_code, "intake.buckets" in refused.output) == (2, True)
    half = desk.run("--bucket", desk.bucket, "--prefix", "out\udcff")
    assert (half.exit_code, "not valid Unicode" in half.output) == (2, True)
    alone = desk.run("--prefix", "out/")
    assert (alone.exit_code, "exactly one bucket" in alone.output) == (2, True)


def test_whose_the_missing_are_can_be_said(desk: Desk) -> None:
    """Where another tenant announced, nothing is requested (1) until the tenant is named, whose they are then."""
    desk.put("a.pdf", "b.pdf")
    known = DocumentRef(object_uri(desk.bucket, "a.pdf"), 1, None, None, "2126-01-01T00:00:00Z", "kafka", tenant="acme")
    write_manifest(desk.store, BatchManifest("20260101T000000Z-0123456789ab", "default", (known,)))
    code, found = desk.answer()
    assert (code, found["missing_in_all"], found["requested"]) == (1, 1, 0)
    code, found = desk.answer("--tenant", "acme")
    assert (code, found["requested"]) == (0, 1)
    ((batch,),) = (report["batches"] for report in found["places"])
    assert read_manifest(desk.store, batch).tenant == "acme"
    assert desk.run("--tenant", "No Tenant").exit_code == 2


def test_a_bucket_that_cannot_be_listed_ends_with_3(desk: Desk) -> None:
    """The other bucket is reconciled; the failure is told, without any key of ours."""
    desk.put("a.pdf")
    buckets = {"INTAKE__BUCKETS": f"{desk.bucket},no-such-bucket-of-ours"}
    code, found = desk.answer(**buckets)
    assert (code, found["requested"]) == (3, 1)
    (text,) = found["failures"]
    assert "There is no bucket 'no-such-bucket-of-ours'" in text
    done = desk.run(**buckets)
    assert "error: Cannot list s3://no-such-bucket-of-ours" in done.stdout
    assert desk.server.secret_key not in done.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"MINIO__ENDPOINT": "http://127.0.0.1:9", "MINIO__RETRY_BUDGET_SECONDS": "0.1"}, "cannot be reached"),
        ({"MINIO__SECRET_KEY": "wrong"}, "minio.secret_key"),
    ],
)
def test_a_server_that_lets_nobody_in_ends_with_3(desk: Desk, changes: dict[str, str], says: str) -> None:
    """Down or with wrong keys: a sentence says what to check, and nothing is requested."""
    desk.put("a.pdf")
    done = desk.run(**changes)
    assert (done.exit_code, says in done.stdout) == (3, True), done.output
    assert list(desk.store.list(layout.MANIFESTS)) == []


def test_a_bucket_that_we_may_not_list_ends_with_3(desk: Desk) -> None:
    """Without the right to list, a sentence says so, and the instance and the store are as before."""
    with faulty_s3(desk.server) as proxy:
        proxy.faults = [error(403, "AccessDenied")]
        code, found = desk.answer(MINIO__ENDPOINT=proxy.endpoint)
    assert (code, found["requested"], desk.partitions()) == (3, 0, [])
    assert "AccessDenied" in found["failures"][0]


def test_a_listing_that_breaks_off_is_gone_on_with(desk: Desk) -> None:
    """While the server is unwell its pages are asked for again, and nothing is missed or told twice."""
    desk.put(*(f"{number:04d}.pdf" for number in range(PAGE + 1)))
    with faulty_s3(desk.server) as proxy:
        proxy.faults = [no_fault, error(503, "SlowDown")]
        code, found = desk.answer("--dry-run", MINIO__ENDPOINT=proxy.endpoint, MINIO__RETRY_BUDGET_SECONDS="60")
    assert (code, found["counts"]["missing"], found["places"][0]["listed"]) == (1, PAGE + 1, PAGE + 1)


def test_an_announced_version_is_asked_for(desk: Desk) -> None:
    """An announcement that names a version and no ETag accounts for the object while that version is the latest."""
    desk.server.client.set_bucket_versioning(desk.bucket, VersioningConfig(ENABLED))
    written = desk.server.client.put_object(desk.bucket, "a b.pdf", io.BytesIO(b"1"), 1)
    uri = object_uri(desk.bucket, "a b.pdf")
    known = DocumentRef(uri, None, None, written.version_id, "2126-01-01T00:00:00Z", "kafka")
    write_manifest(desk.store, BatchManifest("20260101T000000Z-0123456789ab", "default", (known,)))
    code, found = desk.answer("--dry-run")
    assert (code, found["counts"]["waiting"], found["missing_in_all"]) == (0, 1, 0)
    desk.server.client.put_object(desk.bucket, "a b.pdf", io.BytesIO(b"2"), 1)
    code, found = desk.answer("--dry-run")
    assert (code, found["counts"]["changed"]) == (1, 1)


def test_without_buckets_it_says_so(desk: Desk) -> None:
    """Nothing to compare is no error; the batches are still looked at."""
    done = desk.run(INTAKE__BUCKETS="[]", MINIO__ENDPOINT="null")
    assert (done.exit_code, "intake.buckets" in done.stdout) == (0, True), done.output
