"""The bench of the sensor of watched buckets measures what it says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from s3_server import S3Server

from mineru_pipeline.settings import project_root


def bench(*arguments: str) -> str:
    command = [sys.executable, str(project_root() / "bench" / "bucket_tick.py"), "--rounds", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_it_lists_every_object_and_finds_nothing_new_twice() -> None:
    """The stand-in's listing is read to its end, over several pages, and brings nothing after the first pass."""
    printed = bench("--objects", "2500")
    assert printed.startswith("2500 objects")
    # Two ticks of at most 2,000 documents each, and one that finds nothing.
    assert "first pass: 3 ticks" in printed
    assert "found 2500, 0 of them twice" in printed
    assert re.search(r"cpu: listing [0-9.]+ s, tick with nothing new [0-9.]+ s", printed)


@pytest.mark.parametrize("count", [0, 3])
def test_it_measures_a_real_server(s3: S3Server, bucket: str, count: int) -> None:
    """A bucket of a real server is listed as it is."""
    store = s3.store(bucket)
    for number in range(count):
        store.put(f"{number}.pdf", b"x")
    url = s3.endpoint.replace("://", f"://{s3.access_key}:{s3.secret_key}@")
    assert bench("--server", url, "--bucket", bucket).startswith(f"{count} objects")
