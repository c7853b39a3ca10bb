"""Memory of pages goes back to the system, and modules are left alone."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this threshold")
def test_freed_pixels_leave_the_process_even_below_blocks_that_stay() -> None:
    """With the fixed threshold, large blocks freed in between small ones do not stay resident."""
    code = (
        "import sys, psutil\n"
        "from mineru_pipeline.parsing.memory import return_large_blocks\n"
        "if sys.argv[1] == 'fixed': assert return_large_blocks()\n"
        "del_me = bytes(30 << 20); del del_me\n"
        "pages, small = [], []\n"
        "for n in range(20):\n"
        "    pages.append(b'x' * (10 << 20)); small.append(b'y' * 5000)\n"
        "del pages\n"
        "print(psutil.Process().memory_info().rss)\n"
    )

    def resident(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert resident("fixed") < resident("default")


def test_a_full_collection_passes_over_what_is_imported() -> None:
    """What lives as long as the process is looked at no more; what comes after is, as ever."""
    code = (
        "import gc, json\n"
        "from mineru_pipeline.parsing.memory import exempt_what_is_imported\n"
        "gc.collect()\n"
        "seen = [len(gc.get_objects())]\n"
        "exempt_what_is_imported()\n"
        "seen.append(len(gc.get_objects()))\n"
        "for _ in range(1000): cycle = []; cycle.append(cycle)\n"
        "del cycle\n"
        "print(json.dumps([*seen, gc.collect()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after, collected = json.loads(done.stdout)
    assert after < before / 10
    assert collected > 0
