"""The whole intake on real servers, its processes killed while it works: nothing is lost, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mineru_pipeline.settings import project_root

DOCUMENTS, KILLS = 60, 3


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_done_twice_although_processes_are_killed(tmp_path: Path) -> None:
    """A small version of the chaos run: one kill each of daemon, code server and a run, at moments of the seed."""
    command = [sys.executable, str(project_root() / "bench" / "chaos_intake.py"), "--documents", str(DOCUMENTS)]
    command += ["--kills", str(KILLS), "--seed", "8", "--partitions", "1", "--batch-size", "12", "--minutes", "13"]
    # A file and not a pipe: what outlives the script would hold a pipe open.
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [*command, "--keep", str(tmp_path / "kept")], stdout=subprocess.PIPE, stderr=log, check=False
        )
    progress = (tmp_path / "log").read_text()[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["broken"] == {}, progress
    assert found["ended"], progress
    assert done.returncode == 0
    wanted = {
        "announced": DOCUMENTS,
        "distinct": 57,
        "parsed": DOCUMENTS,
        "kills": KILLS,
        "poison": 16,
        "dead_lettered": 16,
    }
    nothing = ("degraded", "rejected", "failed", "missing", "committed_twice", "requested_again", "lag")
    assert {name: found[name] for name in (*wanted, *nothing)} == {**wanted, **dict.fromkeys(nothing, 0)}
