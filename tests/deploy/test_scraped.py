"""What rules and dashboards ask for is scraped under the name that they use, with Compose and in Kubernetes."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from compose_file import COMPOSE, read
from manifests.objects import matches
from manifests.rules import overlay

from mineru_pipeline.settings import project_root

MONITORING = project_root() / "deploy" / "monitoring"
SERVICES = read().services()


def asked() -> set[str]:
    """The jobs that rules and dashboards name."""
    files = [*(MONITORING / "rules").glob("*.yaml"), *(MONITORING / "dashboards").glob("*.json")]
    found = re.findall(r'\bjob=~?\\?"([^"\\]+)', " ".join(file.read_text() for file in files))
    return {job for each in found for job in each.split("|")}


def in_container(service: str, path: str) -> str:
    """Where the path of a container lies, from the folder of the Compose file."""
    mounts = [volume.split(":")[:2] for volume in SERVICES[service]["volumes"]]
    for source, target in mounts:
        if PurePosixPath(path).is_relative_to(target):
            return str(PurePosixPath(source) / PurePosixPath(path).relative_to(target))
    pytest.fail(f"{service} has no {path}")


def prometheus() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "prometheus.yaml").read_text())
    return found


def test_compose_scrapes_every_job_that_is_asked_for() -> None:
    """No rule waits for a job that Prometheus calls otherwise, and each is asked for metrics where it has them."""
    jobs = {each["job_name"]: each.get("metrics_path", "/metrics") for each in prometheus()["scrape_configs"]}
    assert "vllm" in asked()
    assert asked() <= set(jobs)
    # Of the servers here only MinIO has them elsewhere.
    assert {path for job, path in jobs.items() if job != "minio"} == {"/metrics"}
    assert jobs["minio"] == "/minio/v2/metrics/cluster"


def test_compose_reads_every_rule_and_every_dashboard() -> None:
    """The pattern of rules fits each file where it is mounted, and Grafana looks in the folder of dashboards."""
    (pattern,) = prometheus()["rule_files"]
    folder = COMPOSE / in_container("prometheus", str(PurePosixPath(pattern).parent))
    files = list((MONITORING / "rules").iterdir())
    assert files
    assert folder.resolve() == MONITORING / "rules"
    assert [file for file in files if not fnmatch(file.name, PurePosixPath(pattern).name)] == []
    (provider,) = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text())["providers"]
    shown = COMPOSE / in_container("grafana", provider["options"]["path"])
    assert shown.resolve() == MONITORING / "dashboards"


@pytest.mark.parametrize("name", ["staging", "production"])
def test_monitors_name_every_job_that_is_asked_for(name: str) -> None:
    """The label that a monitor takes the job from gives what the rules call it, and all are asked for /metrics."""
    cluster = overlay(name)
    jobs = set()
    for monitor in cluster.of("ServiceMonitor", "PodMonitor"):
        spec = monitor["spec"]
        labels = [each["metadata"]["labels"] for each in cluster.of("Service")]
        if monitor["kind"] == "PodMonitor":
            labels = [dict(pod.labels) for pod in cluster.pods()]
        label = spec["jobLabel"]
        jobs |= {each[label] for each in labels if matches(spec["selector"], each)}
        endpoints = spec.get("endpoints", spec.get("podMetricsEndpoints"))
        assert {each["path"] for each in endpoints} == {"/metrics"}
    assert asked() <= jobs
    assert "mineru-pipeline-exporter" in jobs
