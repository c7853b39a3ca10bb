"""Rules on the files beside the Compose file, and on health checks and order; each yields what is wrong."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from compose_file import COMPOSE, ROOT, Files, behind, listening, read

MONITORING = ROOT / "deploy" / "monitoring"
#: What the store needs (README.md), and Dagster's logs.
RIGHTS = {
    "documents": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
    "inbox": {"s3:GetObject"},
    "dagster-logs": {"s3:GetObject", "s3:PutObject"},
}
#: What has to have ended well, or be well, before a service starts.
AFTER = {
    "code-location": {"migrate", "minio-setup", "kafka-setup", "postgres"},
    "exporter": {"migrate", "minio-setup"},
    "webserver": {"migrate", "code-location"},
    "daemon": {"migrate", "code-location"},
    "migrate": {"postgres"},
    "minio-setup": {"minio", "kafka-setup"},
    "kafka-setup": {"kafka"},
    "vllm": {"weights"},
}


@dataclass(frozen=True)
class Parts:
    """The Compose file with the files that its services read."""

    files: Files
    prometheus: dict[str, Any]
    datasources: dict[str, Any]
    providers: dict[str, Any]
    policy: dict[str, Any]

    def mutable(self) -> Parts:
        return copy.deepcopy(self)


def parts() -> Parts:
    """Those of the checkout."""
    loaded = (
        yaml.safe_load((COMPOSE / name).read_text())
        for name in ("prometheus.yaml", "grafana/datasources.yaml", "grafana/dashboards.yaml", "minio/policy.json")
    )
    return Parts(read(), *loaded)


def target(service: Mapping[str, Any], source: str) -> str:
    """Where a service has a folder of the checkout; "" if it has not."""
    found = [volume.split(":") for volume in service["volumes"]]
    return next((there for here, there, *_ in found if here == source), "")


def probed(given: Parts) -> Iterator[str]:
    """A health check asks a port at which its own service listens."""
    known = listening(given.files)
    for name, service in given.files.services().items():
        for word in map(str, service.get("healthcheck", {}).get("test", [])):
            for port in re.findall(r"(?:127\.0\.0\.1[: ]|--port=)(\d+)", word):
                if int(port) not in known[name][0]:
                    yield f"{name}: is asked at {port}, where it does not listen"


def database_found(given: Parts) -> Iterator[str]:
    """Every process of Dagster looks for its database where there is one."""
    known = listening(given.files)
    for name, service in given.files.services().items():
        environment = service.get("environment", {})
        if "DAGSTER_PG_HOST" not in environment:
            continue
        host, port = environment["DAGSTER_PG_HOST"], int(environment["DAGSTER_PG_PORT"])
        if port not in known.get(host, (set(), set()))[0]:
            yield f"{name}: no database at {host}:{port}"


def scraped(given: Parts) -> Iterator[str]:
    """Prometheus reads the rules, tells Alertmanager, and scrapes whatever the rules ask for, where its metrics are."""
    service = given.files.services()["prometheus"]
    folder = Path(target(service, "../monitoring/rules"))
    if given.prometheus.get("rule_files") != [f"{folder}/*.yaml"]:
        yield f"the rules are in {folder}, and are read from {given.prometheus.get('rule_files')}"
    if not given.prometheus.get("alerting", {}).get("alertmanagers"):
        yield "nobody is told of alerts"
    jobs = {job["job_name"]: job for job in given.prometheus["scrape_configs"]}
    asked = set(re.findall(r'job="([^"]+)"', "".join(path.read_text() for path in MONITORING.rglob("*.yaml"))))
    yield from (f'rules ask for job="{job}", which nobody has' for job in sorted(asked - jobs.keys()))
    hosts = {t.split(":")[0] for job in jobs.values() for each in job["static_configs"] for t in each["targets"]}
    watched = {"model", "code-location", "exporter", "minio", "kafka-exporter"}
    yield from (f"{host} is not scraped" for host in sorted(watched - hosts))
    sources = (MONITORING / "known_metrics.yaml").read_text()
    for job in jobs.values():
        path = job.get("metrics_path", "/metrics")
        if (path != "/metrics" and path not in sources) or (job["job_name"] == "minio" and path == "/metrics"):
            yield f"{job['job_name']}: its metrics are not at {path}"


def shown(given: Parts) -> Iterator[str]:
    """Grafana finds the dashboards, and these a source of their kind."""
    grafana = given.files.services()["grafana"]
    folder = f"{target(grafana, '../monitoring')}/dashboards"
    yield from (
        f"the dashboards are in {folder}, and are looked for in {each['options']['path']}"
        for each in given.providers["providers"]
        if each["options"]["path"] != folder
    )
    # Dashboards let people choose among the sources of a kind, and begin with the default one.
    kinds = {each["type"] for each in given.datasources["datasources"] if each.get("isDefault")}
    for path in sorted((MONITORING / "dashboards").glob("*.json")):
        asked = {
            row["query"] for row in json.loads(path.read_text())["templating"]["list"] if row["type"] == "datasource"
        }
        if not asked or asked - kinds:
            yield f"{path.name}: asks for a source of the kind {', '.join(sorted(asked)) or 'none'}"


def allowed(given: Parts) -> Iterator[str]:
    """The pipeline's key opens for what it does, and for nothing else."""
    for bucket, needed in RIGHTS.items():
        held = {
            action
            for each in given.policy["Statement"]
            if f"arn:aws:s3:::{bucket}/*" in each["Resource"]
            for action in each["Action"]
        }
        yield from (f"the pipeline may not {action} in {bucket}" for action in sorted(needed - held))


def in_order(given: Parts) -> Iterator[str]:
    """Nothing starts before what it stands on."""
    services = given.files.services()
    for name, before in AFTER.items():
        yield from (f"{name}: does not wait for {other}" for other in sorted(before - behind(name, services)))


def on_a_gpu(given: Parts) -> Iterator[str]:
    """VLLM, and nobody else, has a GPU."""
    for name, service in given.files.services().items():
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        if (name == "vllm") != any((d.get("driver"), d.get("capabilities")) == ("nvidia", ["gpu"]) for d in devices):
            yield f"{name}: {devices or 'no GPU'}"


RULES: dict[str, Callable[[Parts], Iterator[str]]] = {
    rule.__name__: rule for rule in (probed, database_found, scraped, shown, allowed, in_order, on_a_gpu)
}
