"""The table of metrics and the registry say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from mineru_pipeline import errors, settings
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.monitoring.metrics import PipelineMetrics
from mineru_pipeline.parsing.metrics import ParsingMetrics

TEXT = (settings.project_root() / "docs" / "metrics.md").read_text()
UNITS = {"seconds", "total", "limit", "flight", "waiting", "state"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, its head left out."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def registry() -> CollectorRegistry:
    """All that a run registers."""
    registry = CollectorRegistry()
    ClientMetrics(registry)
    ParsingMetrics(registry)
    return registry


def registered(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name as it is scraped, type and labels of every metric."""
    found = {}
    for collector in registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        suffix = "_total" if collector._type == "counter" else ""
        found[f"{collector._name}{suffix}"] = (collector._type, tuple(collector._labelnames))
    return found


def exported() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The same of every metric of the exporter."""
    return {
        f"{metric.name}{'_total' if metric.type == 'counter' else ''}": (metric.type, tuple(metric._labelnames))
        for metric in PipelineMetrics().describe()
    }


def documented(heading: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The same of every row under a heading."""
    found = {}
    for name, kind, labels, *advice in rows(heading):
        named = re.findall(r"`([a-z_]+)`", re.sub(r":[^,]*(, `[^`]*`| … `[^`]*`)*", "", labels))
        found[name.strip("`")] = (kind, tuple(named))
        assert len(advice) == 2
        assert all(cell.endswith(".") for cell in advice)
    return found


def test_table_and_registry_agree(registry: CollectorRegistry) -> None:
    """Every metric has a row, every row a metric, with the same type and the same labels in the same order."""
    assert documented("What there is") == registered(registry)
    assert documented("The exporter") == exported()


def test_names_end_with_what_they_count(registry: CollectorRegistry) -> None:
    """Prometheus' naming: one prefix, a unit at the end, counters end with ``_total``."""
    for name in registered(registry):
        assert name.startswith("mineru_")
        assert name.rsplit("_", 1)[1] in UNITS
    for name, (kind, _) in exported().items():
        assert name.startswith("mineru_pipeline_")
        assert name.endswith("_total") == (kind == "counter")


def subclasses(kind: type[errors.InferenceError]) -> set[type[errors.InferenceError]]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_every_error_type_is_explained() -> None:
    """The types are the codes of the errors that one attempt can end with."""
    never_counted = {"inference", "answer", "outage", "circuit-open"}
    codes = {kind.code for kind in subclasses(errors.InferenceError)} - never_counted
    assert {row[0].strip("`") for row in rows("Error types")} == codes


def test_the_example_is_valid(tmp_path: Path) -> None:
    """The first block of YAML loads as settings."""
    example = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "s.yaml").write_text(example)
    loaded = settings.load(tmp_path / "s.yaml", environ={}).settings
    assert (loaded.metrics.port, loaded.metrics.host) == (9464, "0.0.0.0")
