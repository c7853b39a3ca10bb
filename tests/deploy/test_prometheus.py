"""A real Prometheus with our rules sees a fault of a real server, and its end."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from conftest import SIMULATED_MODEL, ModelServer, start_server, stop_server
from PIL import Image
from prometheus import needs_prometheus

from mineru_pipeline.settings import project_root

RULES = project_root() / "deploy" / "monitoring" / "rules"
#: Long enough for a machine that is busy with other tests; usually it takes a quarter of that.
PATIENCE_SECONDS = 90


def hurried(text: str) -> str:
    """The rules with a second in place of each minute, in windows and in what an alert waits for."""
    text = re.sub(r"\[(\d+)m\]", r"[\1s]", text)
    return re.sub(r"for: (\d+)m", r"for: \1s", text)


def until(condition: Callable[[], bool], meanwhile: Callable[[], Any] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing of the kind was seen"
        meanwhile()
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    """A simulated server whose faults can be set."""
    (tmp_path / "faults.yaml").write_text("rules: []\n")
    started = start_server(tmp_path, "--faults", str(tmp_path / "faults.yaml"))
    yield started
    stop_server(started)


@pytest.fixture
def prometheus(tmp_path: Path, server: ModelServer) -> Iterator[str]:
    """The address of a Prometheus that asks the server twice a second."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for file in RULES.glob("*.yaml"):
        (folder / file.name).write_text(hurried(file.read_text()))
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(folder / "*.yaml")],
        "scrape_configs": [{"job_name": "vllm", "static_configs": [{"targets": [server.url.removeprefix("http://")]}]}],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data"]
    # Any free port; the log says which.
    command += ["--web.listen-address=127.0.0.1:0", "--log.level=info"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    found: list[str] = []

    def listening() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        found[:] = re.findall(r"Listening on\"? address=(127\.0\.0\.1:\d+)", (tmp_path / "log").read_text())
        return bool(found)

    try:
        until(listening)
        yield f"http://{found[0]}"
    finally:
        process.terminate()
        process.wait(30)


def firing(prometheus: str) -> set[str]:
    """The alerts that fire now, by Prometheus' own API."""
    answer = httpx.get(f"{prometheus}/api/v1/alerts", trust_env=False, timeout=30).json()
    return {alert["labels"]["alertname"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"}


def ask(server: ModelServer) -> int:
    """One request for a page, as a worker sends it; its status."""
    buffer = io.BytesIO()
    Image.new("RGB", (56, 56), "white").save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "\nLayout Detection:"}]
    body = {"model": SIMULATED_MODEL, "messages": [{"role": "user", "content": parts}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, trust_env=False, timeout=30).status_code


@needs_prometheus
def test_a_fault_rings_and_its_end_is_seen(server: ModelServer, prometheus: str) -> None:
    """Errors of the server make its alert fire; without them it ends."""
    assert ask(server) == 200
    until(lambda: _value(prometheus, 'up{job="vllm"}') == 1)
    assert "ModelServerErrors" not in firing(prometheus)
    plan = {"rules": [{"fault": "error-500"}]}
    httpx.post(f"{server.url}/faults", json=plan, trust_env=False).raise_for_status()
    assert ask(server) == 500
    until(lambda: "ModelServerErrors" in firing(prometheus), lambda: ask(server))
    assert "ModelServerDown" not in firing(prometheus)
    httpx.post(f"{server.url}/faults", json={"rules": []}, trust_env=False).raise_for_status()
    assert ask(server) == 200
    until(lambda: "ModelServerErrors" not in firing(prometheus), lambda: ask(server))


def _value(prometheus: str, query: str) -> float | None:
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, trust_env=False, timeout=30).json()
    found = answer["data"]["result"]
    return float(found[0]["value"][1]) if found else None
