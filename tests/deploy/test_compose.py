"""The Compose file: its form, its rules, and that each of them can fail. Nothing here starts a container."""

from __future__ import annotations

import importlib.util
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from compose_file import COMPOSE, RULES, Files, read, secrets_of
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef

FILES = read()
Change = Callable[[Files], Any]


def service(files: Files, name: str) -> dict[str, Any]:
    """A service of a copy, apart from those that it shares anchors with."""
    found: dict[str, Any] = files.compose["services"][name]
    return found


def published(file: Path) -> subprocess.CompletedProcess[str]:
    """Hold a file to the schema of the Compose specification, as ``check-jsonschema`` carries it."""
    check = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*check, str(file)], capture_output=True, text=True, check=False)


def test_it_fits_the_published_schema(tmp_path: Path) -> None:
    """The specification's own schema accepts the file, and not one with a key that it does not know."""
    compose = COMPOSE / "compose.yaml"
    done = published(compose)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "compose.yaml"
    broken.write_text(compose.read_text().replace("    healthcheck:", "    healthcheckk:", 1))
    done = published(broken)
    assert (done.returncode, "healthcheckk" in done.stdout) == (1, True)


@pytest.mark.parametrize("rule", RULES)
def test_the_compose_file_keeps_to_the_rule(rule: str) -> None:
    """Nothing is wrong with the file as it is."""
    assert list(RULES[rule](FILES)) == []


