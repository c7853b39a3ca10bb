"""What tests of the wrappers share: settings of a store of their own and of the simulated model."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SIMULATED_MODEL, ModelServer
from settings_bench import Bench

from mineru_pipeline.settings import Settings


@pytest.fixture
def bench(tmp_path: Path, model_server: ModelServer) -> Bench:
    base = {
        "data_dir": tmp_path / "data",
        "vllm_server.base_url": model_server.url,
        "vllm_server.model": SIMULATED_MODEL,
    }
    return Bench(tmp_path, base)


@pytest.fixture
def found(bench: Bench) -> Settings:
    return bench.load().settings
