"""``make deploy``, with a kubectl that writes down what it is asked and real kustomize."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import yaml
from fake_kubectl import FakeKubectl, fake_kubectl
from manifests.objects import render
from manifests.schemas import problems

from mineru_pipeline.settings import project_root

ROOT = project_root()
READING = ("version", "config current-context", "kustomize", "get ", "diff ")
DONE = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
LOST = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
SERVERS = {
    "items": [{"metadata": {"name": "dagster-daemon", "annotations": {"deployment.kubernetes.io/revision": "7"}}}]
}


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy", ROOT / "deploy" / "deploy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deploy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


DEPLOY = program()


def answers(**changed: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A cluster in which all is well, with changes by name."""
    version = {"clientVersion": {"major": "1", "minor": "35+", "gitVersion": "v1.35.0"}}
    well: dict[str, dict[str, Any]] = {
        "version": {"when": "version --client", "says": json.dumps(version)},
        "context": {"when": "config current-context", "says": "mineru-development\n"},
        "namespace": {"when": "get namespace", "says": "{}"},
        "secret": {"when": "get secret", "says": "{}"},
        "deployments": {"when": "get deployments", "says": json.dumps(SERVERS)},
        "diff": {"when": "diff ", "says": "+ replicas: 1\n", "code": 1},
        "migration": {"when": "get job dagster-migration", "says": json.dumps(DONE)},
        "smoke": {"when": "get job mineru-pipeline-smoke", "says": json.dumps(DONE)},
        "smoke_log": {"when": "logs job/mineru-pipeline-smoke", "says": "ok   23 blocks, 82 of 82 words\n"},
        "migration_log": {"when": "logs job/dagster-migration", "says": "migrated\n"},
        "doctor": {"when": "mineru-pipeline doctor", "says": "ok   store\n"},
    }
    merged = {name: well.get(name, {}) | (changed.get(name) or {}) for name in [*changed, *well]}
    return list(merged.values())


def deploy(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], *options: str, environment: str = "development"
) -> tuple[int, str]:
    code = DEPLOY.main([environment, "--kubectl", fake.program, *options])
    return code, capsys.readouterr().out


def kinds(stdin: str) -> list[str]:
    return [each["kind"] for each in yaml.safe_load_all(stdin)]


def test_a_dry_run_shows_the_difference_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only reading calls are made, all on the one context, and the difference is shown."""
    fake = fake_kubectl(tmp_path, answers())
    code, said = deploy(fake, capsys, "--dry-run")
    assert code == 0, said
    assert "+ replicas: 1" in said
    assert "dry run" in said
    assert [call for call, _ in fake.calls() if not call.startswith(READING)] == []
    assert fake.contexts() == {"mineru-development"}


def test_the_order_is_namespace_rest_migration_servers_and_then_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Deployment is applied before the migration has ended, and all are up before a page is sent."""
    fake = fake_kubectl(tmp_path, answers())
    code, said = deploy(fake, capsys, "--yes")
    assert code == 0, said
    calls = fake.calls()
    applied = [(n, kinds(stdin)) for n, (call, stdin) in enumerate(calls) if call.startswith("apply")]
    assert applied[0][1] == ["Namespace"]
    assert "Deployment" not in applied[1][1]
    assert {"Job", "ConfigMap", "NetworkPolicy", "StatefulSet"} <= set(applied[1][1])
    assert set(applied[2][1]) == {"Deployment"}
    assert applied[3][1] == ["Job"]
    order = [call for call, _ in calls]
    deleted = next(n for n, call in enumerate(order) if call.startswith("delete job dagster-migration"))
    migrated = order.index("get job dagster-migration --ignore-not-found --output=json")
    up = max(n for n, call in enumerate(order) if call.startswith("rollout status deployment/"))
    tried = order.index("get job mineru-pipeline-smoke --ignore-not-found --output=json")
    examined = next(n for n, call in enumerate(order) if "doctor --skip model server" in call)
    assert deleted < applied[1][0] < migrated < applied[2][0] < up < applied[3][0] < tried < examined
    assert "82 of 82 words" in said
    rolled = {call.split()[2] for call in order if call.startswith("rollout status")}
    named = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in render(DEPLOY.OVERLAYS / "development")
             if each["kind"] in {"Deployment", "StatefulSet"}}  # fmt: skip
    assert rolled == named


