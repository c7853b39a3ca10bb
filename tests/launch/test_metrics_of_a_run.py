"""A real run is scraped while it works, and leaves its figures behind."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from conftest import SIMULATED_MODEL, ModelServer, pdf
from prometheus_client.parser import text_string_to_metric_families

from mineru_pipeline import launch
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.parsing.progress import ProgressEvent
from mineru_pipeline.settings import load
from mineru_pipeline.storage import FilesystemStore

Sample = tuple[str, tuple[tuple[str, str], ...]]


def scrape(url: str) -> dict[Sample, float]:
    """The samples that a Prometheus would store."""
    families = text_string_to_metric_families(httpx.get(url, trust_env=False).text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_a_run_is_scraped_while_it_works(
    tmp_path: Path, model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages, requests and limits grow under the eyes of whoever asks; afterwards nobody answers any more."""
    caplog.set_level(logging.INFO, logger="mineru_pipeline.parsing.exporter")
    scraped: list[dict[Sample, float]] = []

    def url() -> str:
        (found,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", caplog.text)
        return str(found)

    def listen(event: ProgressEvent) -> None:
        if event.pages_done:
            scraped.append(scrape(url()))

    metadata = execute(tmp_path, model_server, listen, "metrics: {port: 0}")
    first, last = scraped[0], scraped[-1]
    answered: Sample = ("mineru_pages_answered_total", (("source", "model"),))
    assert 1 <= first[answered] <= last[answered] == 3
    assert first["mineru_vllm_client_requests_total", ()] >= 2
    assert first["mineru_vllm_limiter_limit", (("endpoint", model_server.url),)] >= 1
    assert last["mineru_documents_total", (("state", "parsed"),)] == 1
    with pytest.raises(httpx.ConnectError):
        scrape(url())

    assert metadata["pages_by_outcome"] == {"read": 3}
    assert metadata["pages_answered_by_source"]["model"] == 3
    assert metadata["documents_by_state"] == {"parsed": 1, "rejected": 1}
    assert {stage for stage, seconds in metadata["seconds_by_stage"].items() if seconds > 0} == {
        "render",
        "layout",
        "blocks",
        "assemble",
        "store",
    }
    assert metadata["model_client"]["limits"][model_server.url] >= 1


def execute(folder: Path, server: ModelServer, listener: Callable[[ProgressEvent], None], extra: str) -> dict[str, Any]:
    """Run a batch of one good and one broken document; the JSON metadata of what it materialized."""
    file = folder / "settings.yaml"
    file.write_text(
        f"data_dir: {folder}/data\n{extra}\nvllm_server: {{base_url: '{server.url}', model: {SIMULATED_MODEL}}}\n"
    )
    (folder / "a.pdf").write_bytes(pdf("one", "two", "three"))
    (folder / "b.pdf").write_bytes(b"no PDF")
    loaded = load(file, environ={})
    store = FilesystemStore(loaded.settings.store_root)
    (manifest,) = write_manifests([folder / "a.pdf", folder / "b.pdf"], loaded, store)
    with launch.open_instance(loaded.settings) as instance:
        config = launch.run_config(file, store.root)
        assert launch.execute_batch(instance, build_definitions(listener), manifest.batch, config).parsed
        event = instance.get_latest_materialization_event(dg.AssetKey("parsed_documents"))
    assert event is not None
    assert event.asset_materialization is not None
    found = event.asset_materialization.metadata
    return {name: value.value for name, value in found.items() if isinstance(value, dg.JsonMetadataValue)}
