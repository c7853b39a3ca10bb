"""Reads the Compose file as Compose does, and the rules that it has to keep to; each yields what is wrong."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from dotenv import dotenv_values

from mineru_pipeline import settings
from mineru_pipeline.errors import SettingsError

ROOT = settings.project_root()
COMPOSE = ROOT / "deploy" / "compose"
SCHEMA = json.loads((Path(__file__).parent / "compose.schema.json").read_text())
#: What images of others read from their environment, by the documentation of each.
FOREIGN = {
    "postgres": r"POSTGRES_(DB|USER|PASSWORD)",
    "kafka": r"KAFKA_[A-Z_]+|LOG_DIR",
    "minio": r"MINIO_ROOT_(USER|PASSWORD)|MINIO_PROMETHEUS_AUTH_TYPE|MINIO_NOTIFY_KAFKA_[A-Z_]+|MC_CONFIG_DIR",
    "mc": r"MINIO_ROOT_PASSWORD|MINIO_PIPELINE_SECRET|MC_CONFIG_DIR",
    "grafana": r"GF_[A-Z_]+",
    "mineru-pipeline-vllm": r"HF_(HUB_OFFLINE|HOME|XET_CHUNK_CACHE_SIZE_BYTES)|VLLM_[A-Z_]+|"
    r"(TRITON|TORCHINDUCTOR)_CACHE_DIR|MODEL|REVISION",
    "mineru-pipeline": r"MINERU_PIPELINE__[A-Z_]+|DAGSTER_[A-Z_]+|AWS_[A-Z_]+",
}
#: Ports on which images of others listen when nothing is said.
LISTENS = {
    "postgres": {5432},
    "prometheus": {9090},
    "alertmanager": {9093},
    "kafka-exporter": {9308},
    "grafana": {3000},
}
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Z_]+)(?:(?P<operator>:-|:\?)(?P<word>[^}]*))?\})")
ADDRESS = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*):(\d{2,5})(?![\w.])")


@dataclass(frozen=True)
class Files:
    """The Compose file as it is written, the example of its variables, and the files that it mounts."""

    compose: dict[str, Any]
    env: dict[str, str]

    def services(self, **variables: str) -> dict[str, dict[str, Any]]:
        """Every service with its variables filled in."""
        environ = self.env | dict.fromkeys(secrets_of(self.env), "secret") | variables
        filled: dict[str, dict[str, Any]] = interpolate(self.compose["services"], environ)
        return filled

    def mutable(self) -> Files:
        return copy.deepcopy(self)


def read() -> Files:
    """The files of the checkout."""
    env = {name: value or "" for name, value in dotenv_values(COMPOSE / ".env.example").items()}
    return Files(yaml.safe_load((COMPOSE / "compose.yaml").read_text()), env)


def secrets_of(env: Mapping[str, str]) -> list[str]:
    return [name for name in env if re.search("PASSWORD|SECRET", name)]


def interpolate(value: Any, environ: Mapping[str, str]) -> Any:
    """Fill in variables as Compose does."""
    if isinstance(value, dict):
        return {key: interpolate(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, environ) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        found = environ.get(match["name"], "")
        if not found and match["operator"] == ":?":
            raise KeyError(match["name"])
        return found or (match["word"] if match["operator"] == ":-" else "") or ""

    return VARIABLE.sub(fill, value)


def image_of(service: Mapping[str, Any]) -> str:
    return str(service["image"]).rpartition(":")[0].rpartition("/")[2]


def schema(files: Files) -> Iterator[str]:
    """The form of the file."""
    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(files.compose):
        yield f"{'/'.join(map(str, error.path))}: {error.message}"


def variables(files: Files) -> Iterator[str]:
    """Every variable is in the example, and every one there is used; secrets have no value and no default."""
    text = json.dumps({name: part for name, part in files.compose.items() if not name.startswith("x-")})
    used = {match["name"]: match["operator"] for match in VARIABLE.finditer(text) if match["name"]}
    for name in used.keys() ^ (files.env.keys() - {"COMPOSE_PROFILES"}):
        yield f"{name} is not both in compose.yaml and in .env.example"
    for name in secrets_of(files.env):
        if files.env[name]:
            yield f"{name} has a value in .env.example"
        if used.get(name) != ":?":
            yield f"{name} is not asked for"


def pinned(files: Files) -> Iterator[str]:
    """Images have exact tags; ours are built here."""
    for name, service in files.services().items():
        tag = str(service["image"]).rpartition(":")[2]
        if not re.search(r"\d+\.\d+|RELEASE\.\d{4}", tag):
            yield f"{name}: the tag {tag} is not exact"
        if image_of(service).startswith("mineru-pipeline"):
            build = service.get("build", {})
            if not (COMPOSE / build.get("context", "-") / build.get("dockerfile", "-")).is_file():
                yield f"{name}: there is nothing to build it from"


def confined(files: Files) -> Iterator[str]:
    """No service can do more than it needs, nor take more."""
    for name, service in files.services().items():
        if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"]:
            yield f"{name}: its root can be written, or it keeps capabilities"
        if service.get("security_opt") != ["no-new-privileges:true"] or service.get("privileged"):
            yield f"{name}: it can gain privileges"
        root = str(service.get("user", "0")).startswith("0")
        if root and (service.get("network_mode") != "none" or service.get("cap_add") != ["CHOWN"]):
            yield f"{name}: it is root"
        if not root and "cap_add" in service:
            yield f"{name}: it has capabilities"
        if "mem_limit" not in service or "cpus" not in service:
            yield f"{name}: nothing limits it"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to the world"
            if "outside" not in networks_of(service):
                yield f"{name}: a port of an internal network cannot be published"


#: Whether its image has anything to ask with was not looked up; Prometheus sees that it is gone.
UNASKED = {"kafka-exporter"}


def watched(files: Files) -> Iterator[str]:
    """Whatever is to run for ever tells how it is, or a hung process is taken for a sound one."""
    for name, service in files.services().items():
        for_ever = service.get("restart") == "unless-stopped"
        if for_ever and "healthcheck" not in service and name not in UNASKED:
            yield f"{name}: nothing tells whether it is well"
        if not for_ever and name != "cli" and not str(service.get("restart")).startswith("on-failure"):
            yield f"{name}: it is not started again"


def networks_of(service: Mapping[str, Any]) -> set[str]:
    return set(service.get("networks", ()))


def ordered(files: Files) -> Iterator[str]:
    """Conditions can be met, by services that are started at all, and nothing waits for itself."""
    services = files.services()
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            target = services.get(other)
            if target is None:
                yield f"{name}: it waits for {other}, which there is not"
                continue
            if wanted["condition"] == "service_healthy" and "healthcheck" not in target:
                yield f"{name}: it waits for {other} to be healthy, which nothing tells"
            once = str(target.get("restart")).startswith("on-failure")
            if (wanted["condition"] == "service_completed_successfully") != once:
                yield f"{name}: it waits for {other} in the wrong way"
            apart = set(target.get("profiles", ())) - set(service.get("profiles", ()))
            if apart and wanted.get("required", True):
                yield f"{name}: it needs {other}, which another profile starts"
        if name in behind(name, services):
            yield f"{name}: it waits for itself"


def behind(name: str, services: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    todo = list(services[name].get("depends_on", {}))
    while todo:
        other = todo.pop()
        if other not in found and other in services:
            found.add(other)
            todo += services[other].get("depends_on", {})
    return found


def mounted(files: Files) -> Iterator[str]:
    """What is mounted is there, what is declared is used, and weights are read-only where they are served."""
    used_volumes: set[str] = set()
    used_networks: set[str] = set()
    for name, service in files.services().items():
        used_networks |= networks_of(service)
        targets = [entry.split(":")[0] for entry in service.get("tmpfs", [])]
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            targets.append(target)
            if not source.startswith("."):
                used_volumes.add(source)
            elif mode != ["ro"]:
                yield f"{name}: {source} of the checkout can be written"
            elif not (COMPOSE / source).exists():
                yield f"{name}: {source} is not there"
        if len(set(targets)) != len(targets):
            yield f"{name}: two things are mounted at one place"
        if name == "vllm" and "weights:/weights:ro" not in service["volumes"]:
            yield "vllm: its weights can be written"
    for what, used in (("volumes", used_volumes), ("networks", used_networks)):
        for each in used ^ set(files.compose[what]):
            yield f"{each} of {what} is not both declared and used"


def known_environment(files: Files) -> Iterator[str]:
    """Every variable of a service is one that its image reads; ours are settings, or named in dagster.yaml."""
    named = set(re.findall(r"env: (\w+)", (COMPOSE / "dagster.yaml").read_text()))
    for name, service in files.services().items():
        given = service.get("environment", {})
        allowed = FOREIGN.get(image_of(service), "$")
        yield from (f"{name}: nobody reads {key}" for key in given if not re.fullmatch(allowed, key))
        if image_of(service) != "mineru-pipeline":
            continue
        try:
            settings.load(environ=given)
        except SettingsError as error:
            yield f"{name}: {error}"
        for key in given.keys() ^ named:
            if key.startswith("DAGSTER_"):
                yield f"{name}: {key} is not both given and named in dagster.yaml"


def listening(files: Files) -> dict[str, tuple[set[int], set[str]]]:
    """For each name that can be asked for: its ports, and the networks in which it has the name."""
    found: dict[str, tuple[set[int], set[str]]] = {}
    for name, service in files.services().items():
        words = [str(each) for each in service.get("command", [])]
        ports = set(LISTENS.get(name, ()))
        ports |= {int(port) for word in words for port in re.findall(r"(?:port=|address=:)(\d+)", word)}
        for listener in service.get("environment", {}).get("KAFKA_LISTENERS", "").split(","):
            ports |= {int(port) for port in re.findall(r"^\w+://:(\d+)", listener)}
        if image_of(service) == "mineru-pipeline-devserver":
            ports.add(8000)
        if name == "code-location":
            ports.add(int(service["environment"]["MINERU_PIPELINE__METRICS__PORT"]))
        aliases = service.get("networks", {})
        names = (
            [name, *(a for net in aliases.values() for a in net.get("aliases", ()))]
            if isinstance(aliases, dict)
            else [name]
        )
        for each in names:
            known = found.setdefault(each, (set(), set()))
            known[0].update(ports)
            known[1].update(networks_of(service))
    return found


def reachable(files: Files) -> Iterator[str]:
    """Whoever is named with a port listens there, in a network of whoever names them."""
    known, services = listening(files), files.services()
    asked = [
        (name, host, int(port))
        for name, service in services.items()
        for text in [json.dumps([service.get("environment", {}), service.get("command", [])])]
        for host, port in ADDRESS.findall(text)
    ]
    asked += [("code-location", "postgres", int(services["code-location"]["environment"]["DAGSTER_PG_PORT"]))]
    workspace = yaml.safe_load((COMPOSE / "workspace.yaml").read_text())["load_from"]
    for name in ("webserver", "daemon"):
        asked += [(name, each["grpc_server"]["host"], each["grpc_server"]["port"]) for each in workspace]
    for name, file in (("prometheus", "prometheus.yaml"), ("grafana", "grafana/datasources.yaml")):
        asked += [(name, host, int(port)) for host, port in ADDRESS.findall((COMPOSE / file).read_text())]
    for name, host, port in asked:
        if host in {"localhost", "mineru-pipeline"}:
            continue
        ports, networks = known.get(host, (set(), set()))
        if port not in ports:
            yield f"{name}: nobody listens at {host}:{port}"
        elif not networks & networks_of(services[name]):
            yield f"{name}: {host} is in no network of its own"
    for name, service in services.items():
        yield from (f"{name}: {what}" for what in _asked_here(service, known[name][0]))


def _asked_here(service: Mapping[str, Any], listens: set[int]) -> Iterator[str]:
    """The ports that are published, and those at which the health is asked for, are ports that it listens on."""
    test = " ".join(service.get("healthcheck", {}).get("test", ()))
    for found in re.findall(r"127\.0\.0\.1[: ](\d+)|--port=(\d+)", test):
        if int("".join(found)) not in listens:
            yield f"its health is asked for at {''.join(found)}, where nobody listens"
    for published in service.get("ports", []):
        if int(published.rpartition(":")[2]) not in listens:
            yield f"nobody listens at the published port {published}"


def one_model(files: Files) -> Iterator[str]:
    """Both models are called "model", exactly one is started, and the settings differ in the model alone."""
    models = {name: service for name, service in files.services().items() if "model" in _aliases(service)}
    if {name: tuple(service["profiles"]) for name, service in models.items()} != {
        "devserver": ("devserver",), "vllm": ("gpu",)
    }:  # fmt: skip
        yield f"the models are {sorted(models)}"
    example = (COMPOSE / ".env.example").read_text()
    gpu = dict(re.findall(r"^# (MODEL_\w+)=(.+)$", example, re.MULTILINE))
    loaded = []
    for variables in ({}, gpu):
        environ = files.services(**variables)["code-location"]["environment"]
        loaded.append({row[0]: row[1] for row in settings.describe(settings.load(environ=environ))})
    differing = {name for name in loaded[0] if loaded[0][name] != loaded[1][name]}
    if differing != {"vllm_server.model", "vllm_server.model_revision"}:
        yield f"the settings differ in {sorted(differing)}"
    served = [word.partition("=")[2] for word in files.services(**gpu)["vllm"]["command"] if "served-model" in word]
    if served != [loaded[1]["vllm_server.model"]]:
        yield f"vLLM serves {served}, and {loaded[1]['vllm_server.model']} is asked for"


def _aliases(service: Mapping[str, Any]) -> set[str]:
    networks = service.get("networks", {})
    return {a for net in networks.values() for a in net.get("aliases", ())} if isinstance(networks, dict) else set()


def set_up(files: Files) -> Iterator[str]:
    """Topics, buckets, rights and the notification are those that the settings name."""
    services = files.services()
    environ = services["code-location"]["environment"]
    loaded = settings.load(environ=environ).settings
    (listed,) = re.findall(r"for topic in ([^;]+);", services["kafka-setup"]["command"][0])
    made = set(listed.split())
    wanted = {*loaded.kafka.topics, loaded.kafka.dead_letter_topic, loaded.kafka.results_topic}
    if made != wanted:
        yield f"topics {sorted(made)} are made, {sorted(filter(None, wanted))} are asked for"
    script, minio = services["minio-setup"]["command"][0], services["minio"]["environment"]
    (listed,) = re.findall(r"mc mb --ignore-existing (.+)", script)
    buckets = set(listed.replace("store/", "").split())
    needed = {loaded.storage.bucket, *loaded.intake.buckets, environ["DAGSTER_LOGS_BUCKET"]}
    if buckets != needed:
        yield f"buckets {sorted(buckets)} are made, {sorted(filter(None, needed))} are asked for"
    if minio["MINIO_NOTIFY_KAFKA_TOPIC_MINERU"] != loaded.kafka.notifications_topic:
        yield "MinIO announces objects on a topic that nobody reads"
    if "store/inbox arn:minio:sqs::MINERU:kafka" not in script or set(loaded.intake.buckets) != {"inbox"}:
        yield "the bucket that documents come from announces nothing"
    rights = json.loads((COMPOSE / "minio" / "policy.json").read_text())["Statement"]
    for bucket, action in (
        (loaded.storage.bucket, "s3:PutObject"),
        (environ["DAGSTER_LOGS_BUCKET"], "s3:PutObject"),
        ("inbox", "s3:GetObject"),
    ):
        if not any(action in each["Action"] and f"arn:aws:s3:::{bucket}/*" in each["Resource"] for each in rights):
            yield f"the pipeline may not {action} in {bucket}"
    if any(f"arn:aws:s3:::{b}" not in rights[0]["Resource"] for b in needed):
        yield "the pipeline may not list a bucket"


def one_host_for_runs(files: Files) -> Iterator[str]:
    """Runs are judged by host and process, so the code location alone has a fixed name, and there is one of it."""
    named = {name for name, service in files.services().items() if "hostname" in service}
    if named != {"code-location"}:
        yield f"{sorted(named)} have fixed host names"
    if any("deploy" in service and "replicas" in service["deploy"] for service in files.services().values()):
        yield "something is started more than once"


def stopped_in_time(files: Files) -> Iterator[str]:
    """The server has the time that it was told to finish in, and 15 s more."""
    vllm = files.services()["vllm"]
    (told,) = [int(word.partition("=")[2]) for word in vllm["command"] if word.startswith("--shutdown-timeout=")]
    if int(vllm["stop_grace_period"].removesuffix("s")) < told + 15:
        yield "vllm: it is killed before it has finished"


def same_flags_as_in_kubernetes(files: Files) -> Iterator[str]:
    """The server is served as deploy/k8s serves it."""
    serving = dotenv_values(ROOT / "deploy" / "k8s" / "base" / "vllm" / "serving.env")
    words = files.services()["vllm"]["command"]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    for name in serving.keys() - {"MODEL", "REVISION"}:
        if given.get("--" + name.lower().replace("_", "-")) != serving[name]:
            yield f"vllm: {name} is not {serving[name]}"
    if given.get("--logits-processors") != "mineru_vl_utils:MinerULogitsProcessor":
        yield "vllm: the guard against loops is off"


RULES: dict[str, Callable[[Files], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        schema, variables, pinned, confined, watched, ordered, mounted, known_environment, reachable, one_model, set_up,
        one_host_for_runs, stopped_in_time, same_flags_as_in_kubernetes,
    )
}  # fmt: skip
