"""A real Alertmanager with our routing calls whom it should, and keeps quiet about what follows from a known fault."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bench.ports import free_port
from mineru_pipeline.settings import project_root

CONFIG = project_root() / "deploy" / "compose" / "alertmanager.yaml"
RULES = project_root() / "deploy" / "monitoring" / "rules"
MISSING = "amtool is not installed; Debian and Ubuntu have it in the package 'prometheus-alertmanager'"
#: Long enough for a machine that is busy with other tests; usually it takes a second.
PATIENCE_SECONDS = 60

#: Debian calls the server otherwise than its makers do.
SERVER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

pytestmark = pytest.mark.skipif(shutil.which("amtool") is None or SERVER is None, reason=MISSING)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of an Alertmanager that knows our routing and no other Alertmanager."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(SERVER), f"--config.file={CONFIG}", f"--storage.path={tmp_path}/data"]
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
            while True:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, "it does not answer"
                try:
                    if client.get("/-/ready").is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_amtool_finds_nothing() -> None:
    """The routing is one that Alertmanager reads."""
    done = subprocess.run(["amtool", "check-config", CONFIG], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_reaches_those_who_are_meant(alertmanager: httpx.Client) -> None:
    """What is critical calls somebody, and all else becomes a ticket."""
    rules = [
        rule
        for file in RULES.glob("*.yaml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    told = told_of(alertmanager, [{"alertname": rule["alert"], **rule["labels"]} for rule in rules])
    assert {alert["labels"]["alertname"]: [one["name"] for one in alert["receivers"]] for alert in told} == {
        rule["alert"]: ["on-call" if rule["labels"]["severity"] == "critical" else "tickets"] for rule in rules
    }


def test_a_server_that_is_down_silences_itself_alone(alertmanager: httpx.Client) -> None:
    """That it is slow is no news then; that another server fails is, all the more as it has the work of both."""
    down = {"alertname": "ModelServerDown", "severity": "critical", "instance": "10.0.0.1:8000"}
    slow = {"alertname": "ModelServerSlow", "severity": "warning", "instance": "10.0.0.1:8000"}
    other = {"alertname": "ModelServerErrors", "severity": "critical", "instance": "10.0.0.2:8000"}
    told = told_of(alertmanager, [down, slow, other], quiet="ModelServerSlow")
    assert muted(told) == {"ModelServerSlow"}


def test_an_outage_silences_what_follows_from_it(alertmanager: httpx.Client) -> None:
    """While nothing gets through to any server, no second alert says that no page comes."""
    outage = {"alertname": "Outage", "severity": "critical"}
    silent = {"alertname": "NoPageFinished", "severity": "critical"}
    told = told_of(alertmanager, [outage, silent], quiet="NoPageFinished")
    assert muted(told) == {"NoPageFinished"}


def told_of(client: httpx.Client, alerts: list[dict[str, str]], quiet: str | None = None) -> list[dict[str, Any]]:
    """Tell of the alerts, and wait until all are known, and one is kept quiet if it is named."""
    client.post("/api/v2/alerts", json=[{"labels": labels} for labels in alerts]).raise_for_status()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found: list[dict[str, Any]] = client.get("/api/v2/alerts").raise_for_status().json()
        if len(found) == len(alerts) and (quiet is None or quiet in muted(found)):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def muted(alerts: list[dict[str, Any]]) -> set[str]:
    """The alerts of which nobody is told because of another."""
    return {one["labels"]["alertname"] for one in alerts if one["status"]["inhibitedBy"]}
