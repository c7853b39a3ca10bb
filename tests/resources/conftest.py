"""What tests of the wrappers share: settings of a store of their own and of the simulated model."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SIMULATED_MODEL, ModelServer

from mineru_pipeline import settings
from mineru_pipeline.settings import Settings


@pytest.fixture
def found(tmp_path: Path, model_server: ModelServer) -> Settings:
    overrides = {
        "data_dir": tmp_path / "data",
        "vllm_server.base_url": model_server.url,
        "vllm_server.model": SIMULATED_MODEL,
    }
    return settings.load(environ={}, overrides=overrides).settings
