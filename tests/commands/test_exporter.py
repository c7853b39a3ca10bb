"""``mineru-pipeline exporter``: what Prometheus scrapes of a real store and a real Dagster instance."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import httpx
from conftest import ModelServer, pdf
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster_shared.error import SerializableErrorInfo
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from assets.quality import CHECKS
from mineru_pipeline import launch, runs
from mineru_pipeline.commands.exporter import Exporter
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.errors import StoreUnavailableError
from mineru_pipeline.monitoring.metrics import PipelineMetrics
from mineru_pipeline.monitoring.survey import StoreSurvey
from mineru_pipeline.parsing import backoff
from mineru_pipeline.settings import Settings, load
from mineru_pipeline.storage import FilesystemStore
from mineru_pipeline.storage.store import ObjectInfo

Sample = tuple[str, tuple[tuple[str, str], ...]]


def samples(text: str) -> dict[Sample, float]:
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(one.labels.items())): one.value for family in families for one in family.samples}


def scraped(exporter: Exporter) -> dict[Sample, float]:
    registry = CollectorRegistry()
    registry.register(exporter.metrics)
    return samples(generate_latest(registry).decode())


def settings_of(folder: Path, server: str = "http://127.0.0.1:9") -> Settings:
    return load(environ={}, overrides={"data_dir": str(folder / "data"), "vllm_server.base_url": server}).settings


def test_before_anything_exists(tmp_path: Path) -> None:
    """An empty store is counted as empty; an instance that is not there is made by no look, and shown as down."""
    exporter = Exporter.of(settings_of(tmp_path))
    assert scraped(exporter) == {}
    exporter.look()
    found = scraped(exporter)
    assert found["mineru_pipeline_source_up", (("source", "store"),)] == 1
    assert found["mineru_pipeline_source_up", (("source", "dagster"),)] == 0
    assert found["mineru_pipeline_batches", (("state", "open"),)] == 0
    assert not any(name.startswith("mineru_pipeline_runs") for name, _ in found)
    assert not (tmp_path / "data" / "dagster").exists()


class Away(FilesystemStore):
    """A folder that can be away."""

    is_away = False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if self.is_away:
            raise StoreUnavailableError("the disk is gone")
        return super().list(prefix)


def test_a_store_that_is_away_hides_its_figures(tmp_path: Path) -> None:
    """No old value stands for a present one, and once it is back, all is as before."""
    settings, store = settings_of(tmp_path), Away(tmp_path)
    survey = StoreSurvey(store, "r", backoff.documents(4))
    exporter = Exporter(settings, PipelineMetrics(), survey)
    for away in (False, True, False):
        store.is_away = away
        exporter.look()
        found = scraped(exporter)
        assert found["mineru_pipeline_source_up", (("source", "store"),)] == (0 if away else 1)
        assert any(name == "mineru_pipeline_batches" for name, _ in found) != away


def test_a_real_run_is_seen(tmp_path: Path, model_server: ModelServer) -> None:
    """Its documents, its batch and its end; and what the gate, the sensors and the daemons said."""
    file = tmp_path / "settings.yaml"
    file.write_text(f"data_dir: {tmp_path}/data\nvllm_server: {{base_url: '{model_server.url}'}}\n")
    (tmp_path / "a.pdf").write_bytes(pdf("one"))
    (tmp_path / "b.pdf").write_bytes(b"no PDF")
    loaded = load(file, environ={})
    exporter = Exporter.of(loaded.settings)
    store = FilesystemStore(loaded.settings.store_root)
    (manifest,) = write_manifests([tmp_path / "a.pdf", tmp_path / "b.pdf"], loaded, store)
    exporter.look()
    assert scraped(exporter)["mineru_pipeline_documents_waiting", ()] == 2
    with launch.open_instance(loaded.settings) as instance:
        model = {"vllm_server.model": "mineru-pipeline/simulated-1"}
        file.write_text(
            f"data_dir: {tmp_path}/data\n"
            f"vllm_server: {{base_url: '{model_server.url}', model: {model['vllm_server.model']}}}\n"
        )
        exporter = Exporter.of(load(file, environ={}).settings)
        config = launch.run_config(file, store.root)
        assert launch.execute_batch(instance, build_definitions(), manifest.batch, config).parsed
        check, *_ = [spec.key for each in CHECKS for spec in each.check_specs]
        evaluation = dg.AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=False,
            metadata={},
            severity=dg.AssetCheckSeverity.WARN,
        )
        instance.report_runless_asset_event(evaluation)
    exporter.look()
    found = scraped(exporter)
    assert found["mineru_pipeline_documents", (("state", "parsed"),)] == 1
    assert found["mineru_pipeline_documents", (("state", "rejected"),)] == 1
    assert found["mineru_pipeline_batches", (("state", "done"),)] == 1
    assert found["mineru_pipeline_documents_waiting", ()] == 0
    assert found["mineru_pipeline_runs_ended_total", (("status", "success"),)] == 1
    assert found["mineru_pipeline_batches_waiting_for_somebody", ()] == 0
    assert found["mineru_pipeline_quality_gate_state", (("check", check.name),)] == 1


def sensor_state(name: str) -> InstigatorState:
    """A sensor that is switched on, as the daemon notes it."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "ours")
    origin = RemoteInstigatorOrigin(repository, name)
    return InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)


@dg.job
def nothing() -> None:
    """A job without steps."""


def test_runs_and_sensors_that_fail_are_seen(tmp_path: Path) -> None:
    """A batch waits for somebody if nothing starts it again; a failed tick marks its sensor until one succeeds."""
    settings, batch = settings_of(tmp_path), "20260101T000000Z-0123456789ab"
    with launch.open_instance(settings) as instance:
        run = instance.create_run_for_job(nothing, tags={runs.TAG_PARTITION: batch})
        instance.report_run_canceled(run)
        assert runs.pulse(instance, []).ended == {"success": 0, "failure": 0, "canceled": 1}
        assert (runs.stuck(instance, [batch]), runs.stuck(instance, ["another"])) == (1, 0)
        assert runs.pulse(instance, []).failing == {}
        state = sensor_state("watcher")
        instance.add_instigator_state(state)
        for status, failing in ((TickStatus.FAILURE, True), (TickStatus.SKIPPED, False)):
            instance.create_tick(
                TickData(
                    state.instigator_origin_id,
                    "watcher",
                    InstigatorType.SENSOR,
                    status,
                    time.time(),
                    error=SerializableErrorInfo("boom", [], None) if failing else None,
                    selector_id=state.selector_id,
                )
            )
            assert runs.pulse(instance, []).failing == {"watcher": failing}


def test_the_command_serves_until_it_is_told_to_stop(
    tmp_path: Path, environment: Callable[[str], dict[str, str]]
) -> None:
    """It names its address, answers scrapes, and ends with 0."""
    command = [sys.executable, "-m", "mineru_pipeline.cli", "exporter", "--port", "0", "--interval", "60"]
    process = subprocess.Popen(
        command, env={**environment("http://127.0.0.1:9"), "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        (address,) = re.findall(r"http://\S+/metrics", process.stdout.readline())
        assert httpx.get(address, trust_env=False, timeout=30).status_code == 200
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_an_error(
    tmp_path: Path, environment: Callable[[str], dict[str, str]], model_server: ModelServer
) -> None:
    """Nothing else would say why no metrics come."""
    port = model_server.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "mineru_pipeline.cli", "exporter", "--port", port]
    done = subprocess.run(
        command, env=environment("http://127.0.0.1:9"), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert port in done.stdout
