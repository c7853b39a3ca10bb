"""The measurement of the simulated server's own cost."""

from __future__ import annotations

import re

import pytest

from bench.simulated_server import main


def test_it_prints_the_processor_time_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    """A short measurement against a real server ends in one line with a positive figure."""
    main(["--requests", "200", "--kilobytes", "20", "--connections", "2"])
    found = re.match(r"(\d+\.\d+) CPU-ms a request of 2\d kB \(200 requests, 2 connections", capsys.readouterr().out)
    assert found is not None
    assert float(found.group(1)) > 0
