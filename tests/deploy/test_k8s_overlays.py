"""Every overlay, rendered by kustomize itself, against every rule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from manifests import mutations, pipeline
from manifests.objects import K8S, OVERLAYS, Cluster, render
from manifests.rules import RULES, findings, overlay, secrets
from manifests.runs import run_job
from manifests.schemas import problems
from manifests.serving import arguments, servers

VARIANTS = Path(mutations.__file__).parent / "variants"


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("rule", RULES)
def test_an_overlay_keeps_to_every_rule(name: str, rule: str) -> None:
    """Nothing is wrong with the objects of the overlay, nor with the Job that Dagster would create in it."""
    assert list(RULES[rule](overlay(name))) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_job_of_a_run_has_the_shape_of_a_job(name: str) -> None:
    """What Dagster would send to the API server fits its schema, strictly."""
    assert list(problems(run_job(overlay(name)))) == []


def test_there_are_rules_for_pods_of_every_kind() -> None:
    """The overlays hold what they are said to hold, so that no rule passes for want of objects."""
    parts = {pod.component for pod in overlay("development").pods()}
    assert parts >= {
        "code-location",
        "daemon",
        "webserver-readonly",
        "webserver-admin",
        "proxy-readonly",
        "proxy-admin",
    }
    assert parts >= {"migration", "database", "object-store", "broker", "model-server"}
    production = overlay("production")
    assert len(servers(production)) == 2
    assert {"PodDisruptionBudget", "ServiceMonitor", "PodMonitor", "Ingress", "PersistentVolumeClaim"} <= {
        each["kind"] for each in production.objects
    }


def test_the_other_model_is_a_profile() -> None:
    """With the component, servers, Job and settings are those of Qwen2.5-VL-7B, and every rule holds."""
    cluster = Cluster("production", render(VARIANTS / "production-qwen"))
    assert findings(cluster) == {}
    for pod in servers(cluster):
        given = arguments(cluster, pod)
        assert given["--served-model-name"] == "Qwen/Qwen2.5-VL-7B-Instruct"
        assert (given["--max-model-len"], given["--gpu-memory-utilization"]) == ("32768", "0.92")
    assert pipeline.pipeline_settings(cluster).vllm_server.model == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_the_reader_of_the_profile_is_told_what_it_cannot_do() -> None:
    """Whoever chooses the other model reads first that the pipeline does not parse with it."""
    text = (K8S / "components" / "qwen2.5-vl-7b" / "README.md").read_text(encoding="utf-8")
    assert "was not trained on MinerU's prompts" in text
    assert "no page is sent" in text


def test_the_rules_of_alerts_are_those_of_prometheus() -> None:
    """The PrometheusRule holds exactly the groups of the plain rule files, which promtool and Prometheus read."""
    files = sorted((K8S.parent / "monitoring" / "rules").glob("*.yaml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    assert groups
    for name in ("staging", "production"):
        [made] = overlay(name).of("PrometheusRule")
        assert made["spec"]["groups"] == groups
    script = K8S / "components" / "monitoring" / "make_prometheusrule.py"
    subprocess.run([sys.executable, script, "--check"], timeout=60, check=True)


def test_the_secrets_are_told_to_who_brings_them() -> None:
    """The README lists every Secret and key that pods of an environment read."""
    text = (K8S.parent / "README.md").read_text(encoding="utf-8")
    # Only development has a store and a file of passwords of its own.
    for name, keys in secrets().items():
        if name not in {"minio", "oauth2-proxy-htpasswd"}:
            assert f"`{name}`" in text, name
            assert [key for key in keys if f"`{key}`" not in text] == []


def test_names_of_configuration_change_with_it(tmp_path: Path) -> None:
    """A changed setting gives its ConfigMap another name, which the pods and the launcher's variables follow."""
    folder = tmp_path / "changed"
    folder.mkdir()
    relative = Path(*[".."] * (len(folder.resolve().parts) - 1)) / (K8S / "overlays" / "staging").resolve().relative_to(
        "/"
    )
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}]\n"
        "configMapGenerator:\n"
        "  - {name: mineru-pipeline-settings, behavior: merge, literals: [MINERU_PIPELINE__WORKERS__BATCH_SIZE=50]}\n",
        encoding="utf-8",
    )
    changed, before = Cluster("staging", render(folder)), overlay("staging")
    names = [each.get("ConfigMap", "mineru-pipeline-settings")["metadata"]["name"] for each in (before, changed)]
    assert names[0] != names[1]
    for cluster, name in zip((before, changed), names, strict=True):
        daemon = cluster.environment(cluster.pod("daemon").spec["containers"][0])
        assert daemon["SETTINGS_CONFIG_MAP"] == name
        sources = run_job(cluster)["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        assert {"configMapRef": {"name": name}} in sources