def test_the_wrong_context_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both contexts are named with what to do, and nothing else is asked; CONTEXT says that it is right."""
    fake = fake_kubectl(tmp_path, answers(context={"says": "production-eu\n"}))
    code, said = deploy(fake, capsys, "--yes")
    assert code == 2
    assert "'production-eu'" in said
    assert "use-context mineru-development" in said
    assert len(fake.calls()) == 2
    code, said = deploy(fake, capsys, "--dry-run", "--context", "production-eu")
    assert code == 0, said


def test_no_context_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that knows of no cluster is told which context is meant, and nothing more is asked."""
    fake = fake_kubectl(tmp_path, answers(context={"says": "", "code": 1, "complains": "current-context is not set"}))
    code, said = deploy(fake, capsys, "--yes")
    assert code == 2
    assert "'not set', and development is deployed to 'mineru-development'" in said
    assert "CONTEXT=" not in said
    assert len(fake.calls()) == 2


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"version": {"says": json.dumps({"clientVersion": {"major": "1", "minor": "20", "gitVersion": "v1.20"}})}},
            "v1.20",
        ),
        ({"diff": {"code": 2, "complains": "forbidden"}}, "forbidden"),
    ],
)
def test_nothing_is_changed_where_something_stands_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], says: str
) -> None:
    """An old kubectl, or a diff that cannot be made: said, with exit code 2."""
    fake = fake_kubectl(tmp_path, answers(**changed))
    code, said = deploy(fake, capsys, "--yes")
    assert (code, says in said) == (2, True), said
    assert [call for call, _ in fake.calls() if not call.startswith(READING)] == []


def test_names_that_were_not_filled_in_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Staging as it comes names example.com: a dry run warns, and nothing else is done."""
    fake = fake_kubectl(tmp_path, answers(context={"says": "mineru-staging\n"}, secret={"says": ""}))
    code, said = deploy(fake, capsys, "--yes", environment="staging")
    assert (code, "registry.example.com" in said, "192.0.2." in said) == (2, True, True)
    code, said = deploy(fake, capsys, "--dry-run", environment="staging")
    assert code == 0, said
    assert "Beware: the overlay still names" in said
    # Optional ones are not among them.
    (missing,) = [line for line in said.splitlines() if "Secrets are missing in mineru-staging" in line]
    assert "dagster-postgresql, mineru-pipeline-store" in missing.replace(
        "oauth2-proxy-admin, oauth2-proxy-readonly, ", ""
    )
    assert "mineru-pipeline-kafka" not in missing
    assert "huggingface" not in missing


def test_a_new_namespace_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is none, all objects are listed as new, and the way back is to delete it."""
    fake = fake_kubectl(tmp_path, answers(namespace={"says": ""}, smoke={"says": json.dumps(LOST)}))
    code, said = deploy(fake, capsys, "--yes")
    assert code == 1, said
    assert "+ Deployment dagster-daemon" in said
    assert "delete namespace mineru-development" in said
    assert [call for call, _ in fake.calls() if call.startswith("diff")] == []


def test_a_migration_that_fails_stops_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No Deployment is touched; the end of the log and the commands to look further are shown."""
    lost = {"migration": {"says": json.dumps(LOST)}, "migration_log": {"says": "no such role\n"}}
    fake = fake_kubectl(tmp_path, answers(**lost))
    code, said = deploy(fake, capsys, "--yes")
    assert code == 1
    assert "no such role" in said
    assert (
        f"{fake.program} --context mineru-development --namespace mineru-development logs job/dagster-migration" in said
    )
    assert [
        kinds(stdin) for call, stdin in fake.calls() if call.startswith("apply") and "Deployment" in kinds(stdin)
    ] == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"smoke": {"says": json.dumps(LOST)}, "smoke_log": {"says": "FAIL 40 words are not read\n"}},
            "40 words are not read",
        ),
        ({"doctor": {"says": "FAIL daemon\n", "code": 1}}, "FAIL daemon"),
        (
            {"up": {"when": "rollout status deployment/dagster-daemon", "code": 1, "complains": "timed out"}},
            "describe deployment/dagster-daemon",
        ),
    ],
)
def test_a_failure_says_what_to_look_at_and_how_to_go_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], says: str
) -> None:
    """What was found is shown, and the exact commands that bring back the revisions that ran before."""
    fake = fake_kubectl(tmp_path, answers(**changed))
    code, said = deploy(fake, capsys, "--yes")
    assert code == 1
    assert says in said
    assert "rollout undo deployment/dagster-daemon --to-revision=7" in said
    assert "make deploy ENV=development" in said


def test_a_job_that_is_still_there_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server refuses to change a Job, in a diff as well; it is named as made anew, and all else is compared."""
    fake = fake_kubectl(tmp_path, answers())
    code, said = deploy(fake, capsys, "--dry-run")
    assert code == 0, said
    [compared] = [kinds(stdin) for call, stdin in fake.calls() if call.startswith("diff")]
    assert "Job" not in compared
    assert {"Deployment", "ConfigMap", "StatefulSet"} <= set(compared)
    assert "Made anew: Job dagster-migration" in said


