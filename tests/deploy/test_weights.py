"""The scripts that fetch weights, run here with a stand-in for the hub's client: what they make is what is served."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from compose_file import read
from manifests.rules import overlay
from manifests.serving import arguments, servers

HF = """#!/bin/sh
echo "$@" >> "$CALLS"
while [ "$1" != --local-dir ]; do shift; done
mkdir -p "$2" && echo weights > "$2/model.safetensors"
[ ! -e "$CALLS.fails" ]
"""


def kubernetes() -> tuple[str, dict[str, str], str]:
    """The script of the Job, its variables, and the folder that a server serves."""
    cluster = overlay("production")
    container = cluster.pod("weights").spec["containers"][0]
    environment = {name: value for name, value in cluster.environment(container).items() if value is not None}
    return container["args"][0], environment, arguments(cluster, servers(cluster)[0])[""]


def compose() -> tuple[str, dict[str, str], str]:
    """The same of the Compose file, with a model and a revision."""
    services = read().services(MODEL_NAME="maker/model", MODEL_REVISION="0" * 40)
    weights = services["weights"]
    return weights["command"][0], weights["environment"], services["vllm"]["command"][0]


def run(script: str, environment: dict[str, str], folder: Path) -> int:
    """Run a script of a container with its volume in a folder here."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "hf").write_text(HF)
    (programs / "hf").chmod(0o755)
    told = environment | {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(folder / "calls")}
    here = script.replace("/weights", str(folder / "weights"))
    return subprocess.run(["/bin/sh", "-euc", here], env=told, timeout=30, check=False).returncode


@pytest.mark.parametrize("where", [kubernetes, compose], ids=["kubernetes", "compose"])
def test_what_is_fetched_is_what_is_served(tmp_path: Path, where: object) -> None:
    """The pinned revision ends in the folder of the server, a second time fetches nothing, a failure leaves none."""
    assert callable(where)
    script, environment, served = where()
    target = tmp_path / "weights" / Path(served).relative_to("/weights")
    (tmp_path / "calls.fails").touch()
    assert run(script, environment, tmp_path) != 0
    assert not target.exists()
    (tmp_path / "calls.fails").unlink()
    assert run(script, environment, tmp_path) == 0
    assert (target / "model.safetensors").read_text() == "weights\n"
    [_, called] = (tmp_path / "calls").read_text().splitlines()
    assert f"{environment['MODEL']} --revision {environment['REVISION']} " in called
    assert run(script, environment, tmp_path) == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_a_server_waits_for_just_that_folder(tmp_path: Path) -> None:
    """What runs before the server ends when its folder is there, and not before."""
    cluster = overlay("production")
    for pod in servers(cluster):
        [waiting] = pod.spec["initContainers"]
        environment = {name: str(value) for name, value in cluster.environment(waiting).items()}
        served = tmp_path / "weights" / Path(arguments(cluster, pod)[""]).relative_to("/weights")
        # In place of the pause the folder comes, with its parents, as the Job makes them.
        script = waiting["args"][0].replace("sleep 10", f'[ ! -e "{tmp_path}/round" ]; touch "{tmp_path}/round"')
        served.parent.mkdir(parents=True, exist_ok=True)
        assert run(script, environment, tmp_path) != 0
        (tmp_path / "round").unlink()
        served.mkdir()
        assert run(script, environment, tmp_path) == 0
        served.rmdir()


def test_the_weights_of_several_servers_can_be_mounted_by_all() -> None:
    """Servers on several nodes share one volume, which has room for the model twice over."""
    [claim] = [
        each["spec"]
        for each in overlay("production").of("PersistentVolumeClaim")
        if each["metadata"]["name"] == "vllm-weights"
    ]
    assert claim["accessModes"] == ["ReadWriteMany"]
    assert yaml.safe_load(claim["resources"]["requests"]["storage"].removesuffix("Gi")) >= 2 * 3
