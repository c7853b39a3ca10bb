"""The dashboards are what their script makes, and show what exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus import needs_prometheus, promtool

from mineru_pipeline.settings import project_root

MONITORING = project_root() / "deploy" / "monitoring"
FILES = sorted((MONITORING / "dashboards").glob("*.json"))


def expressions(file: Path) -> list[str]:
    """All that a dashboard asks, with a duration where Grafana puts one."""
    panels: list[dict[str, Any]] = json.loads(file.read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [re.sub(r"\$__rate_interval", "5m", expression) for expression in targets]


def test_they_are_what_the_script_makes() -> None:
    """Made again, they are the same to the byte, and there are three."""
    command = [sys.executable, str(MONITORING / "make_dashboards.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [file.stem for file in FILES] == ["pipeline", "quality", "server"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_they_show_what_exists(file: Path, known_series: Any) -> None:
    """No panel stays empty because nobody has its metric; and none lies over another."""
    found = expressions(file)
    assert len(found) > 5
    assert not [wrong for expression in found for wrong in known_series(expression)]
    places = [tuple(panel["gridPos"].values()) for panel in json.loads(file.read_text())["panels"]]
    assert len(set(places)) == len(places)


def test_the_loading_of_models_is_shown() -> None:
    """A server that loads can be told from one that is down."""
    assert "server:loading" in expressions(MONITORING / "dashboards" / "server.json")


@needs_prometheus
def test_prometheus_reads_them(tmp_path: Path) -> None:
    """Every expression is valid, as a rule."""
    asked = [expression for file in FILES for expression in expressions(file)]
    rules = [{"record": f"shown:{number}", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    done = promtool("check", "rules", tmp_path / "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
