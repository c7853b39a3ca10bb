"""The files beside the Compose file fit it, and one another; and each rule on that can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from compose_parts import RULES, Parts, parts

PARTS = parts()
Change = Callable[[Parts], Any]


def service(given: Parts, name: str) -> dict[str, Any]:
    found: dict[str, Any] = given.files.compose["services"][name]
    return found


def job(given: Parts, name: str) -> dict[str, Any]:
    return next(each for each in given.prometheus["scrape_configs"] if each["job_name"] == name)


@pytest.mark.parametrize("rule", RULES)
def test_the_files_keep_to_the_rule(rule: str) -> None:
    """Nothing is wrong with them as they are."""
    assert list(RULES[rule](PARTS)) == []


MUTATIONS: dict[str, tuple[str, Change]] = {
    "a health check at another port": (
        "probed", lambda g: service(g, "code-location")["healthcheck"].update(test=["CMD", "dagster", "--port=4001"]),
    ),
    "a health check of a page at another port": (
        "probed", lambda g: service(g, "grafana")["healthcheck"].update(test=["CMD", "wget", "http://127.0.0.1:3001/"]),
    ),
    "a database that there is not": (
        "database_found", lambda g: service(g, "daemon")["environment"].update(DAGSTER_PG_HOST="postgresql"),
    ),
    "no rules": ("scraped", lambda g: g.prometheus.pop("rule_files")),
    "rules from elsewhere": ("scraped", lambda g: g.prometheus.update(rule_files=["/etc/prometheus/*.yaml"])),
    "nobody who is told": ("scraped", lambda g: g.prometheus.pop("alerting")),
    "a job of another name": ("scraped", lambda g: job(g, "vllm").update(job_name="model")),
    "metrics of MinIO where they are not": ("scraped", lambda g: job(g, "minio").pop("metrics_path")),
    "an exporter that nobody asks": ("scraped", lambda g: g.prometheus["scrape_configs"].remove(job(g, "kafka"))),
    "a source of another kind": ("shown", lambda g: g.datasources["datasources"][0].update(type="loki")),
    "dashboards from elsewhere": ("shown", lambda g: g.providers["providers"][0]["options"].update(path="/etc/x")),
    "a key that cannot delete": (
        "allowed", lambda g: [e["Action"].remove("s3:DeleteObject") for e in g.policy["Statement"]
                              if "s3:DeleteObject" in e["Action"]],
    ),
    "Dagster before its database": ("in_order", lambda g: service(g, "code-location")["depends_on"].pop("migrate")),
    "no GPU": ("on_a_gpu", lambda g: service(g, "vllm").pop("deploy")),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_broken_is_seen(mutation: str) -> None:
    """Each of these changes is found by the rule that is there for it."""
    rule, change = MUTATIONS[mutation]
    given = PARTS.mutable()
    change(given)
    assert list(RULES[rule](given)) != []


def test_every_rule_is_broken_once() -> None:
    """No rule is without a change that it finds."""
    assert {rule for rule, _ in MUTATIONS.values()} == set(RULES)
