"""Every alert fires when it should, does not when it should not, reads what exists, and has a runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml
from alert_cases import CASES, Case
from conftest import ModelServer
from prometheus import needs_prometheus, promtool
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from promql import metrics_of

from mineru_pipeline.cli import app
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.monitoring.metrics import PipelineMetrics
from mineru_pipeline.parsing.metrics import ParsingMetrics
from mineru_pipeline.settings import Settings, project_root

ROOT = project_root()
MONITORING = ROOT / "deploy" / "monitoring"
FILES = sorted((MONITORING / "rules").glob("*.yaml"))
RULES: list[dict[str, Any]] = [
    rule for file in FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
#: What a scrape adds to every series.
TARGET = {"job", "instance", "namespace", "pod"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}


@needs_prometheus
def test_promtool_finds_nothing() -> None:
    """The rules are what Prometheus reads, and so is the configuration under Compose."""
    done = promtool("check", "rules", *FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "config", "--syntax-only", ROOT / "deploy" / "compose" / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_both_cases() -> None:
    """No alert is without a case in which it fires and one in which it does not."""
    assert set(CASES) == set(ALERTS)


@needs_prometheus
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "quiet"])
def test_alerts_fire_and_keep_quiet(tmp_path: Path, *, fires: bool) -> None:
    """Each on series of its own, in promtool."""
    tests = [_unit(name, pair.fires if fires else pair.quiet, 1 if fires else 0) for name, pair in CASES.items()]
    file = tmp_path / "tests.yaml"
    file.write_text(json.dumps({"rule_files": list(map(str, FILES)), "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def _unit(alert: str, case: Case, expected: int) -> dict[str, Any]:
    expression = f'(count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0) or vector(0)'
    return {
        "interval": "1m",
        "name": alert,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": case.at, "exp_samples": [{"labels": "{}", "value": expected}]}
        ],
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_alerts_say_what_people_need(alert: str) -> None:
    """Severity, summary, description, and a runbook that exists, is about this alert and says all it should."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    notes = rule["annotations"]
    assert notes["summary"].endswith(".")
    assert notes["description"]
    path, anchor = notes["runbook_url"].split("#")
    text = (ROOT / path).read_text()
    assert anchor == alert.lower()
    section = re.split(rf"^## {alert}$", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    at = [section.find(f"**{part}.**") for part in PARTS]
    assert -1 not in at, f"{path} has not all of {PARTS} for {alert}"
    assert at == sorted(at)


def test_each_runbook_has_an_alert() -> None:
    """A runbook of an alert that is gone goes, too."""
    headings = {
        heading
        for path in {rule["annotations"]["runbook_url"].split("#")[0] for rule in ALERTS.values()}
        for heading in re.findall(r"^## (\w+)$", (ROOT / path).read_text(), flags=re.MULTILINE)
    }
    assert headings == set(ALERTS)


@pytest.fixture(scope="module")
def existing(model_server: ModelServer) -> dict[str, set[str]]:
    """Every series that there is, with its labels: scraped, registered, recorded, or known of others."""
    found: dict[str, set[str]] = {}
    # Series of a handler are there from its first request on.
    httpx.post(f"{model_server.url}/v1/chat/completions", json={}, trust_env=False)
    scraped = httpx.get(f"{model_server.url}/metrics", trust_env=False).text
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    registry = CollectorRegistry()
    ClientMetrics(registry)
    ParsingMetrics(registry)
    for collector in registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        _add(found, collector._name, collector._type, collector._labelnames)
    for metric in PipelineMetrics().describe():
        _add(found, metric.name, metric.type, metric._labelnames)  # type: ignore[attr-defined]
    for other in yaml.safe_load((MONITORING / "known_metrics.yaml").read_text()):
        assert other["source"]
        found |= {name: set(labels) for name, labels in other["metrics"].items()}
    return found


def _add(found: dict[str, set[str]], name: str, kind: str, labels: Any) -> None:
    for suffix in SUFFIXES.get(kind, ("",)):
        found[f"{name}{suffix}"] = {*labels, *(["le"] if suffix == "_bucket" else [])}


def unknown(expression: str, existing: dict[str, set[str]]) -> list[str]:
    """What an expression reads that is not there."""
    wrong = []
    for name, asked in metrics_of(expression).items():
        if name in RECORDED:
            continue
        if name not in existing:
            wrong.append(name)
        elif missing := asked - existing[name] - TARGET:
            wrong.append(f"{name}{sorted(missing)}")
    return wrong


def test_rules_read_what_exists(existing: dict[str, set[str]]) -> None:
    """No rule waits for a metric or a label that nobody has."""
    assert not [wrong for rule in RULES for wrong in unknown(rule["expr"], existing)]


def test_a_name_that_does_not_exist_is_found(existing: dict[str, set[str]]) -> None:
    """The names that older plans use, and labels that are not there."""
    assert unknown("sum(rate(vllm_request_duration_seconds_bucket[5m])) by (le)", existing)
    assert unknown('vllm:num_requests_waiting{host="a"} > 3', existing) == ["vllm:num_requests_waiting['host']"]
    assert not unknown(
        'sum by (instance) (rate(http_requests_total{status=~"5xx|a, b"}[5m])) > 1e-3 or vector(0)', existing
    )


def test_runbooks_name_commands_that_exist() -> None:
    """What a runbook asks to be typed is a command of ours, with options that it has."""
    root: Any = typer.main.get_command(app)
    texts = "\n".join(path.read_text() for path in (ROOT / "docs" / "operations").glob("*.md"))
    found = re.findall(r"`mineru-pipeline ([^`]+)`", texts)
    assert len(found) > 20
    for line in found:
        command, *words = root, *line.split()
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_names_of_kafka_are_those_of_the_settings() -> None:
    """Group and dead-letter topic of the rules are the defaults."""
    kafka = Settings().kafka
    text = " ".join(rule["expr"] for rule in RULES)
    assert f'consumergroup="{kafka.group_id}"' in text
    assert f'topic="{kafka.dead_letter_topic}"' in text
