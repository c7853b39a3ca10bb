"""Rules on what the pipeline is told: settings, addresses, the Dagster instance, images, and places to write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import yaml
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from manifests.objects import Cluster, matches, name_of, pod_of
from manifests.runs import InvalidConfigError, UnknownVariableError, instance_config, processed, resolved, run_job
from manifests.security import all_pods
from sqlalchemy import create_engine

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.settings import ENV_PREFIX, Settings, _env_name, is_secret, leaves, load
from resources.documents import open_store

#: Stands for a secret that only the cluster has.
SECRET = "from-a-secret"
OWN_IMAGES = ("mineru-pipeline", "mineru-pipeline-vllm", "mineru-pipeline-devserver")


def _settings_of(environment: dict[str, str | None]) -> Settings:
    mine = {
        name: SECRET if value is None else value for name, value in environment.items() if name.startswith(ENV_PREFIX)
    }
    # Whole Secrets that the cluster alone knows.
    mine.setdefault("MINERU_PIPELINE__MINIO__ACCESS_KEY", SECRET)
    mine.setdefault("MINERU_PIPELINE__MINIO__SECRET_KEY", SECRET)
    return load(environ=mine).settings


def pipeline_settings(cluster: Cluster) -> Settings:
    """The settings of a run."""
    return _settings_of(cluster.environment(pod_of(run_job(cluster)).spec["containers"][0]))


def settings_known(cluster: Cluster) -> Iterator[str]:
    """Every variable of the pipeline names a setting and has a value that it takes; runs and code location agree."""
    loaded = []
    for pod in all_pods(cluster):
        for container in pod.containers:
            environment = cluster.environment(container)
            if not any(name.startswith(ENV_PREFIX) for name in environment):
                continue
            try:
                settings = _settings_of(environment)
                open_store(settings)
            except SettingsError as error:
                yield f"{pod.owner}/{container['name']}: {error}"
            else:
                loaded.append(settings)
    apart = {"vllm_server": {"api_key"}, "kafka": {"options"}, "alerts": {"webhook_url"}}
    if len({settings.model_dump_json(exclude=apart) for settings in loaded}) > 1:
        yield "the runs and the code location have different settings"


def _in_cluster(cluster: Cluster, host: str, port: int | None) -> str:
    """What is wrong with an address within the namespace; "" if nothing is, or the address lies outside."""
    if "." in host:
        return ""
    services = {each["metadata"]["name"]: each for each in cluster.of("Service")}
    if host not in services:
        return f"there is no Service {host}"
    if port not in {each["port"] for each in services[host]["spec"]["ports"]}:
        return f"Service {host} has no port {port}"
    return ""


def addresses_lead(cluster: Cluster) -> Iterator[str]:
    """Every address that is configured is one of a Service and its port, or lies outside of the cluster by its name."""
    settings = pipeline_settings(cluster)
    environment = cluster.environment(cluster.pod("daemon").spec["containers"][0])
    urls = [*settings.vllm_server.endpoints, settings.minio.endpoint, environment.get("DAGSTER_LOGS_ENDPOINT")]
    pairs = [
        (urlsplit(url or "http://nowhere:1").hostname or "", urlsplit(url or "http://nowhere:1").port) for url in urls
    ]
    for server in (settings.kafka.bootstrap_servers or "").split(","):
        host, _, port = server.rpartition(":")
        pairs.append((host, int(port or 0)))
    pairs.append((environment.get("DAGSTER_PG_HOST") or "nowhere", int(environment.get("DAGSTER_PG_PORT") or 0)))
    workspace = yaml.safe_load(cluster.get("ConfigMap", "dagster-instance")["data"]["workspace.yaml"])
    pairs += [(each["grpc_server"]["host"], each["grpc_server"]["port"]) for each in workspace["load_from"]]
    for which in ("readonly", "admin"):
        words = cluster.pod(f"proxy-{which}").spec["containers"][0]["args"]
        found = (urlsplit(word.partition("=")[2]) for word in words if word.startswith("--upstream="))
        pairs += [(url.hostname or "", url.port) for url in found]
    yield from (f"{host}:{port}: {problem}" for host, port in pairs if (problem := _in_cluster(cluster, host, port)))


def servers_one_by_one(cluster: Cluster) -> Iterator[str]:
    """Each model server is one pod behind a headless Service of its own, and each is in the settings exactly once."""
    addressed = [urlsplit(url).hostname for url in pipeline_settings(cluster).vllm_server.endpoints]
    for pod in (each for each in cluster.pods() if each.component == "model-server"):
        if pod.replicas != 1:
            yield f"{pod.owner}: {pod.replicas} pods behind one address"
        services = [
            each for each in cluster.of("Service") if matches({"matchLabels": each["spec"]["selector"]}, pod.labels)
        ]
        yield from (f"{name_of(each)}: is not headless" for each in services if each["spec"].get("clusterIP") != "None")
        named = [each["metadata"]["name"] for each in services]
        if sum(addressed.count(name) for name in named) != 1:
            yield f"{pod.owner}: the settings do not name it once: {addressed}"


def instance_as_meant(cluster: Cluster) -> Iterator[str]:
    """The Dagster instance is what the pipeline relies on, in Dagster's own reading."""
    config = instance_config(cluster)
    monitoring, retries = config.get("run_monitoring", {}), config.get("run_retries", {})
    concurrency = config.get("concurrency", {})
    wanted = {
        "telemetry is off": config.get("telemetry") == {"enabled": False},
        "runs are monitored": monitoring.get("enabled") is True,
        "slots of ended runs come free": monitoring.get("free_slots_after_run_end_seconds") == 300,
        "no run is resumed in another pod": monitoring.get("max_resume_run_attempts", 0) == 0,
        "runs that crash are tried again": retries.get("enabled") is True and retries.get("max_retries", 0) > 0,
        "ops retry themselves": retries.get("retry_on_asset_or_op_failure") is False,
        "eight runs at once": concurrency.get("runs", {}).get("max_concurrent_runs") == 8,
        "no run waits for the pool": concurrency.get("pools", {}).get("default_limit", 0) >= 8,
        "pools count ops": concurrency.get("pools", {}).get("granularity") == "op",
        "runs go through the queue": "run_coordinator" not in config,
        "runs are pods": config.get("run_launcher", {}).get("class") == "K8sRunLauncher",
        "logs are kept in the store": config.get("compute_logs", {}).get("class") == "S3ComputeLogManager",
        "only resources can be asked for by a tag": config.get("run_launcher", {})
        .get("config", {})
        .get("only_allow_user_defined_k8s_config_fields")
        == {"container_config": {"resources": True}},
    }
    yield from (f"dagster.yaml: it is not so that {what}" for what, holds in wanted.items() if not holds)
    for component in ("daemon", "webserver-readonly", "webserver-admin", "code-location", "migration", "run"):
        pod = pod_of(run_job(cluster)) if component == "run" else cluster.pod(component)
        environment = cluster.environment(pod.spec["containers"][0])
        try:
            storage = processed(DagsterPostgresStorage, resolved(config["storage"]["postgres"], environment))
            # It connects to nothing yet, but looks for the driver.
            create_engine(pg_url_from_config(storage))
            processed(S3ComputeLogManager, resolved(config["compute_logs"]["config"], environment))
            if component in {"daemon", "webserver-readonly", "webserver-admin"}:
                resolved(config["run_launcher"], environment)
        except UnknownVariableError as error:
            yield f"dagster.yaml: {component} has no variable {error}"
        except (InvalidConfigError, KeyError, ModuleNotFoundError) as error:
            yield f"dagster.yaml: {error}"


