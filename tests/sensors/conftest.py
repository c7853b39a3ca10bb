"""What the tests of sensors that look into buckets share: settings that watch one, and a Dagster instance of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import SIMULATED_MODEL, ModelServer
from s3_server import S3Server

from mineru_pipeline import launch, settings
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.settings_file import nest

Load = Callable[..., LoadedSettings]


@pytest.fixture
def load(tmp_path: Path, s3: S3Server, bucket: str, model_server: ModelServer) -> Load:
    """Settings that watch a folder of the bucket, with the store in the same bucket."""

    def load(**changes: Any) -> LoadedSettings:
        values = {
            "data_dir": str(tmp_path / "data"),
            "vllm_server.base_url": model_server.url,
            "vllm_server.model": SIMULATED_MODEL,
            "storage.backend": "minio",
            "storage.bucket": bucket,
            "storage.prefix": "store",
            "minio.endpoint": s3.endpoint,
            "minio.access_key": s3.access_key,
            "minio.secret_key": s3.secret_key,
            "intake.buckets": [bucket],
            "intake.watch": [f"{bucket}/in/"],
            "workers.batch_size": 2,
            # The simulated model knows nothing of what is on the pages.
            "checks.min_text_layer_agreement": 0,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
        file = tmp_path / "settings.yaml"
        # JSON is YAML.
        file.write_text(json.dumps(nest(values)))
        return settings.load(file, environ={})

    return load


@pytest.fixture
def instance(load: Load) -> Iterator[dg.DagsterInstance]:
    with launch.open_instance(load().settings) as instance:
        yield instance
