"""``mineru-pipeline run`` with its store in a bucket of a real S3 server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import ModelServer, pdf
from s3_faults import error, faulty_s3, no_fault
from s3_server import S3Server

from mineru_pipeline import launch
from mineru_pipeline.settings import load

pytestmark = pytest.mark.timeout(300)

Environment = Callable[[ModelServer | str], dict[str, str]]
NOT_COMPARED = {"result.json", "report.html"}


def run(environ: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mineru_pipeline.cli", "run", *map(str, arguments), "--json"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240, check=False, cwd="/")


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_bucket(s3: S3Server, bucket: str, prefix: str) -> dict[str, bytes]:
    """Every object below parsed/ and extracted/ that must not differ between two runs."""
    store = s3.store(bucket, prefix)
    keys = [info.key for room in ("parsed/", "extracted/") for info in store.list(room)]
    return {key: store.get(key) for key in keys if key.rsplit("/", 1)[-1] not in NOT_COMPARED}


def in_folder(root: Path) -> dict[str, bytes]:
    files = [path for room in ("parsed", "extracted") for path in (root / room).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.name not in NOT_COMPARED}


def test_a_second_run_asks_for_nothing_and_a_folder_would_hold_the_same(
    tmp_path: Path, model_server: ModelServer, environment: Environment, s3: S3Server, bucket: str
) -> None:
    """A run in a bucket ends as one in a folder does, byte for byte; repeating it makes no request to the model."""
    papers = tmp_path / "papers"
    papers.mkdir()
    good = pdf("one", "two", "three")
    for name, data in {"a good one.pdf": good, "copy.pdf": good, "broken.pdf": good[:400]}.items():
        (papers / name).write_bytes(data)
    environ = environment(model_server) | s3.environment(bucket, "team a/1")
    before = model_server.answered()
    first = run(environ, papers)
    found = summary(first)
    assert first.returncode == 0, first.stderr
    assert (found["documents"], found["parsed"], found["rejected"], found["pages"]) == (3, 2, 1, 3)
    assert found["outputs"] == f"s3://{bucket}/team%20a/1/parsed"
    written = in_bucket(s3, bucket, "team a/1")
    assert {key.rsplit("/", 1)[-1] for key in written} >= {"document.md", "layout.pdf", "model.jsonl"}

    asked = model_server.answered()
    assert asked > before
    again = run(environ, papers)
    assert again.returncode == 0, again.stderr
    assert (summary(again)["requests"], model_server.answered()) == (0, asked)
    assert summary(again)["batches"] == found["batches"]
    assert in_bucket(s3, bucket, "team a/1") == written

    # The address of the store on the command line wins over the settings, whichever store it is.
    assert run(environ, papers, "--out", tmp_path / "folder").returncode == 0
    assert in_folder(tmp_path / "folder") == written
    plain = environment(model_server) | s3.access()
    third = run(plain, papers, "--out", f"s3://{bucket}/team%20a/1")
    assert (third.returncode, summary(third)["requests"]) == (0, 0), third.stderr

    the_key_and_the_secret_are_nowhere(s3, environ, first, again, third)


@pytest.mark.parametrize("served", [12, 30])
def test_an_outage_of_the_store_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, model_server: ModelServer, environment: Environment, s3: S3Server, bucket: str, served: int
) -> None:
    """A server that goes down in the middle stops the run with its name; afterwards the same command finishes it.

    No document is marked, and the results are those of a run that nothing disturbed.
    """
    papers = tmp_path / "papers"
    papers.mkdir()
    for number in range(3):
        (papers / f"{number}.pdf").write_bytes(pdf(*(f"document {number}, page {page}" for page in range(4))))
    with faulty_s3(s3) as proxy:
        environ = environment(model_server) | proxy.server.environment(bucket, "disturbed")
        environ["MINERU_PIPELINE__MINIO__RETRY_BUDGET_SECONDS"] = "0.3"
        proxy.faults = [no_fault] * served + [error(503, "SlowDown")] * 100_000
        stopped = run(environ, papers)
        assert stopped.returncode == 3, stopped.stderr
        assert proxy.endpoint in summary(stopped)["stopped"]
        assert "503" in summary(stopped)["stopped"]
        assert summary(stopped)["failed"] == 0
        proxy.faults.clear()
        finished = run(environ, papers)
    assert finished.returncode == 0, finished.stderr
    assert (summary(finished)["parsed"], summary(finished)["pages"]) == (3, 12)
    assert summary(finished)["batches"] == summary(stopped)["batches"]
    assert run(environment(model_server), papers, "--out", tmp_path / "calm").returncode == 0
    assert in_bucket(s3, bucket, "disturbed") == in_folder(tmp_path / "calm")


def the_key_and_the_secret_are_nowhere(
    s3: S3Server, environ: dict[str, str], *runs: subprocess.CompletedProcess[str]
) -> None:
    """Neither what the command printed nor what Dagster keeps of its runs holds a credential."""
    settings = load(environ={k: v for k, v in environ.items() if k.startswith("MINERU_PIPELINE__")}).settings
    with launch.open_instance(settings) as instance:
        records = instance.get_run_records()
        assert len(records) >= 3
        kept = [json.dumps(record.dagster_run.run_config) + json.dumps(record.dagster_run.tags) for record in records]
        for record in records:
            kept += [entry.user_message + repr(entry.dagster_event) for entry in logs(instance, record)]
    printed = [done.stdout + done.stderr for done in runs]
    assert [text for text in kept + printed if s3.access_key in text or s3.secret_key in text] == []
    assert any("s3://" in text for text in kept)


def logs(instance: dg.DagsterInstance, record: dg.RunRecord) -> list[dg.EventLogEntry]:
    return list(instance.all_logs(record.dagster_run.run_id))


def test_a_store_that_is_gone_ends_the_run_and_says_so(
    tmp_path: Path, model_server: ModelServer, environment: Environment, s3: S3Server
) -> None:
    """Without its bucket the command ends before a run is started, with a sentence that names bucket and cure."""
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    done = run(environment(model_server) | s3.environment("no-such-bucket-here"), tmp_path / "a.pdf")
    assert done.returncode == 2
    assert "no-such-bucket-here" in done.stderr
    assert "create it" in done.stderr
    assert "Traceback" not in done.stderr
