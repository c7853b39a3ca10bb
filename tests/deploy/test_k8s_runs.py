"""Runs as Dagster would start them in the cluster, by the code of its own launcher and commands."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster._cli import create_dagster_cli
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import create_dagster_webserver_cli
from kubernetes.client import (
    V1Container,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodSpec,
    V1PodStatus,
)
from manifests import runs
from manifests.objects import OVERLAYS, pod_of
from manifests.rules import overlay
from manifests.runs import RecordingApi

from mineru_pipeline import launch

COMMANDS = {
    "dagster": create_dagster_cli,
    "dagster-daemon": create_dagster_daemon_cli,
    "dagster-webserver": create_dagster_webserver_cli,
}


@pytest.fixture
def instance(tmp_path: Path) -> Any:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def launched(instance: dg.DagsterInstance, api: RecordingApi, name: str = "production", **tags: str) -> Any:
    """A launcher on an instance, with a run of it."""
    cluster = overlay(name)
    starter = runs.launcher(cluster, k8s_client_batch_api=api, k8s_client_core_api=api)
    starter.register_instance(instance)
    run = instance.add_run(runs.run_of(cluster, tags))
    return starter, run


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_launcher_creates_the_job_that_the_rules_look_at(name: str, instance: dg.DagsterInstance) -> None:
    """What the launcher sends for a run is, but for the command's arguments, the Job that every rule looks at."""
    api = RecordingApi()
    starter, run = launched(instance, api, name)
    starter.launch_run(LaunchRunContext(run, workspace=None))
    [(namespace, job)] = api.created
    assert namespace == f"mineru-{name}"
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    container["args"] = container["args"][:3]
    assert job == runs.run_job(overlay(name))


def test_a_run_cannot_ask_for_more_than_resources() -> None:
    """A tag of a run may raise its memory; another user, image or account for its pod is refused."""
    more = json.dumps({"container_config": {"resources": {"limits": {"memory": "8Gi"}}}})
    job = runs.run_job(overlay("production"), {"dagster-k8s/config": more})
    assert pod_of(job).spec["containers"][0]["resources"]["limits"]["memory"] == "8Gi"
    for wanted in (
        {"container_config": {"security_context": {"privileged": True}}},
        {"container_config": {"image": "elsewhere/other:1"}},
        {"pod_spec_config": {"service_account_name": "dagster-daemon"}},
        {"pod_spec_config": {"automount_service_account_token": True}},
    ):
        with pytest.raises(Exception, match="violated the allowed list"):
            runs.run_job(overlay("production"), {"dagster-k8s/config": json.dumps(wanted)})


@pytest.mark.parametrize("name", OVERLAYS)
def test_dagster_reads_the_instance(name: str, tmp_path: Path) -> None:
    """Dagster accepts every key of ``dagster.yaml``, and of the workspace."""
    folder = runs.write_instance(overlay(name), tmp_path)
    config, _ = dagster_instance_config(str(folder))
    assert dict(config) == runs.instance_config(overlay(name))
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(overlay(name).get("ConfigMap", "dagster-instance")["data"]["workspace.yaml"])
    [origin] = WorkspaceFileTarget([str(workspace)]).create_origins()
    # Runs of the command name the same location, so the UI finds their code.
    assert (origin.location_name, origin.host, origin.port) == (launch.LOCATION, "dagster-code-location", 4000)


@pytest.mark.parametrize("component", ["code-location", "daemon", "webserver-readonly", "webserver-admin"])
def test_dagster_takes_the_command_lines(component: str, tmp_path: Path) -> None:
    """Each command of the manifests is one that Dagster has, with options that it knows."""
    (tmp_path / "workspace.yaml").touch()
    program, *words = overlay("production").pod(component).spec["containers"][0]["args"]
    command = COMMANDS[program]()
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    # The option asks for a file that is there.
    words = [word.replace("/opt/dagster/home", str(tmp_path)) for word in words]
    context = command.make_context(program, words)
    assert not context.args
    assert not hasattr(command, "commands") or command.invoke_without_command


def test_the_module_of_the_code_location_is_ours() -> None:
    """The code server loads the definitions that the workspace of a checkout names."""
    words = overlay("production").pod("code-location").spec["containers"][0]["args"]
    assert {f"--module-name={launch.MODULE}", f"--attribute={launch.ATTRIBUTE}"} <= set(words)


