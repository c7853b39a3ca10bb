"""The measurement of the worker's CPU a page, on a small run against the simulated server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.client_cpu import CHILDREN, WORKER, ZYGOTE, Measured, main
from mineru_pipeline.errors import ModelServerError
from tests.conftest import SIMULATED_MODEL, ModelServer, pdf


def test_figures_are_per_page_and_add_up() -> None:
    """CPU seconds become milliseconds a page, by process and in total."""
    figures = Measured(10, 70, 0, 3.0, {WORKER: 0.3, ZYGOTE: 0.0, CHILDREN: 0.2}).as_json()
    assert figures["cpu_ms_per_page"] == 50.0
    assert figures["by_process"] == {WORKER: 30.0, ZYGOTE: 0.0, CHILDREN: 20.0}


def test_a_run_is_measured(model_server: ModelServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All pages of all files are counted, and worker and children have both used time."""
    for name in "ab":
        (tmp_path / f"{name}.pdf").write_bytes(pdf(f"{name} 1", f"{name} 2"))
    files = [str(path) for path in sorted(tmp_path.glob("*.pdf"))]
    assert main(["--base-url", model_server.url, "--model", SIMULATED_MODEL, "--json", *files]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["pages"], figures["degraded_pages"]) == (4, 0)
    assert figures["requests"] > 4
    assert figures["by_process"][WORKER] > 0
    assert figures["by_process"][CHILDREN] > 0


def test_a_run_that_fails_is_not_measured(model_server: ModelServer, tmp_path: Path) -> None:
    """A figure for pages that were never parsed would look very good."""
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    with pytest.raises(ModelServerError):
        main(["--base-url", model_server.url, "--model", "another", "--json", str(tmp_path / "a.pdf")])
