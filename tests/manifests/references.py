"""Rules on names: whatever one object says of another is so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from manifests.objects import Cluster, Pod, matches, name_of, pod_of
from manifests.runs import run_job
from manifests.security import all_pods

VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
#: Secrets that people or another controller bring, by environment or choice.
BROUGHT = {"huggingface": {"token"}}


#: What tells the health of each, by the documentation of vLLM, Dagster, oauth2-proxy and MinIO; the exporter is ours.
ANSWERED = {
    "model-server": {"/health"},
    "webserver-readonly": {"/server_info"},
    "webserver-admin": {"/server_info"},
    "exporter": {"/metrics"},
    "proxy-readonly": {"/ping", "/ready"},
    "proxy-admin": {"/ping", "/ready"},
    "object-store": {"/minio/health/live", "/minio/health/ready"},
}


class References:
    """What pods may refer to; ``secrets`` are the names and keys that every environment has."""

    def __init__(self, cluster: Cluster, secrets: Mapping[str, set[str]]) -> None:
        self.secrets = {**BROUGHT, **secrets}
        self.maps = {each["metadata"]["name"]: set(each.get("data", {})) for each in cluster.of("ConfigMap")}
        self.claims = {each["metadata"]["name"] for each in cluster.of("PersistentVolumeClaim")}

    def whole(self, kind: str, name: str) -> Iterator[str]:
        if name not in (self.maps if kind == "ConfigMap" else self.secrets):
            yield f"there is no {kind} {name}"

    def key(self, kind: str, name: str, key: str) -> Iterator[str]:
        known = self.maps if kind == "ConfigMap" else self.secrets
        if name not in known:
            yield f"there is no {kind} {name}"
        elif key not in known[name]:
            yield f"{kind} {name} has no key {key}"


def found(cluster: Cluster, secrets: Mapping[str, set[str]]) -> Iterator[str]:
    """Every ConfigMap, Secret and claim that a pod names exists and has the key."""
    known = References(cluster, secrets)
    for pod in all_pods(cluster):
        for container in pod.containers:
            yield from (f"{pod.owner}/{container['name']}: {what}" for what in _of_container(container, known))
        yield from (
            f"{pod.owner}: {what}" for volume in pod.spec.get("volumes", []) for what in _of_volume(volume, known)
        )


def _of_container(container: Mapping[str, Any], known: References) -> Iterator[str]:
    for source in container.get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                yield from known.whole(kind, source[key]["name"])
    for entry in container.get("env", []):
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            if key in entry.get("valueFrom", {}):
                yield from known.key(kind, entry["valueFrom"][key]["name"], entry["valueFrom"][key]["key"])


def _of_volume(volume: Mapping[str, Any], known: References) -> Iterator[str]:
    if "configMap" in volume:
        yield from known.whole("ConfigMap", volume["configMap"]["name"])
        for item in volume["configMap"].get("items", []):
            yield from known.key("ConfigMap", volume["configMap"]["name"], item["key"])
    if "secret" in volume:
        yield from known.whole("Secret", volume["secret"]["secretName"])
        for item in volume["secret"].get("items", []):
            yield from known.key("Secret", volume["secret"]["secretName"], item["key"])
    if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"]["claimName"] not in known.claims:
        yield f"there is no claim {volume['persistentVolumeClaim']['claimName']}"


def mounted(cluster: Cluster) -> Iterator[str]:
    """Every mount has its volume, every volume a mount; single files are in what they are taken from."""
    templates = {
        name_of(each): {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])}
        for each in cluster.of("StatefulSet")
    }
    for pod in all_pods(cluster):
        volumes = {each["name"]: each for each in pod.spec.get("volumes", [])}
        available = {*volumes, *templates.get(pod.owner, set())}
        used = [mount for container in pod.containers for mount in container.get("volumeMounts", [])]
        yield from (f"{pod.owner}: no volume {each['name']}" for each in used if each["name"] not in available)
        yield from (
            f"{pod.owner}: volume {name} is mounted nowhere"
            for name in sorted(available - {each["name"] for each in used})
        )
        for mount in used:
            source = volumes.get(mount["name"], {}).get("configMap")
            if source and "subPath" in mount and mount["subPath"] not in cluster.data("ConfigMap", source["name"]):
                yield f"{pod.owner}: ConfigMap {source['name']} has no {mount['subPath']}"


def expanded(cluster: Cluster) -> Iterator[str]:
    """Every ``$(NAME)`` in a command names a variable that the container has."""
    for pod in all_pods(cluster):
        for container in pod.containers:
            has = cluster.environment(container)
            words = [*container.get("command", []), *container.get("args", [])]
            for name in sorted({name for word in words for name in VARIABLE.findall(word)} - set(has)):
                yield f"{pod.owner}/{container['name']}: $({name}) stands for nothing"


def selected(cluster: Cluster) -> Iterator[str]:
    """Whatever selects pods selects the right ones, and selects some."""
    pods = cluster.pods()
    for each in cluster.of("Deployment", "StatefulSet"):
        chosen = [pod.owner for pod in pods if matches(each["spec"]["selector"], pod.labels)]
        if chosen != [name_of(each)]:
            yield f"{name_of(each)}: selects {chosen or 'nothing'}"
    for each in cluster.of("Service"):
        chosen = [pod for pod in pods if matches({"matchLabels": each["spec"]["selector"]}, pod.labels)]
        if len(chosen) != 1:
            yield f"{name_of(each)}: selects {[pod.owner for pod in chosen] or 'nothing'}"
    everyone = all_pods(cluster)
    for kind, field in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ):
        for each in cluster.of(kind):
            if not any(matches(each["spec"][field], pod.labels) for pod in everyone):
                yield f"{name_of(each)}: selects nothing"
    for each in cluster.of("ServiceMonitor"):
        if not any(
            matches(each["spec"]["selector"], service["metadata"]["labels"]) for service in cluster.of("Service")
        ):
            yield f"{name_of(each)}: selects nothing"


def ports_fit(cluster: Cluster) -> Iterator[str]:
    """Ports of Services, probes, monitors and Ingresses are those that containers open."""
    pods = cluster.pods()
    for each in cluster.of("Service"):
        for pod in (one for one in pods if matches({"matchLabels": each["spec"]["selector"]}, one.labels)):
            yield from _of_service(each, pod)
    for pod in all_pods(cluster):
        for container in pod.containers:
            yield from (f"{pod.owner}/{container['name']}: {what}" for what in _of_probes(container))
    yield from _of_monitors(cluster)
    for each in cluster.of("Ingress"):
        for path in (path for rule in each["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            if backend["port"].get("name") not in _names(cluster.get("Service", backend["name"])):
                yield f"{name_of(each)}: Service {backend['name']} has no port {backend['port']}"


def _names(service: Mapping[str, Any]) -> set[str]:
    return {port["name"] for port in service["spec"]["ports"]}


def _of_monitors(cluster: Cluster) -> Iterator[str]:
    run = pod_of(run_job(cluster))
    for each in cluster.of("PodMonitor"):
        for endpoint in each["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in run.ports():
                yield f"{name_of(each)}: no pod has a port {endpoint['port']}"
    for each in cluster.of("ServiceMonitor"):
        chosen = [one for one in cluster.of("Service") if matches(each["spec"]["selector"], one["metadata"]["labels"])]
        for endpoint in each["spec"]["endpoints"]:
            if any(endpoint["port"] not in _names(one) for one in chosen):
                yield f"{name_of(each)}: no Service has a port {endpoint['port']}"


def _of_service(service: Mapping[str, Any], pod: Pod) -> Iterator[str]:
    open_ports = pod.ports()
    for port in service["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        number = open_ports.get(target) if isinstance(target, str) else target
        if number not in open_ports.values():
            yield f"{name_of(service)}: {pod.owner} has no port {target}"
        elif service["spec"].get("clusterIP") == "None" and number != port["port"]:
            yield f"{name_of(service)}: is headless, so {port['port']} leads to {port['port']} and not to {number}"


def _of_probes(container: Mapping[str, Any]) -> Iterator[str]:
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name, {})
        for kind in ("httpGet", "tcpSocket", "grpc"):
            if kind in probe and probe[kind]["port"] not in {*ports, *ports.values()}:
                yield f"{name} asks port {probe[kind]['port']}, which is not open"
    listening = {str(number) for number in ports.values()}
    for word in container.get("args", []):
        if re.fullmatch(r"--port=\d+", word) and word.partition("=")[2] not in listening:
            yield f"listens on {word.partition('=')[2]}, which is not among its ports"


def watched(cluster: Cluster) -> Iterator[str]:
    """Whatever is to run for ever is ended when it hangs, and gets connections only while it can take them."""
    served = [each["spec"]["selector"] for each in cluster.of("Service")]
    for each in cluster.of("Deployment", "StatefulSet"):
        pod = pod_of(each)
        for container in pod.spec["containers"]:
            if "livenessProbe" not in container:
                yield f"{pod.owner}/{container['name']}: nobody notices when it hangs"
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = container.get(probe, {}).get("httpGet", {}).get("path")
                if path is not None and path not in ANSWERED.get(pod.component, ()):
                    yield f"{pod.owner}/{container['name']}: {probe} asks for {path}, which nobody is known to answer"
            if "readinessProbe" not in container and any(matches({"matchLabels": one}, pod.labels) for one in served):
                yield f"{pod.owner}/{container['name']}: gets connections before it can take them"
