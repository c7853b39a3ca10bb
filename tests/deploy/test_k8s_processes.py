"""The commands of the manifests, run here: what can be started without a cluster, is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import grpc
import pytest
import yaml
from dagster._core.launcher.base import LaunchRunContext
from grpc_health.v1 import health_pb2, health_pb2_grpc
from manifests import runs
from manifests.rules import overlay
from manifests.runs import RecordingApi
from s3_server import S3Server

from mineru_pipeline import launch


def command_of(component: str, **replaced: str) -> list[str]:
    """The arguments of the first container of a component, with the programs of this environment."""
    program, *words = overlay("production").pod(component).spec["containers"][0]["args"]
    for name, value in replaced.items():
        [place] = [number for number, word in enumerate(words) if word.startswith(f"--{name}=")]
        words[place] = f"--{name}={value}"
    return [str(Path(sys.executable).with_name(program)), *words]


def home(folder: Path, **changed: object) -> dict[str, str]:
    """The environment of a Dagster home with the cluster's launcher but no cluster; SQLite stands in for PostgreSQL."""
    config = runs.instance_config(overlay("production"))
    local = {key: value for key, value in config.items() if key not in {"storage", "compute_logs"}} | changed
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(local))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KUBERNETES", "DAGSTER", "AWS"))}
    return kept | {"DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "1"}


@pytest.fixture
def code_server(tmp_path: Path) -> Iterator[str]:
    """The code location on a free port; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = command_of("code-location", host="127.0.0.1", port=str(port))
    process = subprocess.Popen(
        command, env=home(tmp_path / "home"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            # Dagster's server ends when the calls under way have, and on a busy machine one may not.
            process.kill()
            process.wait()


def test_the_code_location_answers_its_probe(code_server: str) -> None:
    """The code server starts as the manifest has it, and serves the health service that the probes ask for."""
    probe = overlay("production").pod("code-location").spec["containers"][0]["readinessProbe"]["grpc"]
    deadline = time.monotonic() + 150
    with grpc.insecure_channel(code_server) as channel:
        grpc.channel_ready_future(channel).result(timeout=deadline - time.monotonic())
        asked = health_pb2.HealthCheckRequest(service=probe["service"])
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_migration_needs_no_token(tmp_path: Path) -> None:
    """The Job brings an instance up to date although the run launcher cannot be loaded there."""
    done = subprocess.run(
        command_of("migration"), env=home(tmp_path / "home"), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Updating schedule storage" in done.stdout


def test_a_run_needs_no_token_and_leaves_its_logs_in_the_store(tmp_path: Path, s3: S3Server, bucket: str) -> None:
    """A run executes where the launcher cannot be loaded; what it printed is in the bucket of a real S3 server then."""
    logs = runs.instance_config(overlay("production"))["compute_logs"]
    logs["config"] |= {"local_dir": str(tmp_path / "logs")}
    environment = home(tmp_path / "home", compute_logs=logs) | {
        "DAGSTER_LOGS_BUCKET": bucket,
        "DAGSTER_LOGS_ENDPOINT": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", _RUN], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("launcher: ")[1].startswith("refused")
    assert "told by a run" in done.stdout.rsplit("stored:", 1)[1]


_RUN = """
import dagster as dg
from dagster._core.storage.compute_log_manager import ComputeIOType
from mineru_pipeline.launch import fail_dead_runs

@dg.op
def something():
    print("told by a run", flush=True)

@dg.job
def job():
    something()

with dg.DagsterInstance.get() as instance:
    assert job.execute_in_process(instance=instance).success
    assert fail_dead_runs(instance) == []
    try:
        instance.run_launcher
    except Exception:
        print("launcher: refused")
    logs = instance.compute_log_manager
    [run] = instance.get_runs()
    [key] = logs.get_log_keys_for_log_key_prefix([run.run_id, "compute_logs"], io_type=ComputeIOType.STDOUT)
    # What is in the bucket, not what lies beside it.
    logs.local_manager.delete_logs(log_key=key)
    print("stored:", logs.get_log_data(key).stdout)
"""


def test_the_command_of_a_job_executes_its_run(tmp_path: Path) -> None:
    """What the launcher puts into a Job brings the run to our code in another process, which claims it for its pod."""
    environment, cluster = home(tmp_path / "home"), overlay("production")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        api = RecordingApi()
        starter = runs.launcher(cluster, k8s_client_batch_api=api, k8s_client_core_api=api)
        starter.register_instance(instance)
        run = instance.add_run(runs.run_of(cluster, {"dagster/partition": "no-such-batch"}))
        starter.launch_run(LaunchRunContext(run, workspace=None))
        [(_, job)] = api.created
        container = job["spec"]["template"]["spec"]["containers"][0]
        told = {name: value for name, value in cluster.environment(container).items() if value is not None}
        # The store is a folder here, the home that of this test, and the port of the metrics a free one.
        here = {"MINERU_PIPELINE__STORAGE__BACKEND": "filesystem", "MINERU_PIPELINE__DATA_DIR": str(tmp_path / "data")}
        here |= {"MINERU_PIPELINE__METRICS__PORT": "0", "MINERU_PIPELINE__METRICS__HOST": "127.0.0.1"}
        program, *words = container["args"]
        subprocess.run(
            [Path(sys.executable).with_name(program), *words],
            env=told | environment | here,
            stdout=subprocess.DEVNULL,
            timeout=150,
            check=True,
        )
        seen = instance.get_run_by_id(run.run_id)
        assert seen is not None
        assert seen.tags[launch.TAG_RUN] == run.run_id
        assert seen.status == dg.DagsterRunStatus.FAILURE
        failures = [each.dagster_event for each in instance.all_logs(run.run_id) if each.dagster_event]
        assert "no-such-batch" in launch.public_reason(each for each in failures if each.is_step_failure)
