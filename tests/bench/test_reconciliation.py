"""The bench of the reconciliation measures what it says."""

from __future__ import annotations

import subprocess
import sys

from mineru_pipeline.settings import project_root


def test_it_finds_exactly_what_was_left_out() -> None:
    """Over several pages and batches, what no batch names is requested, and nothing the second time."""
    command = [sys.executable, str(project_root() / "bench" / "reconciliation.py"), "--objects", "2500"]
    done = subprocess.run([*command, "--missing", "301"], capture_output=True, text=True, check=True, timeout=120)
    assert "2500 objects, 2199 entries of 11 batches" in done.stdout
    assert "missing 301, requested 301; once more 0, 0" in done.stdout
