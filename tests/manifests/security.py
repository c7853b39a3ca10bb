"""Rules on what a pod may do, for those of the overlay and for those of runs alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from manifests.objects import COMPONENT, RUN, Cluster, Object, Pod, name_of, pod_of
from manifests.runs import run_job

#: Who is given a token of the API server: who starts and ends the Jobs of runs, and the webserver that has to load the
#: launcher to tell its name.
TOKENS = frozenset({"daemon", "webserver-admin", "webserver-readonly"})
#: What the launcher calls, per role: see DagsterKubernetesClient.
RIGHTS = {
    "daemon": {
        "jobs": {"create", "get", "list", "delete"},
        "jobs/status": {"get"},
        "pods": {"get", "list", "delete"},
        "pods/log": {"get"},
        "events": {"list"},
    },
    "webserver-admin": {"jobs": {"get", "list", "delete"}, "pods": {"get", "list", "delete"}},
}
#: Where each resource is: "" is the API's core.
GROUPS = {"jobs": "batch", "jobs/status": "batch", "pods": "", "pods/log": "", "events": ""}
LABELS = ("name", "instance", "component", "part-of", "managed-by")


def all_pods(cluster: Cluster) -> list[Pod]:
    """The pods of the overlay, and that of a run."""
    return [*cluster.pods(), pod_of(run_job(cluster))]


def confined(cluster: Cluster) -> Iterator[str]:
    """No pod runs as root, gains rights, keeps a capability, writes to its image, or shares anything with the node."""
    for pod in all_pods(cluster):
        context = pod.spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser") or not context.get("runAsGroup"):
            yield f"{pod.owner}: may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.owner}: seccomp is not RuntimeDefault"
        for shared in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if pod.spec.get(shared):
                yield f"{pod.owner}: {shared}"
        yield from (
            f"{pod.owner}: volume {each['name']} is of the node"
            for each in pod.spec.get("volumes", [])
            if "hostPath" in each
        )
        for container in pod.containers:
            yield from (f"{pod.owner}/{container['name']}: {what}" for what in _unconfined(container))


def _unconfined(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain rights"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"
    if "runAsUser" in context or "runAsNonRoot" in context or "seccompProfile" in context:
        yield "has a user or profile of its own"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the node"


def bounded(cluster: Cluster) -> Iterator[str]:
    """Every container asks for processor and memory and has limits on both; so have volumes of the node."""
    for pod in all_pods(cluster):
        for container in pod.containers:
            resources = container.get("resources", {})
            for part in ("requests", "limits"):
                for what in ("cpu", "memory"):
                    if what not in resources.get(part, {}):
                        yield f"{pod.owner}/{container['name']}: no {part} of {what}"
            for what, asked in resources.get("requests", {}).items():
                if amount(asked) > amount(resources.get("limits", {}).get(what, asked)):
                    yield f"{pod.owner}/{container['name']}: requests more {what} than its limit"
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.owner}: volume {volume['name']} has no limit"


def amount(quantity: str | float) -> float:
    """A quantity of Kubernetes as a number."""
    text = str(quantity)
    for suffix, factor in {
        "Ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
        "Ti": 2**40,
        "m": 1e-3,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
    }.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def tokens_where_needed(cluster: Cluster) -> Iterator[str]:
    """Only who speaks to the API server has a token; every pod has an account, and no variables of Services."""
    for account in cluster.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{name_of(account)}: gives its token to every pod"
    accounts = {each["metadata"]["name"] for each in cluster.of("ServiceAccount")}
    for pod in all_pods(cluster):
        if pod.spec.get("automountServiceAccountToken") is not (pod.component in TOKENS):
            yield f"{pod.owner}: {'has no' if pod.component in TOKENS else 'has a'} token of the API server"
        if pod.spec.get("serviceAccountName", "default") not in accounts:
            yield f"{pod.owner}: account {pod.spec.get('serviceAccountName', 'default')} does not exist"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.owner}: gets variables of Services, which vLLM, Kafka and Dagster take for settings of theirs"


def rights_as_needed(cluster: Cluster) -> Iterator[str]:
    """Rights are those that the launcher uses: on Jobs and pods, in this namespace, for two accounts."""
    yield from (
        f"{name_of(each)}: rights in all namespaces" for each in cluster.of("ClusterRole", "ClusterRoleBinding")
    )
    roles = {each["metadata"]["name"]: each for each in cluster.of("Role")}
    given: dict[str, dict[str, set[str]]] = {}
    for binding in cluster.of("RoleBinding"):
        role = roles.get(binding["roleRef"]["name"])
        if role is None or binding["roleRef"]["kind"] != "Role":
            yield f"{name_of(binding)}: binds a role that is not here"
            continue
        for subject in binding["subjects"]:
            if subject.get("namespace") != cluster.namespace:
                yield f"{name_of(binding)}: names an account of another namespace"
            for rule in role["rules"]:
                yield from (f"{name_of(role)}: {what}" for what in _amiss(rule))
                for resource in rule["resources"]:
                    given.setdefault(subject["name"], {}).setdefault(resource, set()).update(rule["verbs"])
    needed = {cluster.pod(component).spec["serviceAccountName"]: rights for component, rights in RIGHTS.items()}
    for account in sorted({*given, *needed}):
        if given.get(account, {}) != needed.get(account, {}):
            yield f"ServiceAccount/{account}: has {given.get(account)}, needs {needed.get(account)}"


def _amiss(rule: Object) -> Iterator[str]:
    for resource in rule["resources"]:
        if rule["apiGroups"] != [GROUPS.get(resource, "")]:
            yield f"{resource} are not in {rule['apiGroups']}"
    if "resourceNames" in rule:
        yield f"{', '.join(rule['resources'])} of these names only, and those of runs are not known"


def labelled(cluster: Cluster) -> Iterator[str]:
    """Every object and every pod has the labels that Kubernetes recommends."""
    keys = [f"app.kubernetes.io/{each}" for each in LABELS]
    job = run_job(cluster)
    told = [(name_of(each), each["metadata"].get("labels", {})) for each in [*cluster.objects, job]]
    told += [(f"{pod.owner}, its pods", pod.labels) for pod in all_pods(cluster)]
    exempt = {"ConfigMap", "Secret"}
    for name, labels in told:
        needed = [
            key for key in keys if not (name.partition("/")[0] in exempt and key.endswith(("/name", "/component")))
        ]
        missing = [key for key in needed if not labels.get(key)]
        if missing:
            yield f"{name}: without {', '.join(missing)}"


def admission(cluster: Cluster) -> Iterator[str]:
    """The namespace refuses pods that are not confined, whoever makes them."""
    for each in cluster.of("Namespace"):
        if each["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name_of(each)}: does not enforce the restricted standard"


def behind_a_proxy(cluster: Cluster) -> Iterator[str]:
    """For all there is a read-only webserver, for few one whose proxy asks for a group; Ingresses lead to proxies."""
    if "--read-only" not in cluster.pod("webserver-readonly").spec["containers"][0]["args"]:
        yield "Deployment/dagster-webserver-readonly: is not read-only"
    for which in ("readonly", "admin"):
        container = cluster.pod(f"proxy-{which}").spec["containers"][0]
        arguments = container["args"]
        if f"--upstream=http://dagster-webserver-{which}:3000" not in arguments:
            yield f"Deployment/oauth2-proxy-{which}: does not lead to its webserver"
        if which == "admin" and not any(re.match("--allowed-group=.", each) for each in arguments):
            yield f"Deployment/oauth2-proxy-{which}: lets in everybody"
        if cluster.environment(container).get("OAUTH2_PROXY_PROVIDER") is None:
            yield f"Deployment/oauth2-proxy-{which}: no identity provider"
    for ingress in cluster.of("Ingress"):
        yield from (f"{name_of(ingress)}: {what}" for what in _exposed(cluster, ingress["spec"]))


def _exposed(cluster: Cluster, ingress: Object) -> Iterator[str]:
    for path in (path for rule in ingress["rules"] for path in rule["http"]["paths"]):
        service = cluster.get("Service", path["backend"]["service"]["name"])
        if not service["spec"]["selector"][COMPONENT].startswith("proxy-"):
            yield "leads past the proxy"
    if not ingress.get("tls"):
        yield "without TLS"


def runs_are_ours(cluster: Cluster) -> Iterator[str]:
    """A run has two processors and 4 GiB, the account without rights, and its metrics on the port of the settings."""
    pod = pod_of(run_job(cluster))
    container = pod.spec["containers"][0]
    resources = container["resources"]
    for part in ("requests", "limits"):
        if (amount(resources[part]["cpu"]), amount(resources[part]["memory"])) != (2, 4 * 2**30):
            yield f"run: {part} are {resources[part]}"
    if pod.spec["serviceAccountName"] != "dagster-run":
        yield "run: has the account of something else"
    if pod.component != RUN:
        yield f"run: its component is {pod.component!r}"
    environment = cluster.environment(container)
    metrics = environment.get("MINERU_PIPELINE__METRICS__PORT"), environment.get("MINERU_PIPELINE__METRICS__HOST")
    if metrics != (str(pod.ports().get("metrics")), "0.0.0.0"):
        yield f"run: shows its metrics at {metrics}, its port is {pod.ports()}"
    if not pod.spec.get("nodeSelector"):
        yield "run: may land on any node"
