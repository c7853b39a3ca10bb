"""Makes ``prometheusrule.yaml`` of the rule files in ``deploy/monitoring/rules``, which are the ones to edit."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parents[2] / "monitoring" / "rules"
MADE = HERE / "prometheusrule.yaml"
HEAD = "# Made by make_prometheusrule.py of the files in deploy/monitoring/rules; edit those.\n"


def prometheus_rule(folder: Path) -> str:
    """The object as YAML: the groups of all files, in the order of their names."""
    groups = [
        group
        for path in sorted(folder.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    labels = {"app.kubernetes.io/name": "mineru-pipeline", "app.kubernetes.io/component": "monitoring"}
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "mineru-pipeline", "labels": labels},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=1000)


def main() -> int:
    """Write the file, or with ``--check`` tell whether it is what it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is not up to date")
    made = prometheus_rule(RULES)
    if parser.parse_args().check:
        if not MADE.exists() or MADE.read_text(encoding="utf-8") != made:
            sys.stderr.write(f"{MADE} is out of date: run {Path(__file__).name}\n")
            return 1
        return 0
    MADE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
