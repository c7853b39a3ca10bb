"""What the settings of the instance, its alerts, backfills and checks change."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import SIMULATED_MODEL, ModelServer, pdf
from settings_bench import Bench

from mineru_pipeline import launch
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import quarantine
from mineru_pipeline.parsing.ledger import ParsedRow
from resources import parsing
from resources.documents import open_store
from sensors import alerts, backfills


@pytest.mark.setting("data_dir", "storage.root", "dagster.home")
def test_folders(bench: Bench, tmp_path: Path) -> None:
    """The data folder holds store and instance, unless they are told to be elsewhere."""
    plain = bench.load().settings
    assert (plain.store_root, plain.dagster_home) == (tmp_path / "data" / "store", tmp_path / "data" / "dagster")
    assert bench.parse(storage__root=tmp_path / "s").store.address == str(tmp_path / "s")
    launch.open_instance(bench.load(dagster__home=tmp_path / "d").settings).dispose()
    assert (tmp_path / "d" / "dagster.yaml").exists()


@pytest.mark.setting("dagster.webserver_host", "dagster.webserver_port")
def test_webserver_address(bench: Bench) -> None:
    """``mineru-pipeline dev`` listens where it is told."""
    command, _ = launch.dev_server_command(bench.load(dagster__webserver_host="::1", dagster__webserver_port=3999))
    assert command[command.index("--host") + 1] == "::1"
    assert command[command.index("--port") + 1] == "3999"


@pytest.mark.setting("alerts.webhook_url", "alerts.link_base", "alerts.timeout_seconds")
def test_failed_runs_are_told(bench: Bench) -> None:
    """The webhook that is named is called, with a link into the UI that is named, for as long as is allowed."""
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, "j")
    run = dg.DagsterRun(job_name="j")
    with socket.create_server(("127.0.0.1", 0)) as silent, dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_run_status_sensor_context("s", event, instance, run).for_run_failure()

        def reason(**changes: Any) -> str:
            return str(alerts.evaluate(context, bench.load(**changes).settings, sleep=lambda _: None).skip_message)

        def waited(seconds: float) -> float:
            started = time.monotonic()
            assert "TimeoutError" in reason(alerts__webhook_url=url, alerts__timeout_seconds=seconds)
            return time.monotonic() - started

        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert "is not set" in reason()
        # Two attempts, neither of which is answered.
        assert waited(0.05) < waited(2.5)
        expected = alerts.outlook(instance, run, bench.load().settings)
        assert alerts.alert_of(context, expected, bench.load().settings.alerts.link_base).link is None
        base = bench.load(alerts__link_base="http://ui.example").settings.alerts.link_base
        assert alerts.alert_of(context, expected, base).link == f"http://ui.example/runs/{run.run_id}"


@pytest.mark.setting("backfills.most_runs", "backfills.most_attempts")
def test_what_is_parsed_again_by_itself(bench: Bench) -> None:
    """So many batches are asked for at a time, and a document that failed so often waits for somebody."""
    with dg.DagsterInstance.ephemeral() as instance:
        store = open_store(bench.load().settings)
        for batch in ("b1", "b2"):
            ref = DocumentRef(f"s3://b/{batch}.pdf", None, None, None, "2026-01-01T00:00:00Z", "kafka")
            write_manifest(store, BatchManifest(batch, "default", (ref,)))
            instance.add_dynamic_partitions(launch.PARTITIONS, [batch])
            instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))
            revision = parsing.revisions_of(bench.load().settings).parser
            store.put(f"tables/parsed_documents/revision={revision}/batch={batch}/part-0.parquet", b"")
            row = ParsedRow(0, ref.uri, None, None, "failed", "internal", "", 0, 0, 0, 0, 0.0, 0, None, "")
            for _ in range(2):
                quarantine.record(store, [row], [ref], batch, now=datetime(2026, 1, 1, tzinfo=UTC))

        def asked(**changes: int) -> int:
            found = backfills.evaluate(instance, bench.load(**changes), store, time.time())
            return len(found) if isinstance(found, list) else 0

        assert [asked(backfills__most_runs=most) for most in (0, 1, 5)] == [0, 1, 2]
        assert [asked(backfills__most_attempts=most) for most in (2, 3)] == [0, 2]


@pytest.fixture
def instance(bench: Bench) -> Iterator[dg.DagsterInstance]:
    with launch.open_instance(bench.load().settings) as instance:
        yield instance


@pytest.mark.setting("checks.max_failure_rate", "checks.min_text_layer_agreement")
def test_check_limits(bench: Bench, instance: dg.DagsterInstance, tmp_path: Path, model_server: ModelServer) -> None:
    """A batch with one failed and one disagreeing document passes or not as the limits say."""
    (tmp_path / "gone.pdf").write_bytes(pdf("gone"))
    (tmp_path / "here.pdf").write_bytes(pdf("words that no simulated answer holds"))
    loaded = bench.load()
    store = open_store(loaded.settings)
    (manifest,) = write_manifests([tmp_path / "gone.pdf", tmp_path / "here.pdf"], loaded, store)
    (tmp_path / "gone.pdf").unlink()

    def failed_checks(rate: float, agreement: float) -> set[str]:
        file = tmp_path / "settings.yaml"
        file.write_text(
            f"data_dir: {tmp_path}/data\nvllm_server: {{base_url: '{model_server.url}', model: {SIMULATED_MODEL}}}\n"
            f"checks: {{max_failure_rate: {rate}, min_text_layer_agreement: {agreement}}}\n"
        )
        config = launch.run_config(file, loaded.settings.store_root)
        return set(launch.execute_batch(instance, build_definitions(), manifest.batch, config).failed_checks)

    assert failed_checks(0.1, 0.9) == {"failure_rate_within_limit", "text_layer_agreement"}
    assert failed_checks(0.5, 0.0) == set()
