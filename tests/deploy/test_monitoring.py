"""Every alert fires when it should, does not when it should not, reads what exists, and has a runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from alert_cases import CASES, WAITS, Case
from prometheus import needs_prometheus, promtool

from mineru_pipeline.cli import app
from mineru_pipeline.settings import Settings, project_root

ROOT = project_root()
MONITORING = ROOT / "deploy" / "monitoring"
FILES = sorted((MONITORING / "rules").glob("*.yaml"))
GROUPS: list[dict[str, Any]] = [group for file in FILES for group in yaml.safe_load(file.read_text())["groups"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
Unknown = Callable[[str], list[str]]


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
    cases = {name: pair.fires if fires else pair.quiet for name, pair in CASES.items()}
    for step in sorted({case.step for case in cases.values()}):
        units = [_unit(name, case, 1 if fires else 0) for name, case in cases.items() if case.step == step]
        file = tmp_path / f"{step}.yaml"
        tests = {
            "rule_files": list(map(str, FILES)),
            "evaluation_interval": step,
            # Else chance says whether what is recorded ten minutes apart is there, or stale, when an alert is asked.
            "group_eval_order": [group["name"] for group in GROUPS],
            "tests": units,
        }
        file.write_text(json.dumps(tests))
        done = promtool("test", "rules", file)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_wait_as_long_as_they_should() -> None:
    """No alert rings sooner or later than was decided: a case fires just as well with another time to wait."""
    assert {name: rule.get("for", "0m") for name, rule in ALERTS.items()} == {
        name: f"{minutes}m" for name, minutes in WAITS.items()
    }


def test_what_is_recorded_is_read() -> None:
    """Every recording rule is read by another rule or by a dashboard."""
    shown = "".join(path.read_text() for path in (MONITORING / "dashboards").glob("*.json"))
    asked = " ".join([*(rule["expr"] for rule in RULES), shown])
    unread = [rule["record"] for rule in RULES if "record" in rule if not _is_read(rule["record"], asked)]
    assert unread == []
    assert not _is_read("server:loading:rate5m", asked)


def _is_read(name: str, asked: str) -> bool:
    return re.search(rf"(?<![\w:]){name}(?![\w:])", asked) is not None


def test_what_the_whole_cluster_tells_is_asked_of_our_namespaces() -> None:
    """A Prometheus of the cluster sees everybody's pods and volumes; nobody is called for those of others."""
    namespaces = {path.parent.name for path in (ROOT / "deploy" / "k8s" / "overlays").glob("*/namespace.yaml")}
    found = [matcher for rule in RULES for matcher in re.findall(r"\bkube(?:let)?_\w+(\{[^}]*\})?", rule["expr"])]
    assert len(found) == 4
    for matcher in found:
        [pattern] = re.findall(r'namespace=~"([^"]+)"', matcher)
        assert all(re.fullmatch(pattern, f"mineru-{name}") for name in namespaces)


def _unit(alert: str, case: Case, expected: int) -> dict[str, Any]:
    expression = f'(count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0) or vector(0)'
    return {
        "interval": case.step,
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
    parts = re.split(rf"^## {alert}$", text, flags=re.MULTILINE)
    assert len(parts) == 2, f"{path} has no heading {alert}, or two"
    section = parts[1].split("\n## ")[0]
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


def test_rules_read_what_exists(known_series: Unknown) -> None:
    """No rule waits for a metric or a label that nobody has."""
    assert not [wrong for rule in RULES for wrong in known_series(rule["expr"])]


def test_a_name_that_does_not_exist_is_found(known_series: Unknown) -> None:
    """The names that older plans use, and labels that are not there."""
    assert known_series("sum(rate(vllm_request_duration_seconds_bucket[5m])) by (le)")
    assert known_series('vllm:num_requests_waiting{host="a"} > 3') == ["vllm:num_requests_waiting['host']"]
    assert not known_series('sum by (instance) (rate(http_requests_total{status=~"5xx|a, b"}[5m])) > 1e-3 or vector(0)')


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


def test_rules_ask_for_values_that_exist() -> None:
    """What a rule compares a label of ours with is a value that the table of metrics names."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "metrics.md").read_text(), flags=re.DOTALL)
    told = set(re.findall(r"`([^`\n]+)`", text))
    asked = {
        value
        for rule in RULES
        for matchers in re.findall(r"\bmineru_\w+\{([^}]*)\}", rule["expr"])
        for values in re.findall(r'"([^"]*)"', matchers)
        for value in values.split("|")
    }
    assert len(asked) > 10
    assert asked <= told


def test_every_severity_reaches_somebody() -> None:
    """The example of a routing has a receiver for each, and speaks of alerts that exist."""
    config = yaml.safe_load((ROOT / "deploy" / "compose" / "alertmanager.yaml").read_text())
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = config["route"]["routes"]
    assert {config["route"]["receiver"], *(route["receiver"] for route in routes)} == receivers
    assert [route["matchers"] for route in routes] == [['severity = "critical"']]
    sides = ("source_matchers", "target_matchers")
    matchers = [matcher for rule in config["inhibit_rules"] for side in sides for matcher in rule[side]]
    named = {name for matcher in matchers for name in re.findall(r'"([^"]*)"', matcher)[0].split("|")}
    assert named <= set(ALERTS)