def one_daemon(cluster: Cluster) -> Iterator[str]:
    """There is one daemon, and a new one begins when the old one is gone."""
    daemons = [each for each in cluster.of("Deployment") if pod_of(each).component == "daemon"]
    for each in daemons:
        if each["spec"].get("replicas") != 1 or each["spec"].get("strategy", {}).get("type") != "Recreate":
            yield f"{name_of(each)}: two daemons would run at once"
    if len(daemons) != 1:
        yield f"{len(daemons)} Deployments of the daemon"


def images_pinned(cluster: Cluster) -> Iterator[str]:
    """Every image has an exact tag or a digest; what we build has one tag, and runs have that of the code location."""
    own = set()
    for pod in all_pods(cluster):
        for container in pod.containers:
            image = container["image"]
            name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
            if "@sha256:" not in image and not re.search(r"\d+[.-]\d+", tag):
                yield f"{pod.owner}/{container['name']}: {image} is not pinned"
            if name in OWN_IMAGES:
                own.add(tag)
    if len(own) > 1:
        yield f"our images have several tags: {', '.join(sorted(own))}"
    code = cluster.pod("code-location").spec["containers"][0]
    if cluster.environment(code).get("DAGSTER_CURRENT_IMAGE") != code["image"]:
        yield f"Deployment/dagster-code-location: runs would have another image than {code['image']}"


def room_to_write(cluster: Cluster) -> Iterator[str]:
    """Whatever a container is told to write to lies on a volume that it may write to."""
    names = {"HOME", "DAGSTER_HOME", "HF_HOME", "PGDATA", "MC_CONFIG_DIR", "LOG_DIR", "KAFKA_LOG_DIRS"}
    names |= {"VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"}
    names |= {"MINERU_PIPELINE__DATA_DIR", "MINERU_PIPELINE__DAGSTER__HOME"}
    logs = instance_config(cluster)["compute_logs"]["config"]["local_dir"]
    for pod in all_pods(cluster):
        for container in pod.containers:
            places = [value for name, value in cluster.environment(container).items() if name in names and value]
            places += [logs] if "DAGSTER_HOME" in cluster.environment(container) else []
            writable = [each["mountPath"] for each in container.get("volumeMounts", []) if not each.get("readOnly")]
            for place in places:
                if not any(f"{place}/".startswith(f"{mount}/") for mount in writable):
                    yield f"{pod.owner}/{container['name']}: cannot write to {place}"


def secrets_of(cluster: Cluster) -> dict[str, set[str]]:
    """The names and keys of the Secrets in an overlay."""
    return {each["metadata"]["name"]: set(each.get("data", {})) for each in cluster.of("Secret")}


def placeholders_stay_home(cluster: Cluster) -> Iterator[str]:
    """Only development brings Secrets of its own, and no ConfigMap holds what belongs into one."""
    if cluster.name != "development":
        yield from (f"{name_of(each)}: a secret in the repository" for each in cluster.of("Secret"))
    secret = {_env_name(name) for name, info in leaves() if is_secret(info)}
    for each in cluster.of("ConfigMap"):
        for key in secret & set(each.get("data", {})):
            yield f"{name_of(each)}: {key} belongs into a Secret"


def json_of(text: str) -> object:
    """A JSON value; None for what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
