"""Rules on the model servers: flags, model, and times that fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from manifests.objects import Cluster, Pod, pod_of
from manifests.pipeline import json_of, pipeline_settings
from manifests.runs import instance_config, run_job

#: The options of ``vllm serve`` in the version of the image, one a line: written down from its documentation.
FLAGS = Path(__file__).parent / "vllm-serve-0.28.txt"
#: What must be said rather than left to a default.
EXPLICIT = frozenset(
    {
        "--served-model-name",
        "--max-model-len",
        "--gpu-memory-utilization",
        "--max-num-seqs",
        "--max-num-batched-tokens",
        "--limit-mm-per-prompt",
        "--mm-processor-cache-gb",
        "--shutdown-timeout",
        "--logits-processors",
    }
)
REVISION = re.compile(r"[0-9a-f]{40}")
#: Seconds for a process to end after its own shutdown timeout.
SPARE = 15
#: What Kubernetes waits between two asks, and how often, where nothing is said.
PERIOD, THRESHOLD = 10, 3


@cache
def known_flags() -> frozenset[str]:
    return frozenset(line for line in FLAGS.read_text(encoding="utf-8").split("\n") if line.startswith("--"))


def servers(cluster: Cluster) -> list[Pod]:
    """The pods that run vLLM."""
    return [
        pod for pod in cluster.pods() if pod.component == "model-server" and pod.spec["containers"][0]["name"] == "vllm"
    ]


def arguments(cluster: Cluster, pod: Pod) -> dict[str, str]:
    """The options of a server with their values, and its model under ``""``; variables are filled in."""
    container = pod.spec["containers"][0]
    environment = cluster.environment(container)
    words = [
        re.sub(r"\$\((\w+)\)", lambda name: environment.get(name[1]) or name[0], word) for word in container["args"]
    ]
    pairs = [word.partition("=") if word.startswith("--") else ("", "=", word) for word in words]
    return {name: value for name, _, value in pairs}


def flags_accepted(cluster: Cluster) -> Iterator[str]:
    """VLLM knows every option, what matters is said, and values have the form that they need."""
    for pod in servers(cluster):
        given = arguments(cluster, pod)
        yield from (f"{pod.owner}: vLLM knows no {name}" for name in sorted({*given} - known_flags() - {""}))
        yield from (f"{pod.owner}: {name} is left to its default" for name in sorted(EXPLICIT - {*given}))
        if "--enforce-eager" in given:
            yield f"{pod.owner}: --enforce-eager is not for production"
        if json_of(given.get("--limit-mm-per-prompt", "")) != {"image": 1, "video": 0}:
            yield f"{pod.owner}: a request is one image"
        share = given.get("--gpu-memory-utilization", "")
        if not re.fullmatch(r"0\.\d+", share) or not 0.5 <= float(share) <= 0.95:
            yield f"{pod.owner}: {share} of the GPU's memory"
        for name in ("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--shutdown-timeout"):
            if not re.fullmatch(r"[1-9]\d*", given.get(name, "")):
                yield f"{pod.owner}: {name} is {given.get(name)!r}"


def model_pinned(cluster: Cluster) -> Iterator[str]:
    """The server serves one revision under the name that the pipeline asks for, and the Job fetches the same."""
    told = pipeline_settings(cluster).vllm_server
    for pod in servers(cluster):
        given = arguments(cluster, pod)
        container = pod.spec["containers"][0]
        environment = cluster.environment(container)
        model, revision = environment.get("MODEL"), environment.get("REVISION") or ""
        if not REVISION.fullmatch(revision):
            yield f"{pod.owner}: {revision!r} is not the hash of a commit"
        if given.get("") != f"/weights/{model}/{revision}":
            yield f"{pod.owner}: serves {given.get('')}"
        if (told.model, told.model_revision) != (given.get("--served-model-name"), revision):
            yield f"{pod.owner}: the pipeline asks for {told.model} at {told.model_revision}"
        if any(mount["name"] == "weights" and not mount.get("readOnly") for mount in container["volumeMounts"]):
            yield f"{pod.owner}: may change the weights"
        fetching = cluster.environment(cluster.pod("weights").spec["containers"][0])
        if (fetching.get("MODEL"), fetching.get("REVISION")) != (model, revision):
            yield f"{pod.owner}: the Job fetches {fetching.get('MODEL')} at {fetching.get('REVISION')}"


def on_a_gpu(cluster: Cluster) -> Iterator[str]:
    """A server has a GPU to itself, gets there, hands it over on a roll-out, and has shared memory."""
    for workload in cluster.of("Deployment"):
        pod = pod_of(workload)
        if pod not in servers(cluster):
            continue
        resources = pod.spec["containers"][0]["resources"]
        if resources["limits"].get("nvidia.com/gpu") != "1" or resources["requests"].get("nvidia.com/gpu") != "1":
            yield f"{pod.owner}: has no GPU"
        if not pod.spec.get("nodeSelector") or not any(
            each.get("key") == "nvidia.com/gpu" for each in pod.spec.get("tolerations", [])
        ):
            yield f"{pod.owner}: does not get to the nodes with GPUs"
        if workload["spec"].get("strategy", {}).get("type") != "Recreate":
            yield f"{pod.owner}: the new pod would wait for the GPU of the old one"
        memory = {each["name"] for each in pod.spec["volumes"] if each.get("emptyDir", {}).get("medium") == "Memory"}
        if not any(
            each["mountPath"] == "/dev/shm" and each["name"] in memory
            for each in pod.spec["containers"][0]["volumeMounts"]
        ):
            yield f"{pod.owner}: no memory at /dev/shm"
    if servers(cluster) and not cluster.of("PodDisruptionBudget"):
        yield "a drain may take all model servers at once"


def seconds(probe: Mapping[str, Any]) -> int:
    """How long a probe may fail before Kubernetes acts."""
    return probe.get("periodSeconds", PERIOD) * probe.get("failureThreshold", THRESHOLD)


def times_fit(cluster: Cluster) -> Iterator[str]:
    """What waits, waits longer than what it waits for."""
    settings = pipeline_settings(cluster)
    for pod in servers(cluster):
        container = pod.spec["containers"][0]
        stop = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        shutdown = int(arguments(cluster, pod).get("--shutdown-timeout") or 0)
        grace = pod.spec.get("terminationGracePeriodSeconds", 30)
        if not 10 <= stop <= 30:
            yield f"{pod.owner}: {stop} s for the name to lead elsewhere"
        if shutdown <= 0 or grace < stop + shutdown + SPARE:
            yield f"{pod.owner}: is killed after {grace} s; it needs {stop} s and {shutdown} s, and {SPARE} s to end"
        start = seconds(container.get("startupProbe", {"failureThreshold": 0}))
        if start < 600:
            yield f"{pod.owner}: has {start} s to load"
        budget = settings.http_client.outage_budget_seconds
        if budget < start + grace:
            yield f"runs wait {budget:g} s for a server that may take {start + grace} s to come back"
        if seconds(container.get("livenessProbe", {})) <= container.get("livenessProbe", {}).get("timeoutSeconds", 1):
            yield f"{pod.owner}: a single slow answer ends it"
    monitoring = instance_config(cluster).get("run_monitoring", {})
    if monitoring.get("max_runtime_seconds", 0) < settings.workers.timeout_seconds + 1800:
        yield "dagster.yaml: max_runtime_seconds ends runs before they stop by themselves"
    if monitoring.get("start_timeout_seconds", 0) < 300:
        yield "dagster.yaml: start_timeout_seconds leaves no time to fetch an image"
    grace = pod_of(run_job(cluster)).spec.get("terminationGracePeriodSeconds", 30)
    if not 60 <= grace < monitoring.get("cancel_timeout_seconds", 180):
        yield f"run: {grace} s to commit what is in flight, of {monitoring.get('cancel_timeout_seconds')} s"


def workers_have_room(cluster: Cluster) -> Iterator[str]:
    """The children that open PDFs, and what a run needs beside them, fit into the memory of its pod."""
    settings = pipeline_settings(cluster)
    limit = pod_of(run_job(cluster)).spec["containers"][0]["resources"]["limits"]["memory"]
    needed = settings.workers.count * settings.limits.memory_mib + 1024
    available = int(re.sub(r"Gi$", "", limit)) * 1024 if limit.endswith("Gi") else 0
    if needed > available:
        yield f"run: {limit} of memory, {needed} MiB may be needed"
