"""The workflows of CI: accepted by actionlint, with few rights, pinned, and calling what exists."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mineru_pipeline.settings import project_root

ROOT = project_root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Of the form of workflows, as much as is allowed here.
SCHEMA = {
    "type": "object",
    "required": ["name", "on", "permissions", "concurrency", "jobs"],
    "properties": {
        "permissions": {"const": {"contents": "read"}},
        "jobs": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["name", "runs-on", "timeout-minutes", "permissions", "steps"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "runs-on": {"type": "string", "pattern": r"-\d+\.\d+$"},
                    "timeout-minutes": {"type": "integer", "maximum": 120},
                    "permissions": {"const": {"contents": "read"}},
                    "env": {"type": "object", "additionalProperties": {"type": "string"}},
                    "steps": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "oneOf": [{"required": ["uses"]}, {"required": ["run"]}],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"type": "string"},
                                "if": {"enum": ["failure()", "always()"]},
                                "run": {"type": "string"},
                                "uses": {"type": "string", "pattern": r"^actions/[\w-]+@v\d+\.\d+\.\d+$"},
                                "with": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}


def findings(workflow: dict[Any, Any]) -> Iterator[str]:
    """Everything that is wrong with a workflow, whose key "on" YAML reads as true."""
    plain = {"on" if key is True else key: value for key, value in workflow.items()}

    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(plain):
        yield f"{'/'.join(map(str, error.path))}: {error.message}"
    if plain.get("on") != {"push": {"branches": ["main"]}, "pull_request": None}:
        yield f"it is run for {plain.get('on')}"
    if "pull_request_target" in (plain.get("on") or {}):
        yield "code of strangers would run with rights of ours"
    for name, job in plain["jobs"].items():
        for step in job["steps"]:
            yield from (f"{name}: {words}" for words in wrong_with(step, str(job.get("env", ""))))


def wrong_with(step: dict[str, Any], environ: str) -> Iterator[str]:
    """Everything that is wrong with a step of a job with these variables."""
    run = step.get("run", "")
    if re.search(r"\|\| *(true|:|exit 0)|set \+e|; *true\b", run):
        yield "what fails passes"
    if "${{" in run:
        yield "words of strangers would run as commands"
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    yield from (f"there is no target {each}" for each in re.findall(r"\bmake ([a-z]+)", run) if each not in targets)
    files = re.findall(r"(?:\.?/)?\b(?:deploy|tests|bench)/[\w./-]+\w", run)
    yield from (f"there is no {each}" for each in files if not (ROOT / each).exists())
    images = re.findall(r"\b(?:aquasec|ghcr\.io|docker\.io)/[\w./-]+(?::[\w.-]+)?", f"{run} {environ}")
    yield from (f"{each} is not pinned" for each in images if not re.search(r":\d+\.\d+\.\d+", each))
    checkout = str(step.get("uses", "")).startswith("actions/checkout@")
    if checkout and step.get("with", {}).get("persist-credentials") is not False:
        yield "the token stays in the checkout"


def ci() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    return found


def test_actionlint_has_nothing_to_say() -> None:
    """The linter of workflows finds nothing in any of them."""
    actionlint = str(Path(sys.executable).with_name("actionlint"))
    done = subprocess.run([actionlint, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_they_fit_the_published_schema() -> None:
    """Each of them has the form that SchemaStore publishes for workflows."""
    check = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*check, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_keeps_to_the_rules(workflow: Path) -> None:
    """Every job has a limit in time, reading rights alone, pinned actions, and calls what there is."""
    assert list(findings(yaml.safe_load(workflow.read_text()))) == []


def test_ci_does_what_it_is_there_for() -> None:
    """Check, quality gate, manifests, images with a scan and a page sent through, and the whole with Compose."""
    runs = {name: " ".join(step.get("run", "") for step in job["steps"]) for name, job in ci()["jobs"].items()}
    assert "make check" in runs["check"]
    assert "make quality" in runs["quality"]
    assert "make manifests" in runs["manifests"]
    assert all(
        word in runs["images"] for word in ("docker build", "${TRIVY}", "--exit-code 1", "mineru-pipeline smoke")
    )
    assert "make compose" in runs["compose"]


BROKEN: dict[str, Callable[[dict[Any, Any]], Any]] = {
    "no limit": lambda w: w["jobs"]["check"].pop("timeout-minutes"),
    "more rights": lambda w: w["jobs"]["check"].update(permissions={"contents": "write"}),
    "an action that moves": lambda w: w["jobs"]["check"]["steps"][0].update(uses="actions/checkout@v4"),
    "an action of a stranger": lambda w: w["jobs"]["check"]["steps"][0].update(uses="somebody/checkout@v4.2.2"),
    "a token that stays": lambda w: w["jobs"]["check"]["steps"][0].pop("with"),
    "a machine that moves": lambda w: w["jobs"]["check"].update({"runs-on": "ubuntu-latest"}),
    "a target that there is not": lambda w: w["jobs"]["check"]["steps"].append({"run": "make everything"}),
    "a file that there is not": lambda w: w["jobs"]["check"]["steps"].append({"run": "python deploy/none.py"}),
    "an image that moves": lambda w: w["jobs"]["images"].update(env={"TRIVY": "aquasec/trivy:latest"}),
    "words of strangers": lambda w: w["jobs"]["check"]["steps"].append({"run": "echo ${{ github.head_ref }}"}),
    "a failure that passes": lambda w: w["jobs"]["check"]["steps"].append({"run": "make check || true"}),
    "nobody's requests": lambda w: w[True].pop("pull_request"),
    "another branch": lambda w: w[True]["push"].update(branches=["master"]),
    "rights for strangers": lambda w: w.update({True: {"pull_request_target": None}}),
}


@pytest.mark.parametrize("change", BROKEN)
def test_what_is_broken_is_seen(change: str) -> None:
    """Each of these changes is found."""
    workflow = copy.deepcopy(ci())
    BROKEN[change](workflow)
    assert list(findings(workflow)) != []