# ruff: noqa: E501 - one change a line
MUTATIONS: dict[str, tuple[str, Change]] = {
    "an unknown key": ("schema", lambda f: service(f, "minio").update(volume=[])),
    "a health check without a word how": ("schema", lambda f: service(f, "minio")["healthcheck"].pop("test")),
    "a condition that there is not": (
        "schema", lambda f: service(f, "grafana")["depends_on"]["prometheus"].update(condition="healthy"),
    ),
    "a variable without an example": ("variables", lambda f: f.env.pop("MINIO_PORT")),
    "an example that nobody reads": ("variables", lambda f: f.env.update(MINIO_PROT="9000")),
    "a secret in the example": ("variables", lambda f: f.env.update(POSTGRES_PASSWORD="postgres")),
    "a tag that moves": ("pinned", lambda f: service(f, "grafana").update(image="grafana/grafana:latest")),
    "no Dockerfile": ("pinned", lambda f: service(f, "devserver")["build"].update(dockerfile="Dockerfile")),
    "a root that can be written": ("confined", lambda f: service(f, "kafka").update(read_only=False)),
    "capabilities": ("confined", lambda f: service(f, "kafka").pop("cap_drop")),
    "root": ("confined", lambda f: service(f, "minio").update(user="0:0")),
    "no limit": ("confined", lambda f: service(f, "daemon").pop("mem_limit")),
    "a port for the world": ("confined", lambda f: service(f, "webserver").update(ports=["3000:3000"])),
    "a port in an internal network": ("confined", lambda f: service(f, "webserver").update(networks=["data"])),
    "no health check": ("watched", lambda f: service(f, "daemon").pop("healthcheck")),
    "nothing that starts it again": ("watched", lambda f: service(f, "grafana").update(restart="no")),
    "waiting for nobody": ("ordered", lambda f: service(f, "daemon")["depends_on"].update(x={"condition": "service_healthy"})),
    "waiting for a health that nothing tells": ("ordered", lambda f: service(f, "postgres").pop("healthcheck")),
    "a job that is waited for as for a server": ("ordered", lambda f: service(f, "kafka-setup").update(restart="always")),
    "waiting for another profile": (
        "ordered", lambda f: service(f, "code-location")["depends_on"]["vllm"].pop("required"),
    ),
    "waiting for itself": (
        "ordered", lambda f: service(f, "postgres").update(depends_on={"daemon": {"condition": "service_healthy"}}),
    ),
    "a file that is not there": ("mounted", lambda f: service(f, "prometheus")["volumes"].append("./x.yaml:/x:ro")),
    "a file that can be written": ("mounted", lambda f: service(f, "prometheus")["volumes"].append("./dagster.yaml:/x")),
    "an undeclared volume": ("mounted", lambda f: f.compose["volumes"].pop("minio")),
    "a network that nobody uses": ("mounted", lambda f: f.compose["networks"].update(spare={})),
    "weights that can be written": ("mounted", lambda f: service(f, "vllm").update(volumes=["weights:/weights", "vllm-cache:/cache"])),
    "a setting that there is not": (
        "known_environment", lambda f: service(f, "code-location")["environment"].update(MINERU_PIPELINE__KAFKA__TOPIC="x"),
    ),
    "a value that is none": (
        "known_environment", lambda f: service(f, "cli")["environment"].update(MINERU_PIPELINE__METRICS__PORT="many"),
    ),
    "a variable that dagster.yaml lacks": ("known_environment", lambda f: service(f, "daemon")["environment"].pop("DAGSTER_PG_DB")),
    "a variable of nobody": ("known_environment", lambda f: service(f, "postgres")["environment"].update(PGPASS="x")),
    "a wrong port": (
        "reachable",
        lambda f: service(f, "code-location")["environment"].update(MINERU_PIPELINE__MINIO__ENDPOINT="http://minio:9002"),
    ),
    "another network": ("reachable", lambda f: service(f, "daemon").update(networks=["model"])),
    "a wrong published port": ("reachable", lambda f: service(f, "grafana").update(ports=["127.0.0.1:3001:3001"])),
    "a health that is asked for elsewhere": (
        "reachable", lambda f: service(f, "exporter")["healthcheck"].update(test=["CMD", "wget", "http://127.0.0.1:9466/metrics"]),
    ),
    "a moved metrics port": (
        "reachable", lambda f: service(f, "code-location")["environment"].update(MINERU_PIPELINE__METRICS__PORT="9465"),
    ),
    "two models": ("one_model", lambda f: service(f, "vllm").update(profiles=["devserver"])),
    "another model than is asked for": ("one_model", lambda f: service(f, "vllm")["command"].__setitem__(1, "--served-model-name=x")),
    "a topic that is not made": (
        "set_up", lambda f: service(f, "code-location")["environment"].update(MINERU_PIPELINE__KAFKA__RESULTS_TOPIC="results"),
    ),
    "a bucket that is not made": (
        "set_up", lambda f: service(f, "code-location")["environment"].update(MINERU_PIPELINE__STORAGE__BUCKET="store"),
    ),
    "a second host of the same name": ("one_host_for_runs", lambda f: service(f, "cli").update(hostname="code-location")),
    "no time to finish": ("stopped_in_time", lambda f: service(f, "vllm").update(stop_grace_period="30s")),
    "another flag than in Kubernetes": (
        "same_flags_as_in_kubernetes", lambda f: service(f, "vllm")["command"].remove("--max-num-seqs=256"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_broken_is_seen(mutation: str) -> None:
    """Each of these changes is found by the rule that is there for it."""
    rule, change = MUTATIONS[mutation]
    files = apart(FILES)
    change(files)
    assert list(RULES[rule](files)) != []


def apart(files: Files) -> Files:
    """A copy in which nothing is shared any more, as anchors share it."""

    def copied(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: copied(each) for key, each in value.items()}
        return [copied(each) for each in value] if isinstance(value, list) else value

    return Files(copied(files.compose), dict(files.env))


def test_every_rule_is_broken_once() -> None:
    """No rule is without a change that it finds."""
    assert {rule for rule, _ in MUTATIONS.values()} == set(RULES)


def test_the_whole_is_there() -> None:
    """The services that the system consists of, so that no rule passes for want of them."""
    assert {"postgres", "minio", "kafka", "code-location", "webserver", "daemon", "migrate", "devserver", "vllm",
            "prometheus", "alertmanager", "grafana", "minio-setup", "kafka-setup"} <= set(FILES.services())  # fmt: skip


def test_dagster_accepts_its_configuration() -> None:
    """It fits Dagster's own schema and that of its classes, and every run is launched where dead_runs looks."""
    environ = FILES.services()["daemon"]["environment"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        config, _ = dagster_instance_config(str(COMPOSE))
        ref = InstanceRef.from_dir(str(COMPOSE))
        assert type(ref.run_launcher).__name__ == "DefaultRunLauncher"
        assert type(ref.compute_log_manager).__name__ == "S3ComputeLogManager"
    assert "psycopg2" in str(config["storage"])


def make_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_env", COMPOSE / "make_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    """Every secret gets a value of its own, the file is private, and a second call changes nothing."""
    assert "written" in make_env().main(tmp_path)
    file = tmp_path / ".env"
    first = file.read_text()
    values = dict(line.split("=", 1) for line in first.splitlines() if "=" in line and not line.startswith("#"))
    found = [values[name] for name in secrets_of(FILES.env)]
    assert sorted(secrets_of(FILES.env)) == sorted(make_env().SECRETS)
    assert min(map(len, found)) >= 40
    assert len(set(found)) == len(found)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "stays" in make_env().main(tmp_path)
    assert file.read_text() == first