def test_a_run_of_another_pod_is_judged_by_its_job(instance: dg.DagsterInstance) -> None:
    """The sensor leaves runs of other hosts alone; the launcher tells the daemon which ones lost their pod."""
    api = RecordingApi(failed=1)
    starter, run = launched(instance, api)
    claim = launch.process_tags(run.run_id) | {launch.TAG_HOST: runs.run_job(overlay("production"))["metadata"]["name"]}
    instance.add_run_tags(run.run_id, claim)
    instance.report_dagster_event(_started(run), run_id=run.run_id)
    assert launch.fail_dead_runs(instance) == []
    seen = instance.get_run_by_id(run.run_id)
    assert seen is not None
    assert seen.status == dg.DagsterRunStatus.STARTED
    assert starter.supports_check_run_worker_health
    assert starter.check_run_worker_health(seen).status == WorkerStatus.FAILED


def test_a_run_of_another_pod_that_lives_is_left_alone(instance: dg.DagsterInstance) -> None:
    """While the pod of a run is there, neither the sensor nor the launcher calls it dead, however old it is."""
    api = RecordingApi(active=1)
    starter, run = launched(instance, api)
    # A process number that nobody on this host has: it says nothing of another host.
    claim = launch.process_tags(run.run_id) | {launch.TAG_HOST: "dagster-run-elsewhere", launch.TAG_PID: "4194300"}
    instance.add_run_tags(run.run_id, claim)
    instance.report_dagster_event(_started(run), run_id=run.run_id)
    [record] = instance.get_run_records()
    assert launch.fail_dead_runs(instance, now=(record.start_time or 0) + 10 * launch.CLAIM_SECONDS) == []
    seen = instance.get_run_by_id(run.run_id)
    assert seen is not None
    assert starter.check_run_worker_health(seen).status == WorkerStatus.RUNNING


#: The calls of the launcher as rights.
CALLS = {
    "create_namespaced_job": ("jobs", "create"),
    "list_namespaced_job": ("jobs", "list"),
    "delete_namespaced_job": ("jobs", "delete"),
    "read_namespaced_job_status": ("jobs/status", "get"),
    "list_namespaced_pod": ("pods", "list"),
    "delete_namespaced_pod": ("pods", "delete"),
    "read_namespaced_pod": ("pods", "get"),
    "read_namespaced_pod_log": ("pods/log", "get"),
    "list_namespaced_event": ("events", "list"),
}


class AskedApi:
    """An API server with one Job and so many pods of it; keeps the names of the calls."""

    def __init__(self, pods: int) -> None:
        self.asked: set[str] = set()
        self.pods = [
            V1Pod(
                metadata=V1ObjectMeta(name=f"dagster-run-{number}"),
                spec=V1PodSpec(containers=[V1Container(name="dagster")]),
                status=V1PodStatus(
                    phase="Failed",
                    container_statuses=[
                        V1ContainerStatus(
                            name="dagster",
                            image="i",
                            image_id="i",
                            ready=False,
                            restart_count=0,
                            state=V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=137)),
                        )
                    ],
                ),
            )
            for number in range(pods)
        ]

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> Any:
            self.asked.add(name)
            if name == "list_namespaced_pod":
                return SimpleNamespace(items=self.pods)
            if name == "list_namespaced_job":
                return SimpleNamespace(items=[SimpleNamespace(status=None, metadata=V1ObjectMeta(name="job"))])
            if name == "list_namespaced_event":
                return SimpleNamespace(items=[SimpleNamespace(type="Warning", reason="r", message="no room", count=1)])
            return SimpleNamespace(status=SimpleNamespace(active=None, failed=1, succeeded=None), data=b"killed")

        return call


@pytest.mark.parametrize("pods", [0, 1], ids=["without-a-pod", "with-a-pod"])
def test_the_daemon_may_ask_whatever_the_launcher_asks(instance: dg.DagsterInstance, pods: int) -> None:
    """Starting a run, looking after it, telling why it is gone and ending it take no right that the role lacks."""
    api = AskedApi(pods)
    starter, run = launched(instance, cast("RecordingApi", api))
    starter.launch_run(LaunchRunContext(run, workspace=None))
    instance.report_dagster_event(_started(run), run_id=run.run_id)
    seen = instance.get_run_by_id(run.run_id)
    assert seen is not None
    starter.check_run_worker_health(seen)
    assert "no room" in (starter.get_run_worker_debug_info(seen) or "")
    starter.terminate(run.run_id)
    needed = {CALLS[name] for name in api.asked}
    assert len(needed) > 4
    role = overlay("production").get("Role", "dagster-run-launcher")
    given = {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    assert sorted(needed - given) == []


def _started(run: dg.DagsterRun) -> Any:
    return dg.DagsterEvent(event_type_value=dg.DagsterEventType.PIPELINE_START.value, job_name=run.job_name)
