"""What tests of rules and dashboards share: the metrics that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml
from conftest import ModelServer
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from promql import metrics_of

from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.monitoring.metrics import PipelineMetrics
from mineru_pipeline.parsing.metrics import ParsingMetrics
from mineru_pipeline.settings import project_root

MONITORING = project_root() / "deploy" / "monitoring"
RECORDED = {
    rule["record"]
    for file in (MONITORING / "rules").glob("*.yaml")
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
}
#: What a scrape adds to every series.
TARGET = {"job", "instance", "namespace", "pod"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}


@pytest.fixture(scope="session")
def known_series(model_server: ModelServer) -> Callable[[str], list[str]]:
    """Tells what an expression reads that is not there: neither scraped nor registered, recorded or known of others."""
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
    return lambda expression: unknown(expression, found)


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
