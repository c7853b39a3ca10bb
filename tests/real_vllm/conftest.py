"""These tests need a real vLLM server, started by the command in ``MINERU_PIPELINE_TEST_VLLM``; else they are skipped.

The command serves any vision model in the foreground; a free port and more of ``vllm serve``'s flags are
appended to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_vllm_server import COMMAND, KEY, QUEUE, START_SECONDS, RealServer, Start, servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the server where no command starts one, and give it time where one does."""
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.timeout(2 * START_SECONDS))
            if not COMMAND:
                item.add_marker(pytest.mark.skip(reason="MINERU_PIPELINE_TEST_VLLM names no vLLM server to start"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server for one test alone."""
    with servers(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with a key and a short queue, for all tests that leave it well."""
    with servers(tmp_path_factory.mktemp("vllm")) as begin:
        yield begin("--api-key", KEY, "--max-num-queued-reqs", str(QUEUE), "--enable-scale-out")
