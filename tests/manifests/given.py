"""Rules on what a pod is given: Dagster's files, Secrets, variables that its program reads, and the ways out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from manifests.network import DNS
from manifests.objects import Cluster, Pod, matches, name_of
from manifests.pipeline import pipeline_settings
from manifests.security import all_pods

#: The Secrets of each component that need not be the same in every environment; nobody has one that is not here.
SECRETS = {
    "run_worker": {"dagster-postgresql", "dagster-compute-logs", "mineru-pipeline-store", "vllm-api-key"},
    "code-location": {
        "dagster-postgresql",
        "dagster-compute-logs",
        "mineru-pipeline-store",
        "mineru-pipeline-kafka",
        "mineru-pipeline-alerts",
    },
    "exporter": {"dagster-postgresql", "dagster-compute-logs", "mineru-pipeline-store"},
    "daemon": {"dagster-postgresql", "dagster-compute-logs"},
    "webserver-readonly": {"dagster-postgresql", "dagster-compute-logs"},
    "webserver-admin": {"dagster-postgresql", "dagster-compute-logs"},
    "migration": {"dagster-postgresql", "dagster-compute-logs"},
    "model-server": {"vllm-api-key"},
    "weights": {"huggingface"},
    "proxy-readonly": {"oauth2-proxy-readonly"},
    "proxy-admin": {"oauth2-proxy-admin"},
    "database": {"dagster-postgresql"},
    "object-store": {"minio"},
    "object-store-setup": {"minio"},
}
#: What the program of each image reads from its environment, by its documentation. A word that nobody reads has no
#: effect, and says so nowhere. Of the proxy only what is meant here: some of its options let people in.
_OAUTH2 = (
    "HTTP_ADDRESS|REVERSE_PROXY|SKIP_PROVIDER_BUTTON|SILENCE_PING_LOGGING|COOKIE_(EXPIRE|REFRESH|SECURE|SECRET)|"
    "PROVIDER|OIDC_ISSUER_URL|CODE_CHALLENGE_METHOD|EMAIL_DOMAINS|HTPASSWD_(FILE|USER_GROUPS)|CLIENT_(ID|SECRET)"
)
READ = {
    "mineru-pipeline": r"MINERU_PIPELINE__\w+|DAGSTER_(HOME|CURRENT_IMAGE|DISABLE_TELEMETRY|RUN_JOB_NAME|NAMESPACE)|"
    r"DAGSTER_(PG_(HOST|PORT|DB|USER|PASSWORD)|LOGS_(BUCKET|ENDPOINT)|(INSTANCE|ENVIRONMENT)_CONFIG_MAP)|"
    r"SETTINGS_CONFIG_MAP|HOME|PGSSLMODE|AWS_(DEFAULT_REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)",
    "mineru-pipeline-vllm": r"VLLM_(API_KEY|NO_USAGE_STATS|CACHE_ROOT)|"
    r"HF_(HUB_OFFLINE|HOME|TOKEN|XET_CHUNK_CACHE_SIZE_BYTES)|HOME|USER|(TRITON|TORCHINDUCTOR)_CACHE_DIR|MODEL|REVISION|MAX_(MODEL_LEN|NUM_SEQS|NUM_BATCHED_TOKENS)|"
    r"GPU_MEMORY_UTILIZATION|LIMIT_MM_PER_PROMPT|MM_PROCESSOR_CACHE_GB|SHUTDOWN_TIMEOUT",
    "mineru-pipeline-devserver": "HOME",
    "oauth2-proxy": rf"OAUTH2_PROXY_({_OAUTH2})|ADMIN_GROUP",
    "postgres": r"POSTGRES_(DB|USER|PASSWORD)|PGDATA",
    "minio": r"HOME|MINIO_ROOT_(USER|PASSWORD)",
    "mc": r"HOME|MC_CONFIG_DIR|ROOT_(USER|PASSWORD)",
    "kafka": r"KAFKA_[A-Z_]+|LOG_DIR",
}
#: Variables without which a program runs on, and does what it must not: unguarded, or asking the hub.
NEEDED = {
    "vllm": {"VLLM_API_KEY", "HF_HUB_OFFLINE"},
    "fetch": {"HF_XET_CHUNK_CACHE_SIZE_BYTES"},
}
_MAPS = ("DAGSTER_INSTANCE_CONFIG_MAP", "DAGSTER_ENVIRONMENT_CONFIG_MAP", "SETTINGS_CONFIG_MAP")


def dagster_files(cluster: Cluster) -> Iterator[str]:
    """Every Dagster process finds ``dagster.yaml``, without which it would begin a database of its own and say nothing.

    But for runs, which get it from the launcher as an argument.
    """
    for pod in cluster.pods():
        sources = {each["name"]: each.get("configMap", {}).get("name") for each in pod.spec.get("volumes", [])}
        for container in pod.containers:
            environment = cluster.environment(container)
            if "DAGSTER_HOME" not in environment:
                continue
            there = {
                mount["mountPath"]
                for mount in container.get("volumeMounts", [])
                if mount.get("subPath") and str(sources.get(mount["name"])).startswith("dagster-instance")
            }
            words = [word.partition("=")[2] for word in container.get("args", []) if word.startswith("--workspace=")]
            for place in (f"{environment['DAGSTER_HOME']}/dagster.yaml", *words):
                if place not in there:
                    yield f"{pod.owner}/{container['name']}: there is no {place}"


def secrets_where_needed(cluster: Cluster) -> Iterator[str]:
    """A pod is given the Secrets that it needs, and no others."""
    local = {each["metadata"]["name"] for each in cluster.of("Secret")} - set().union(*SECRETS.values())
    for pod in all_pods(cluster):
        given = set(_secrets(pod.spec)) - local
        needed = SECRETS.get(pod.component, set())
        yield from (f"{pod.owner}: is not given {name}" for name in sorted(needed - given))
        yield from (f"{pod.owner}: has no use for {name}" for name in sorted(given - needed))


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _secrets(each)
    elif isinstance(value, dict):
        yield from (value[key]["name"] for key in ("secretRef", "secretKeyRef") if key in value)
        if "secretName" in value.get("secret", {}):
            yield value["secret"]["secretName"]
        for each in value.values():
            yield from _secrets(each)


def variables_read(cluster: Cluster) -> Iterator[str]:
    """Every variable is one that its program reads; those that guard are there; names of ConfigMaps are such."""
    maps = {each["metadata"]["name"] for each in cluster.of("ConfigMap")}
    for pod in all_pods(cluster):
        for container in pod.containers:
            environment = cluster.environment(container)
            image = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
            yield from (
                f"{pod.owner}/{container['name']}: nobody reads {name}"
                for name in environment
                if not re.fullmatch(READ.get(image, "(?!)"), name)
            )
            yield from (
                f"{pod.owner}/{container['name']}: has no {name}"
                for name in sorted(NEEDED.get(container["name"], set()) - {*environment})
            )
            yield from (
                f"{pod.owner}/{container['name']}: {name} is {environment[name]}, which there is not"
                for name in _MAPS
                if name in environment and environment[name] not in maps
            )


def guarded_outside(cluster: Cluster) -> Iterator[str]:
    """Where others are: nothing travels in the clear, and not everybody with an account somewhere comes in."""
    if cluster.name == "development":
        return
    proxy = cluster.environment(cluster.pod("proxy-admin").spec["containers"][0])
    if proxy.get("OAUTH2_PROXY_COOKIE_SECURE", "true") != "true":
        yield "oauth2-proxy: cookies travel in the clear"
    if "*" in str(proxy.get("OAUTH2_PROXY_EMAIL_DOMAINS", "*")):
        yield "oauth2-proxy: lets in every account of the identity provider"
    if not proxy.get("ADMIN_GROUP"):
        yield "oauth2-proxy: no group is asked for"
    if len(set(_cookies(cluster))) != 2:
        yield "oauth2-proxy: who is let in to one webserver is let in to the other"
    environment = cluster.environment(cluster.pod("daemon").spec["containers"][0])
    if environment.get("PGSSLMODE") not in {"require", "verify-ca", "verify-full"}:
        yield "the database: PGSSLMODE lets passwords travel in the clear"
    urls = [pipeline_settings(cluster).minio.endpoint, environment.get("DAGSTER_LOGS_ENDPOINT")]
    yield from (f"{url}: travels in the clear" for url in urls if not str(url).startswith("https://"))


def _cookies(cluster: Cluster) -> Iterator[str]:
    for which in ("readonly", "admin"):
        words = cluster.pod(f"proxy-{which}").spec["containers"][0]["args"]
        yield from (word for word in words if word.startswith("--cookie-name="))


def ways_out(cluster: Cluster) -> Iterator[str]:
    """Whoever is told of an address outside is let out to its port; names are found by both protocols."""
    settings = pipeline_settings(cluster)
    environment = cluster.environment(cluster.pod("daemon").spec["containers"][0])
    logs, store = (_port(str(url)) for url in (environment.get("DAGSTER_LOGS_ENDPOINT"), settings.minio.endpoint))
    database = ("" if "." in str(environment.get("DAGSTER_PG_HOST")) else "inside", environment.get("DAGSTER_PG_PORT"))
    brokers = {_port(f"kafka://{each}") for each in (settings.kafka.bootstrap_servers or "").split(",")}
    wanted = {
        component: {*([] if database[0] else [int(database[1] or 0)]), logs}
        for component in ("run_worker", "exporter", "code-location", "daemon", "webserver-readonly", "webserver-admin")
    }
    for component in ("run_worker", "exporter", "code-location"):
        wanted[component].add(store)
    wanted["code-location"] |= brokers
    for component, ports in wanted.items():
        open_ports = set(_out(cluster, next(p for p in all_pods(cluster) if p.component == component)))
        for port in sorted(port for port in ports - {None} if port not in open_ports):
            yield f"{component}: is not let out to port {port}"
    for each in cluster.of("NetworkPolicy"):
        asked = [
            port for rule in each["spec"].get("egress", []) for port in rule.get("ports", []) if port["port"] == DNS
        ]
        # What does not fit into a datagram is asked for again by TCP.
        if asked and {port["protocol"] for port in asked} != {"TCP", "UDP"}:
            yield f"{name_of(each)}: no DNS by TCP"


def _port(url: str) -> int | None:
    """The port of an address outside; None for one of a Service."""
    parts = urlsplit(url)
    return (parts.port or (443 if parts.scheme == "https" else 80)) if "." in (parts.hostname or "") else None


def _out(cluster: Cluster, pod: Pod) -> Iterator[int]:
    for each in cluster.of("NetworkPolicy"):
        if matches(each["spec"]["podSelector"], pod.labels):
            for rule in each["spec"].get("egress", []):
                if any("ipBlock" in peer for peer in rule.get("to", [])):
                    yield from (port["port"] for port in rule.get("ports", []))


def development_set_up(cluster: Cluster) -> Iterator[str]:
    """Where store and broker are ours, the topics and buckets of the settings are made, and the broker is found."""
    if "broker-setup" not in {pod.component for pod in cluster.pods()}:
        return
    settings = pipeline_settings(cluster)
    environment = cluster.environment(cluster.pod("daemon").spec["containers"][0])
    script = " ".join(cluster.pod("broker-setup").spec["containers"][0]["args"])
    made = set(re.findall(r"for topic in ([^;]+);", script)[0].split())
    wanted = {*settings.kafka.topics, settings.kafka.dead_letter_topic, settings.kafka.results_topic} - {None}
    yield from (f"nobody makes the topic {topic}" for topic in sorted(str(each) for each in wanted - made))
    script = " ".join(cluster.pod("object-store-setup").spec["containers"][0]["args"])
    buckets = set(re.findall(r"\bstore/([\w-]+)", script))
    needed = {settings.storage.bucket, *settings.intake.buckets, environment.get("DAGSTER_LOGS_BUCKET")}
    yield from (f"nobody makes the bucket {bucket}" for bucket in sorted(str(each) for each in needed - buckets))
    told = cluster.environment(cluster.pod("broker").spec["containers"][0]).get("KAFKA_ADVERTISED_LISTENERS")
    if told != f"PLAINTEXT://{settings.kafka.bootstrap_servers}":
        yield f"StatefulSet/kafka: sends its clients to {told}"
    services = {each["metadata"]["name"] for each in cluster.of("Service")}
    for each in cluster.of("StatefulSet"):
        if each["spec"]["serviceName"] not in services:
            yield f"{name_of(each)}: there is no Service {each['spec']['serviceName']}"
        mounts: list[Mapping[str, str]] = each["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        data = {mount["mountPath"] for mount in mounts if mount["name"] == "data"}
        # The root of a new volume may hold lost+found, which is no empty folder to a database.
        own = cluster.environment(each["spec"]["template"]["spec"]["containers"][0])
        if data & {own.get("PGDATA"), own.get("KAFKA_LOG_DIRS")}:
            yield f"{name_of(each)}: its data lie in the root of the volume"
