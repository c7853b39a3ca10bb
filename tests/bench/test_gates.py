"""Claims about the simulations of the gates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import gate_report, gates
from bench.gate_scenarios import SCENARIOS, pages
from mineru_pipeline.settings import project_root


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("ratio", [1.0, 0.95])
def test_simulated_scores_have_the_ratio_asked_for(name: str, ratio: float) -> None:
    """Otherwise the error rates would be those of something else."""
    baseline, candidate = SCENARIOS[name](np.random.default_rng(4), (1_000, 400), ratio)
    assert candidate.mean() / baseline.mean() == pytest.approx(ratio, abs=0.001)
    assert min(baseline.min(), candidate.min()) >= 0
    assert max(baseline.max(), candidate.max()) <= 1


def test_simulated_pages_lose_the_share_asked_for() -> None:
    """On top of what goes wrong by chance on either side."""
    baseline, candidate = pages(np.random.default_rng(4), (1_000, 400), 0.05)
    assert (baseline - candidate).mean() == pytest.approx(0.05, abs=0.001)


def test_the_command_writes_figures_and_prints_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With few seeds it takes a second; what was measured before stays."""
    out = tmp_path / "gates.json"
    out.write_text('{"drift": []}')
    assert gates.main(["--seeds", "8", "--only", "sequential", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["drift"] == []
    assert {row["scores"] for row in found["sequential"]} == {*SCENARIOS, "pages"}
    assert "sequential" in capsys.readouterr().out


def test_the_document_has_the_figures_that_were_measured() -> None:
    """Every table of docs/quality.md is the one that the command prints."""
    results = json.loads((project_root() / "bench" / "gates.json").read_text())
    text = (project_root() / "docs" / "quality.md").read_text()
    for table in gate_report.tables(results):
        assert table in text
