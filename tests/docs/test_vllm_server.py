"""The page on vLLM's answers names real tests, all of them, and real error types."""

from __future__ import annotations

import re

from mineru_pipeline import errors, settings

ROOT = settings.project_root()
PAGE = (ROOT / "docs" / "vllm-server.md").read_text()


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    """What the page claims is provoked on a real server, and what is provoked stands on the page."""
    sources = (path.read_text() for path in (ROOT / "tests" / "real_vllm").glob("test_*.py"))
    tests = {name for source in sources for name in re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE)}
    assert tests
    assert set(re.findall(r"`(test_\w+)`", PAGE)) == tests
    for line in PAGE.splitlines():
        if line.startswith("| ") and not line.startswith("| case"):
            assert "`test_" in line.rsplit("|", 2)[1], line


def test_the_error_types_are_those_of_the_metrics() -> None:
    """The third column of the verdicts quotes codes of errors, and nothing else."""
    codes = {error.code for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "code")}
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 7]
    quoted = {code for cells in rows[1:] for code in re.findall(r"`([^`]+)`", cells[2])}
    assert len(quoted) >= 5
    assert quoted <= codes
