"""``mineru-pipeline loadtest`` against a real simulated server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import SIMULATED_MODEL, ModelServer, start_server, stop_server
from typer.testing import CliRunner, Result

from mineru_pipeline.cli import app
from mineru_pipeline.commands.loadtest import latency
from mineru_pipeline.commands.loadtest_page import BLOCKS, requests
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig


def loadtest(url: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["loadtest", "--base-url", url, "--model", SIMULATED_MODEL, *options])


def test_a_load_test_reports_what_was_answered_and_how_fast(model_server: ModelServer) -> None:
    """With --json one object on standard output tells answers, latencies, throughput and tokens; the exit code is 0."""
    before = model_server.answered()
    done = loadtest(model_server.url, "--requests", "25", "--concurrency", "3", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["requests"], found["answered"], found["failed"], found["stopped"]) == (25, 25, {}, "")
    assert (found["highest_limit"], found["last_limit"]) == (3, 3)
    assert list(found["latency_seconds"]) == ["mean", "p50", "p95", "p99", "max"]
    assert found["requests_per_second"] > 0
    assert found["completion_tokens_per_second"] > 0
    assert model_server.answered() == before + 25


def test_without_concurrency_the_limiter_decides(slow_server: ModelServer) -> None:
    """The limiter starts with few and lets more pass, and the report says how many."""
    done = loadtest(slow_server.url, "--requests", "60", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["highest_limit"] >= found["last_limit"] > 1


def test_failed_requests_are_told_by_kind_and_set_the_exit_code(tmp_path: Path) -> None:
    """A server that refuses tables costs those requests alone: each is counted, and the exit code is 1."""
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"rules": [{"fault": "bad-image", "match": {"kind": "table"}}]}))
    server = start_server(tmp_path, "--faults", str(faults))
    try:
        done = loadtest(server.url, "--requests", "20", "--json")
        shown = loadtest(server.url, "--requests", "10")
    finally:
        stop_server(server)
    assert done.exit_code == 1
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["answered"], found["failed"], found["retries"]) == (18, {"client-side": 2}, 0)
    assert "client-side × 1" in shown.output


def test_a_server_of_no_use_is_named(model_server: ModelServer) -> None:
    """No address, nobody there, another model: each is said in a sentence, with exit code 2."""
    runner = CliRunner()
    nowhere = runner.invoke(app, ["loadtest"])
    assert (nowhere.exit_code, "--base-url" in nowhere.output) == (2, True)
    refused = loadtest("http://127.0.0.1:9", "--requests", "1")
    assert (refused.exit_code, "No model server answers" in refused.output) == (2, True)
    other = runner.invoke(app, ["loadtest", "--base-url", model_server.url, "--model", "other"])
    assert (other.exit_code, SIMULATED_MODEL in other.output) == (2, True)


def test_the_key_comes_from_a_file(tmp_path: Path) -> None:
    """With the server's key it works; without one it is refused, and the key is never shown."""
    key = tmp_path / "key"
    key.write_text("hunter2\n")
    server = start_server(tmp_path, "--api-key-file", str(key))
    try:
        good = loadtest(server.url, "--requests", "2", "--api-key-file", str(key))
        bad = loadtest(server.url, "--requests", "2")
    finally:
        stop_server(server)
    assert good.exit_code == 0, good.output
    assert bad.exit_code == 2
    assert "hunter2" not in good.output + bad.output


def test_requests_are_pages_with_their_blocks() -> None:
    """A page is a layout request and one for each block that MinerU reads, and the next page differs from it."""
    client = VLLMClient(ClientConfig(base_urls=("http://127.0.0.1:9",), model="m"))
    size = 1 + len(BLOCKS)
    sent = list(requests(client, 2 * size))
    assert [request.kind == "layout" for request in sent] == ([True] + [False] * (size - 1)) * 2
    assert len({request.pictures[0] for request in sent}) == 2 * size


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        ([], None),
        ([2.0], {"mean": 2.0, "p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}),
        (
            [float(n) for n in range(100, 0, -1)],
            {"mean": 50.5, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0},
        ),
    ],
)
def test_percentiles_are_by_nearest_rank(seconds: list[float], found: dict[str, float] | None) -> None:
    """The p-th percentile is a latency that occurred, below which p percent lie."""
    assert latency(seconds) == found