def test_what_the_overlay_no_longer_has_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server and a policy of an earlier commit stay in the cluster: they are named with what removes them."""
    there = "deployment.apps/dagster-daemon\nservice/minio\nnetworkpolicy.networking.k8s.io/everybody\n"
    left = {"when": "get deployments,", "says": there + "deployment.apps/vllm-server-3\n"}
    fake = fake_kubectl(tmp_path, [left, *answers()])
    code, said = deploy(fake, capsys, "--dry-run")
    assert code == 0, said
    [line] = [line for line in said.splitlines() if " delete " in line]
    assert line.endswith(" delete networkpolicy.networking.k8s.io/everybody deployment.apps/vllm-server-3")


def test_whoever_interrupts_it_learns_how_far_it_came(tmp_path: Path) -> None:
    """Ctrl-C while it waits: what was applied stays, how to look at it and how to go back is said; no traceback."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    fake, said = fake_kubectl(tmp_path, answers(migration={"says": "{}"})), list[str]()
    kubectl = DEPLOY.Kubectl(fake.program, "mineru-development")
    deployment = DEPLOY.Deployment("development", kubectl, said.append, lambda _: True, sleep=interrupted)
    assert deployment.run(dry_run=False) == 130
    text = "\n".join(said)
    assert "INTERRUPTED" in text
    assert "get deployments,statefulsets,jobs" in text
    assert "rollout undo deployment/dagster-daemon --to-revision=7" in text


#: Runs a program as a terminal does. What a shell starts in the background, tests perhaps, is deaf to Ctrl-C.
IN_FRONT = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def until_it_sleeps(pid: int) -> None:
    """Wait until a process waits for something itself."""
    deadline = time.monotonic() + 60
    while psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
        assert time.monotonic() < deadline, "it does not wait for an answer"
        time.sleep(0.01)


def test_an_interrupted_question_changes_nothing(tmp_path: Path) -> None:
    """Ctrl-C in place of an answer ends with 130 and says that nothing was changed."""
    fake = fake_kubectl(tmp_path, answers())
    command = [sys.executable, "-c", IN_FRONT, str(ROOT / "deploy" / "deploy.py"), "development"]
    command += ["--kubectl", fake.program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "[y/N]" not in said:
            said += process.stdout.read(1)
        # Who presses a key sees a program that waits. A signal just before that would be noticed only after the answer.
        until_it_sleeps(process.pid)
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
    assert (process.returncode, "Nothing was changed." in said, "Traceback" in said) == (130, True, False)
    assert [call for call, _ in fake.calls() if not call.startswith(READING)] == []


def test_no_is_an_answer(tmp_path: Path) -> None:
    """Without --yes it asks, and anything but yes changes nothing."""
    fake = fake_kubectl(tmp_path, answers())
    command = [sys.executable, str(ROOT / "deploy" / "deploy.py"), "development", "--kubectl", fake.program]
    done = subprocess.run(command, input="no\n", capture_output=True, text=True, check=False)
    assert (done.returncode, "Nothing was changed." in done.stdout) == (1, True)
    assert "Apply this to development (context mineru-development)? [y/N]" in done.stdout
    assert [call for call, _ in fake.calls() if not call.startswith(READING)] == []


def test_no_kubectl_and_no_overlay_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing program and an unknown environment are errors of their own, with exit code 2."""
    assert DEPLOY.main(["staging", "--kubectl", str(tmp_path / "none")]) == 2
    fake = fake_kubectl(tmp_path, answers(context={"says": "mineru-stagign\n"}))
    assert deploy(fake, capsys, "--yes", environment="stagign")[0] == 2
    code, said = deploy(fake, capsys, "--yes", environment="stagign")
    assert (code, "development, production, staging" in said) == (2, True)


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_the_page_is_sent_by_a_pod_that_may_speak_to_the_model(environment: str) -> None:
    """The Job fits its schema, is a run to the NetworkPolicies, has the key, and no more rights than other pods."""
    job = DEPLOY.smoke_job(render(DEPLOY.OVERLAYS / environment))
    assert list(problems(job)) == []
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "run_worker"
    pod = template["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["mineru-pipeline", "smoke"]
    assert "MINERU_PIPELINE__VLLM_SERVER__API_KEY" in {each["name"] for each in container["env"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert "livenessProbe" not in container
