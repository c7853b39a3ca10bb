import json
import sys
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from bench.memory import RENDER_CHILD, WORKER, ZYGOTE, Peaks, ProcessTree, Reading, main, measure, role_of

MB = 1024 * 1024


def test_peak_is_the_highest_sum_of_one_moment() -> None:
    """The total peak is the largest sum of a single sample, not the sum of the single peaks."""
    peaks = Peaks()
    peaks.add([Reading(1, WORKER, 100, 90), Reading(2, RENDER_CHILD, 10, 5)])
    peaks.add([Reading(1, WORKER, 50, 40), Reading(2, RENDER_CHILD, 70, 65)])
    assert (peaks.rss, peaks.pss, peaks.processes, peaks.samples) == (120, 105, 2, 2)
    assert peaks.rss_by_role == {WORKER: 100, RENDER_CHILD: 70}
    assert peaks.at_peak == {WORKER: 50, RENDER_CHILD: 70}


def test_samples_without_pss_leave_its_peak_alone() -> None:
    """A sample in which PSS was not read for every process does not count for PSS."""
    peaks = Peaks()
    peaks.add([Reading(1, WORKER, 100, 90)])
    peaks.add([Reading(1, WORKER, 900), Reading(2, RENDER_CHILD, 100, 95)])
    assert peaks.pss == 90


def test_child_of_the_zygote_is_a_render_child() -> None:
    """A forked child shows its parent's command line and is still told apart from it."""
    line = "python -m mineru_pipeline.documents.zygote 5"
    assert role_of(line, WORKER) == ZYGOTE
    assert role_of(line, ZYGOTE) == RENDER_CHILD
    assert role_of("python -m something", WORKER) == "other child"


def test_memory_of_children_is_counted_and_excluded_ones_are_not() -> None:
    """A child that holds 60 MB raises the peak by that much, unless its command line is excluded."""
    hold = "import time; b = bytearray(60 * 2**20); b[::4096] = b'x' * len(b[::4096]); time.sleep(0.5)"
    spawn = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}, 'hungry-one'])"
    code, whole = measure([sys.executable, "-c", spawn, "root"], interval=0.02)
    _, without = measure([sys.executable, "-c", spawn, "root"], interval=0.02, excluded=["hungry-one", "bytearray"])
    assert code == 0
    assert whole.rss - without.rss > 50 * MB
    assert "other child" not in without.rss_by_role


def test_processes_that_vanish_are_forgotten() -> None:
    """Reading a process that has ended gives no readings and raises nothing."""
    with psutil.Popen([sys.executable, "-c", "pass"]) as ended:
        tree = ProcessTree(psutil.Process(ended.pid))
        ended.wait()
    assert tree.read(with_pss=True) == []
    assert tree.read() == []


class Shown:
    """A process as the system shows it at one moment."""

    def __init__(self, pid: int, words: list[str], rss: int, *children: "Shown") -> None:
        self.pid, self._words, self._rss, self._children = pid, words, rss, children

    def cmdline(self) -> list[str]:
        return self._words

    def children(self) -> "list[Shown]":
        return list(self._children)

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=self._rss)


def test_a_process_that_is_about_to_end_is_nobody() -> None:
    """Its command line is gone before it is, and so is the word by which it would be excluded."""
    ending, lasting = Shown(2, [], 0), Shown(3, ["something"], 10)
    tree = ProcessTree(cast("psutil.Process", Shown(1, ["root"], 100, ending, lasting)), excluded=["hungry-one"])
    assert [(reading.role, reading.rss) for reading in tree.read()] == [(WORKER, 100), ("other child", 10)]


def test_exit_code_of_the_command_and_the_limit_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The tool ends with the command's own code, or with 1 when the memory limit is exceeded."""
    wait = "import time; time.sleep(0.2)"
    assert main(["--", sys.executable, "-c", f"{wait}; raise SystemExit(3)"]) == 3
    assert main(["--limit-mb", "0.5", "--json", "--", sys.executable, "-c", wait]) == 1
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert measured["peak_rss_mb"] > 0.5
    assert set(measured["rss_mb_at_peak"]) == {WORKER}
