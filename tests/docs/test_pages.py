"""The pages on interfaces and decisions say what the code says."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from mineru_pipeline import errors, settings
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.inference import patience, retry
from mineru_pipeline.inference.config import BreakerConfig, ClientConfig
from mineru_pipeline.parsing.ledger import ParsedRow, SignalsRow

DOCS = settings.project_root() / "docs"
API = (DOCS / "api.md").read_text()
#: What cannot be run without a Docker engine or a cluster. Rendering an overlay can.
ELSEWHERE = re.compile(r"\b(docker (?:compose|build|run)|make (?:compose|deploy)|kubectl (?!kustomize|cli)[-a-z]+ )")
#: Lines before a command in which its mark may stand: the sentence that leads to it, or the line itself.
REACH = 5
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, its head left out."""
    section = re.split(r"\n##+ ", text.split(f" {heading}\n")[1])[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("table", "kind"),
    [("`source_documents`", SourceRow), ("`parsed_documents`", ParsedRow), ("`document_signals`", SignalsRow)],
)
def test_every_column_is_described(table: str, kind: type) -> None:
    """The page has the columns of each table, in their order, with their type."""
    documented = [name for cells in rows(API, table) for name in re.findall(r"`(\w+)`", cells[0])]
    assert sorted(documented) == sorted(each.name for each in fields(kind))
    words = {"int": "integer", "str": "text", "float": "number"}
    types = {each.name: words[str(each.type).split(" ", 1)[0]] for each in fields(kind)}
    for cells in rows(API, table):
        if cells[1]:
            assert {types[name] for name in re.findall(r"`(\w+)`", cells[0])} == {cells[1]}


def subclasses(kind: type[errors.InferenceError]) -> set[type[errors.InferenceError]]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_every_error_of_the_client_is_there_with_its_verdict() -> None:
    """Each code has a row that says whether the same request may be sent again."""
    known = {each.code: each.retryable for each in subclasses(errors.InferenceError)}
    for abstract in ("inference", "answer"):
        del known[abstract]
    documented = {cells[0].strip("`"): {"yes": True, "no": False}[cells[2]] for cells in rows(API, "Errors")}
    assert documented == known


def test_attempts_and_pauses_are_those_of_the_client() -> None:
    """Figures of the page are the defaults and the constants of the code."""
    config = ClientConfig(base_urls=("http://localhost:1",), model="m")
    table = {cells[0]: cells[1] for cells in rows(API, "Attempts and pauses")}
    assert f"`http_client.retry_attempts` ({config.retry_attempts})" in table["attempts for one request"]
    pause = table["pause before attempt *n* + 1"]
    assert f"`backoff_min_seconds` ({config.backoff_min_seconds:g})" in pause
    assert f"`backoff_max_seconds` ({config.backoff_max_seconds:g})" in pause
    assert f"latest {retry.RECENT} requests" in pause
    assert f"({config.total_deadline_seconds:g})" in table["one request with all attempts"]
    attempt = table["one attempt"]
    assert f"{patience.QUANTILE:.0%}" in attempt
    assert f"at least {patience.FLOOR_SECONDS:g} s" in attempt
    assert f"({config.timeout_seconds:g}); {patience.START_SECONDS:g} s" in attempt
    assert (patience.FACTOR, retry.RETRY_RATIO, retry.RETRY_RESERVE_PER_SECOND) == (3.0, 0.2, 10.0)
    assert f"outage_budget_seconds` ({config.outage_budget_seconds:g})" in API


def test_the_thresholds_of_the_breaker_are_those_in_force() -> None:
    """The decision on the breaker names the values that the code has."""
    page = (DOCS / "adr" / "0003-breaker-thresholds.md").read_text()
    config = BreakerConfig()
    named = {cells[0].strip("`"): float(cells[1]) for cells in rows(page, "Decision")}
    assert len(named) == len(fields(config)) - 1
    assert named == {name: getattr(config, name) for name in named}


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_has_its_parts(decision: Path) -> None:
    """Each says its status, context, decision and consequences, under its own number, and is in the list."""
    text = decision.read_text()
    assert text.startswith(f"# {decision.name[:4]}: ")
    assert re.search(r"^Status: (accepted|replaced)", text, re.MULTILINE)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert f"[{decision.name[:4]}]({decision.name})" in (DOCS / "adr" / "index.md").read_text()


