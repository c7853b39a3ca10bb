"""The Job that Dagster would create for a run, made by the code of its launcher from ``dagster.yaml``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from dagster import DagsterRun
from dagster._config import process_config, resolve_to_config_type
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job, get_job_name_from_run_id
from dagster_k8s.launcher import K8sRunLauncher
from kubernetes.client import ApiClient
from manifests.objects import Cluster, Object

from mineru_pipeline import launch

RUN_ID = "7f0c2f0e-1f1f-4d7c-9f5f-2b1d1d0e8a11"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
}


class UnknownVariableError(Exception):
    """``dagster.yaml`` names a variable that its reader does not have."""


class InvalidConfigError(Exception):
    """Dagster does not accept a part of ``dagster.yaml``."""


def instance_config(cluster: Cluster) -> Object:
    """``dagster.yaml`` of the overlay."""
    return yaml.safe_load(cluster.get("ConfigMap", "dagster-instance")["data"]["dagster.yaml"])


def resolved(value: Any, environment: Mapping[str, str | None]) -> Any:
    """``value`` with each ``{env: NAME}`` replaced.

    Raises:
        UnknownVariableError: a variable is missing.
    """
    if isinstance(value, dict) and set(value) == {"env"}:
        if value["env"] not in environment:
            raise UnknownVariableError(value["env"])
        text = environment[value["env"]] or ""
        # As Dagster reads a variable where it wants a number; none of the names here is one.
        return int(text) if text.isdigit() else text
    if isinstance(value, dict):
        return {key: resolved(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, environment) for each in value]
    return value


def processed(owner: type, config: object) -> Object:
    """A configuration as Dagster completes it; raises InvalidConfigError where Dagster refuses it."""
    result = process_config(resolve_to_config_type(owner.config_type()), config)
    if not result.success:
        raise InvalidConfigError("; ".join(error.message for error in result.errors or []))
    return result.value


@cache
def _kubeconfig() -> str:
    handle, name = tempfile.mkstemp(suffix=".yaml")
    with os.fdopen(handle, "w") as file:
        yaml.safe_dump(KUBECONFIG, file)
    return name


def launcher(cluster: Cluster, **clients: Any) -> K8sRunLauncher:
    """The launcher as the daemon has it, but for how it gets to the API server."""
    config = instance_config(cluster)["run_launcher"]["config"]
    environment = cluster.environment(cluster.pod("daemon").spec["containers"][0])
    values = processed(K8sRunLauncher, resolved(config, environment))
    return K8sRunLauncher(**values | {"load_incluster_config": False, "kubeconfig_file": _kubeconfig()}, **clients)


def origin(cluster: Cluster) -> JobPythonOrigin:
    """Where a run's code comes from, as the code location tells it."""
    environment = cluster.environment(cluster.pod("code-location").spec["containers"][0])
    repository = RepositoryPythonOrigin(
        executable_path="/usr/local/bin/python",
        code_pointer=ModuleCodePointer(launch.MODULE, launch.ATTRIBUTE),
        container_image=environment.get("DAGSTER_CURRENT_IMAGE"),
        entry_point=["dagster"],
        container_context=None,
    )
    return JobPythonOrigin(launch.JOB, repository)


def run_of(cluster: Cluster, tags: Mapping[str, str] | None = None) -> DagsterRun:
    return DagsterRun(launch.JOB, run_id=RUN_ID, tags=tags, job_code_origin=origin(cluster))


def run_job(cluster: Cluster, tags: Mapping[str, str] | None = None) -> Object:
    """The Job of one run, as the API server would get it."""
    return _tagged_job(cluster, tags) if tags else _plain_job(cluster)


@cache
def _plain_job(cluster: Cluster) -> Object:
    # Nearly every rule asks for it. Who changes a cluster does so in a copy, before any rule looks.
    return _tagged_job(cluster, None)


def _tagged_job(cluster: Cluster, tags: Mapping[str, str] | None) -> Object:
    starter, run = launcher(cluster), run_of(cluster, tags)
    context = K8sContainerContext.create_for_run(run, starter, include_run_tags=True)
    image = run.job_code_origin.repository_origin.container_image if run.job_code_origin else None
    name = get_job_name_from_run_id(RUN_ID)
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(job_image=image, run_launcher=starter),
        args=["dagster", "api", "execute_run"],
        job_name=name,
        pod_name=name,
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
        labels={"dagster/job": launch.JOB, "dagster/run-id": RUN_ID},
        env_vars=[{"name": "DAGSTER_RUN_JOB_NAME", "value": launch.JOB}],
    )
    return as_sent(job)


def as_sent(body: Any) -> Object:
    """An object of the Kubernetes client as JSON, with the names of the API."""
    return json.loads(json.dumps(ApiClient().sanitize_for_serialization(body)))


def write_instance(cluster: Cluster, folder: Path) -> Path:
    """``dagster.yaml`` of the overlay in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(cluster.get("ConfigMap", "dagster-instance")["data"]["dagster.yaml"])
    return folder


class RecordingApi:
    """The part of the API server that the launcher needs: keeps what is created, and tells of a Job what it is told."""

    def __init__(self, **status: int) -> None:
        self.created: list[Any] = []
        self.status = SimpleNamespace(active=status.get("active"), failed=status.get("failed"), succeeded=None)

    def create_namespaced_job(self, body: Any, namespace: str, **_: Any) -> None:
        self.created.append((namespace, as_sent(body)))

    def read_namespaced_job_status(self, name: str, namespace: str, **_: Any) -> Any:
        return SimpleNamespace(status=self.status)
