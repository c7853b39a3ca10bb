"""A real S3 server for tests: SeaweedFS on the loopback interface, or the one that a variable names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.seaweed import S3Server, seaweed

__all__ = ["OTHER", "S3Server", "other_server", "s3_servers", "seaweed"]

#: A URL with credentials, such as ``http://key:secret@host:9000``; the tests make buckets there and remove them.
OTHER = os.environ.get("MINERU_PIPELINE_TEST_S3", "")


def other_server() -> S3Server:
    """The server that the variable names."""
    url = urlsplit(OTHER)
    assert url.hostname, "MINERU_PIPELINE_TEST_S3 must be a URL such as http://key:secret@host:9000"
    assert url.username, "MINERU_PIPELINE_TEST_S3 must hold credentials: http://key:secret@host:9000"
    host = url.netloc.rpartition("@")[2]
    return S3Server(
        f"{url.scheme}://{host}", unquote(url.username), unquote(url.password or ""), keeps_full_buckets=True
    )


@contextmanager
def s3_servers(folder: Path) -> Iterator[S3Server]:
    """The server of a test session."""
    if OTHER:
        yield other_server()
        return
    with seaweed(folder) as server:
        yield server
