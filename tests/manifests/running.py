"""Rules on how pods run: what probes and monitors ask, how patiently, what a pod writes to, and who reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from manifests.objects import Cluster, Object, matches, name_of, pod_of
from manifests.runs import run_job
from manifests.security import all_pods, amount
from manifests.serving import PERIOD, THRESHOLD

from mineru_pipeline import launch

#: Where the program of each container tells of its health; a path that there is not ends it again and again.
HEALTH = {
    "vllm": {"/health"},
    "devserver": {"/health"},
    "dagster": {"/server_info"},
    "exporter": {"/metrics"},
    "oauth2-proxy": {"/ping", "/ready"},
    "minio": {"/minio/health/live", "/minio/health/ready"},
}
#: What asks the database whether the daemon was heard.
HEARD = ["dagster-daemon", "liveness-check"]
#: What Dagster calls itself in the health service.
GRPC = "DagsterApi"
#: Seconds: a busy node may stop a process that long; Dagster takes that long to load on half a processor.
PATIENCE, LOADING = 60, 120
#: The kinds of volumes that are used; others, such as a projected token, bring rights of their own.
VOLUMES = {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}


def asked_rightly(cluster: Cluster) -> Iterator[str]:
    """Probes ask what the program answers, for long enough; it listens to others than itself."""
    for pod in all_pods(cluster):
        for container in pod.containers:
            who = f"{pod.owner}/{container['name']}"
            yield from (f"{who}: {what}" for what in _probes(container))
            for word in container.get("args", []):
                if re.match(r"--host=(?!0\.0\.0\.0$)", word):
                    yield f"{who}: {word}, where only it itself gets to"


def _probes(container: Mapping[str, Any]) -> Iterator[str]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name, {})
        path = probe.get("httpGet", {}).get("path")
        if path is not None and path not in HEALTH.get(container["name"], set()):
            yield f"{name} asks for {path}"
        if container["name"] == "dagster" and probe.get("exec", {}).get("command", HEARD) != HEARD:
            yield f"{name} runs {probe['exec']['command']}"
        if probe.get("grpc", {}).get("service", GRPC) != GRPC:
            yield f"{name} asks for {probe['grpc']['service']}"
    if "livenessProbe" in container and _wait(container["livenessProbe"]) < PATIENCE:
        yield f"is ended after {_wait(container['livenessProbe'])} s"
    first = container.get("livenessProbe", {}).get("initialDelaySeconds", 0)
    if container["name"] in {"dagster", "exporter"} and "livenessProbe" in container:
        started = (
            _wait(container["startupProbe"])
            if "startupProbe" in container
            else first + _wait(container["livenessProbe"])
        )
        if started < LOADING:
            yield f"has {started} s to load"


def _wait(probe: Mapping[str, int]) -> int:
    return probe.get("periodSeconds", PERIOD) * probe.get("failureThreshold", THRESHOLD)


def watched_rightly(cluster: Cluster) -> Iterator[str]:
    """Monitors ask the port of those that they select, where metrics are, under the name that the rules know."""
    everyone = [(pod.labels, set(pod.ports())) for pod in all_pods(cluster)]
    services = [
        (each["metadata"]["labels"], {port["name"] for port in each["spec"]["ports"]}) for each in cluster.of("Service")
    ]
    asked = " ".join(rule["expr"] for each in cluster.of("PrometheusRule") for group in each["spec"]["groups"]
                     for rule in group["rules"])  # fmt: skip
    jobs = set()
    for each in cluster.of("PodMonitor", "ServiceMonitor"):
        spec = each["spec"]
        for labels, ports in services if each["kind"] == "ServiceMonitor" else everyone:
            if not matches(spec["selector"], labels):
                continue
            jobs.add(labels.get(spec.get("jobLabel", "")))
            for endpoint in spec.get("endpoints") or spec["podMetricsEndpoints"]:
                if endpoint["port"] not in ports:
                    yield f"{name_of(each)}: {labels['app.kubernetes.io/component']} has no port {endpoint['port']}"
        for endpoint in spec.get("endpoints") or spec["podMetricsEndpoints"]:
            if endpoint.get("path") != "/metrics":
                yield f"{name_of(each)}: asks for {endpoint.get('path')}"
            if _seconds(endpoint["scrapeTimeout"]) > _seconds(endpoint["interval"]):
                yield f"{name_of(each)}: waits longer than until it asks again, which Prometheus refuses"
    yield from (
        f'rules ask for job="{job}", which nobody has'
        for job in sorted(set(re.findall(r'job="([^"]+)"', asked)) - jobs)
    )


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def room_of_its_own(cluster: Cluster) -> Iterator[str]:
    """A user that is not root may write to its volumes; the volumes are of kinds that bring no rights, and fit."""
    for pod in all_pods(cluster):
        context = pod.spec.get("securityContext", {})
        if context.get("fsGroup") != context.get("runAsGroup") and _writes(pod.spec):
            yield f"{pod.owner}: group {context.get('fsGroup')} owns its volumes, it is of {context.get('runAsGroup')}"
        limit = amount(pod.spec["containers"][0]["resources"]["limits"].get("memory", 0))
        for volume in pod.spec.get("volumes", []):
            yield from (f"{pod.owner}: volume {volume['name']} {what}" for what in _volume(volume, limit))
        for container in pod.containers:
            if "procMount" in container.get("securityContext", {}) or "sysctls" in context:
                yield f"{pod.owner}/{container['name']}: sees or changes the kernel"
            for mount in container.get("volumeMounts", []):
                if mount["name"] == "weights" and pod.component != "weights" and not mount.get("readOnly"):
                    yield f"{pod.owner}/{container['name']}: may change the weights"


def _volume(volume: Mapping[str, Any], memory: float) -> Iterator[str]:
    kind = next(iter({*volume} - {"name"}), "none")
    if kind not in VOLUMES:
        yield f"is of the kind {kind}"
    folder = volume.get("emptyDir", {})
    if folder.get("medium") == "Memory" and amount(folder.get("sizeLimit", "1Ti")) > memory / 2:
        yield "may take the memory of its pod"


def _writes(spec: Mapping[str, Any]) -> bool:
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    return any(not mount.get("readOnly") for each in containers for mount in each.get("volumeMounts", []))


def within_the_cluster(cluster: Cluster) -> Iterator[str]:
    """Services are reached from within alone and when they are ready, proxies by an Ingress; a node can be drained."""
    for each in cluster.of("Service"):
        if each["spec"].get("type", "ClusterIP") != "ClusterIP" or each["spec"].get("externalIPs"):
            yield f"{name_of(each)}: is reached from outside"
        if each["spec"].get("publishNotReadyAddresses"):
            yield f"{name_of(each)}: leads to pods that are not ready"
    for each in cluster.of("Ingress"):
        yield from _ingress(each)
    for each in cluster.of("PodDisruptionBudget"):
        if not each["spec"].get("maxUnavailable"):
            yield f"{name_of(each)}: no node can be drained"


def _ingress(each: Object) -> Iterator[str]:
    if not each["spec"].get("ingressClassName"):
        yield f"{name_of(each)}: whichever controller is the default takes it, or none"
    named = {host for part in each["spec"].get("tls", []) for host in part["hosts"]}
    for rule in each["spec"]["rules"]:
        if rule["host"] not in named:
            yield f"{name_of(each)}: no certificate for {rule['host']}"
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]["name"]
            if service.rpartition("-")[2] != each["metadata"]["name"].rpartition("-")[2]:
                yield f"{name_of(each)}: leads to {service}"


def jobs_come_to_an_end(cluster: Cluster) -> Iterator[str]:
    """A Job ends, is not begun for ever, and goes when it is done, so that it can be made anew."""
    for each in [*cluster.of("Job"), run_job(cluster)]:
        spec = each["spec"]
        if pod_of(each).spec.get("restartPolicy") not in {"Never", "OnFailure"}:
            yield f"{name_of(each)}: restartPolicy is {pod_of(each).spec.get('restartPolicy')}"
        if not spec.get("ttlSecondsAfterFinished"):
            yield f"{name_of(each)}: stays for ever"
        if "activeDeadlineSeconds" not in spec and pod_of(each).component != "run_worker":
            yield f"{name_of(each)}: may go on for ever"


def one_of_each(cluster: Cluster) -> Iterator[str]:
    """What keeps data of its own, or would say the same twice, runs once; code has the name that others look for."""
    for each in cluster.of("StatefulSet", "Deployment"):
        alone = each["kind"] == "StatefulSet" or pod_of(each).component == "exporter"
        if alone and each["spec"].get("replicas", 1) != 1:
            yield f"{name_of(each)}: there are {each['spec']['replicas']}"
    named = f"--location-name={launch.LOCATION}"
    if named not in cluster.pod("code-location").spec["containers"][0]["args"]:
        yield f"Deployment/dagster-code-location: has another name than {launch.LOCATION}"
