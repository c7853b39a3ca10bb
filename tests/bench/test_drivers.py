"""Claims about driving a parser in processes of its own, with a stand-in that speaks the protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.drivers import Driver, DriverError, Pass

#: Burns as many tenths of a CPU second as it is given files, half of it in a child, and dies of a file called "die".
STAND_IN = """
import json, os, subprocess, sys, time
burn = "import time\\nend = time.process_time() + {}\\nwhile time.process_time() < end: pass"
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["files"][0].endswith("die"):
        sys.exit("it hurts")
    seconds = 0.1 * len(asked["files"])
    exec(burn.format(seconds / 2))
    subprocess.run([sys.executable, "-c", burn.format(seconds / 2)], check=True)
    documents = [{"state": "parsed", "message": "", "content_list": "x", "markdown": "x"} for _ in asked["files"]]
    print(json.dumps({"seconds": seconds, "pages": 2 * len(documents), "documents": documents}), flush=True)
"""


@pytest.fixture
def driver() -> Iterator[Driver]:
    with Driver("stand-in", [sys.executable, "-c", STAND_IN]) as found:
        found.wait_until_ready()
        yield found


def test_the_cpu_of_children_is_counted_and_start_up_is_not(driver: Driver) -> None:
    """A pass costs what the process and its children burnt for it, whatever was burnt before."""
    driver.parse([Path("a")])
    done = driver.parse([Path("a")] * 5)
    assert (done.pages, done.failed) == (10, [])
    assert done.cpu_seconds >= 0.45
    assert done.cpu_per_page == pytest.approx(done.cpu_seconds / 10)


def test_a_parser_that_dies_is_told_with_its_last_words(driver: Driver) -> None:
    """Instead of an answer there is an error that quotes standard error."""
    with pytest.raises(DriverError, match="it hurts"):
        driver.parse([Path("die")])


def test_nothing_is_left_behind() -> None:
    """After the end of the context the process is gone, even in the middle of its work."""
    with Driver("stand-in", [sys.executable, "-c", STAND_IN]) as driver:
        driver.wait_until_ready()
        driver.start([Path("a")] * 100, Path("out"))
        driver.kill()
    assert not psutil.pid_exists(driver.pid)


def test_a_pass_with_a_lost_document_is_no_measurement() -> None:
    """Work that was not done costs nothing, so a pass that lost or degraded a document is refused."""
    good = {"state": "parsed", "message": "", "content_list": "x"}
    assert Pass(1.0, 1.0, 2, (good, good)).whole().pages == 2
    with pytest.raises(DriverError, match="1 of 2 documents, the first degraded"):
        Pass(1.0, 1.0, 2, (good, {**good, "state": "degraded"})).whole()
