"""Rendered Kubernetes objects as rules look at them: found by kind and name, with their pods in one form."""

from __future__ import annotations

import base64
import copy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mineru_pipeline.settings import project_root

ROOT = project_root()
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("development", "staging", "production")
#: Of the environment that runs the tests.
KUBECTL = Path(sys.executable).with_name("kubectl")
COMPONENT = "app.kubernetes.io/component"
RUN = "run_worker"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as its owner describes it."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    replicas: int = 1

    @property
    def component(self) -> str:
        return self.labels.get(COMPONENT, "")

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    def ports(self) -> dict[str, int]:
        """The ports that its containers declare, by name."""
        declared = [port for container in self.spec["containers"] for port in container.get("ports", [])]
        return {port["name"]: port["containerPort"] for port in declared}


class Cluster:
    """All objects of one overlay; ``run_job`` makes the Job that Dagster would create for a run."""

    def __init__(self, name: str, objects: list[Object]) -> None:
        self.name = name
        self.objects = objects

    def copy(self) -> Cluster:
        """One of its own, to be changed."""
        return Cluster(self.name, copy.deepcopy(self.objects))

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def get(self, kind: str, name: str) -> Object:
        """The object whose name is ``name``, but for the hash that kustomize puts behind it."""
        for each in self.of(kind):
            given = each["metadata"]["name"]
            if given == name or (given.rpartition("-")[0] == name and kind in {"ConfigMap", "Secret"}):
                return each
        raise KeyError(f"{kind}/{name}")

    def data(self, kind: str, name: str) -> dict[str, str]:
        """The entries of a ConfigMap or Secret of exactly this name, in plain text; KeyError without one."""
        for each in self.of(kind):
            if each["metadata"]["name"] == name:
                entries = each.get("data") or {}
                coded = kind == "Secret"
                return {key: base64.b64decode(value).decode() if coded else value for key, value in entries.items()}
        raise KeyError(f"{kind}/{name}")

    @cached_property
    def namespace(self) -> str:
        return str(self.of("Namespace")[0]["metadata"]["name"])

    def pods(self) -> list[Pod]:
        """The pods of every workload of the overlay; those of runs are not among them."""
        return list(_pods(self.objects))

    def pod(self, component: str) -> Pod:
        return next(pod for pod in self.pods() if pod.component == component)

    def environment(self, container: Mapping[str, Any]) -> dict[str, str | None]:
        """What a container gets as variables; None stands for what only the cluster knows, such as a secret."""
        found: dict[str, str | None] = {}
        for source in container.get("envFrom", []):
            kind, key = ("ConfigMap", "configMapRef") if "configMapRef" in source else ("Secret", "secretRef")
            try:
                found |= self.data(kind, source[key]["name"])
            except KeyError:
                continue
        for entry in container.get("env", []):
            found[entry["name"]] = self._value(entry)
        return found

    def _value(self, entry: Mapping[str, Any]) -> str | None:
        source = entry.get("valueFrom", {})
        if "fieldRef" in source:
            return self.namespace if source["fieldRef"]["fieldPath"] == "metadata.namespace" else None
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if key in source:
                try:
                    return self.data(kind, source[key]["name"])[source[key]["key"]]
                except KeyError:
                    return None
        return entry.get("value", "")


def _pods(objects: list[Object]) -> Iterator[Pod]:
    for each in objects:
        if each["kind"] in {"Deployment", "StatefulSet", "Job", "DaemonSet"}:
            yield pod_of(each)


def pod_of(workload: Mapping[str, Any]) -> Pod:
    """The pod of a Deployment, StatefulSet, DaemonSet or Job."""
    template = workload["spec"]["template"]
    return Pod(
        owner=name_of(workload),
        labels=template["metadata"].get("labels", {}),
        spec=template["spec"],
        replicas=workload["spec"].get("replicas", 1),
    )


def name_of(each: Mapping[str, Any]) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector with matchLabels and matchExpressions selects ``labels``; an empty one selects all."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value, operator = labels.get(rule["key"]), rule["operator"]
        holds = {
            "In": value in rule.get("values", []),
            "NotIn": value not in rule.get("values", []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[operator]
        if not holds:
            return False
    return True


def render(folder: Path) -> list[Object]:
    """What kustomize makes of a folder."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]