def test_decisions_are_numbered_without_a_gap() -> None:
    """No number is missing or used twice."""
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]


def test_the_modules_that_import_dagster_are_those_named() -> None:
    """The decision on Dagster's imports lists just the modules that have one."""
    package = settings.project_root() / "mineru_pipeline"
    importing = re.compile(r"^\s*(import|from) dagster\b", re.MULTILINE)
    found = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if importing.search(path.read_text())
    }
    page = (DOCS / "adr" / "0010-where-dagster-is-imported.md").read_text()
    decision = page.split("## Decision")[1].split("## Consequences")[0]
    assert set(re.findall(r"`(\w+\.py)`", decision)) == found


def test_the_looks_at_a_name_and_a_port_work() -> None:
    """The two lines of Python for a pod without tools: one resolves a name, the other opens a port or says why not."""
    page = (DOCS / "troubleshooting.md").read_text()
    resolve, connect = re.findall(r'^python -c "(.*)"$', page, re.MULTILINE)

    def ask(code: str, port: int) -> subprocess.CompletedProcess[str]:
        code = code.replace("8000", str(port))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert str(port) in ask(resolve, port).stdout
        assert ask(connect, port).stdout == "open\n"
    assert "refused" in ask(connect, port).stderr


def test_what_needs_docker_or_a_cluster_says_so() -> None:
    """On the pages that were written without either, every such command has its mark beside or just before it."""
    pages = [*(DOCS / "deployment").glob("*.md"), DOCS / "troubleshooting.md"]
    seen = 0
    for page in pages:
        lines = page.read_text().splitlines()
        for place, line in enumerate(lines):
            if ELSEWHERE.search(line):
                seen += 1
                near = "\n".join(lines[max(0, place - REACH) : place + 1])
                assert re.search(r"needs? (Docker|a cluster)", near), f"{page.name}:{place + 1}: {line}"
    assert seen > 10


def test_the_example_of_settings_is_valid(tmp_path: Path) -> None:
    """The YAML on the page of settings loads, and means what the variables beside it mean."""
    page = (DOCS / "configuration.md").read_text()
    (tmp_path / "s.yaml").write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    environ = dict(each.split("=", 1) for each in re.findall(r"`(MINERU_PIPELINE__\w+=\S+)`", page))
    assert len(environ) == 2
    from_file = settings.load(tmp_path / "s.yaml", environ={}).settings
    assert from_file == settings.load(environ=environ).settings
    assert from_file.workers.count != settings.load(environ={}).settings.workers.count


def test_the_arithmetic_of_gpus_starts_from_the_manifests() -> None:
    """Flags and sizes on the page of GPUs are those that the server is started with, and its example adds up."""
    page = (DOCS / "deployment" / "gpu-sizing.md").read_text()
    base = DOCS.parent / "deploy" / "k8s" / "base"
    serving = dict(
        line.split("=", 1) for line in (base / "vllm" / "serving.env").read_text().splitlines() if "=" in line
    )
    assert f"`GPU_MEMORY_UTILIZATION` ({serving['GPU_MEMORY_UTILIZATION']})" in page
    assert f"`MAX_NUM_SEQS` ({serving['MAX_NUM_SEQS']})" in page
    assert f"context is {int(serving['MAX_MODEL_LEN']):,} tokens" in page
    share = float(serving["GPU_MEMORY_UTILIZATION"])
    assert f"× 24 = {24 * share:.1f} GB, less 2.4 GB of weights, so {24 * share - 2.4:.0f} GB" in page
    token = 2 * 28 * 4 * 128 * 2
    assert f"{token:,} bytes, {token // 1024} KiB" in page
    assert f"24 × 0.92, less 16.6 GB of weights, {24 * 0.92 - 16.6:.1f} GB remain" in page
    assert f"some {round(5e9 / token, -4):,.0f} tokens" in page
    assert f"{10_000 / 3600:.1f} pages and {10 * 10_000 / 3600:.0f} requests a second" in page
    measured = json.loads((DOCS.parent / "bench" / "results.json").read_text())
    assert f"{measured['client_cpu_ms_per_page']['ours']:.0f} ms a page (*measured*" in page
    assert f"{measured['peak_rss_mib']['ours']:.0f} MiB at its peak" in page
