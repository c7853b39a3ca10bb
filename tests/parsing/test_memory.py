"""Memory of pages goes back to the system."""

from __future__ import annotations

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
