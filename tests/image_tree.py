"""Builds what the image of the pipeline holds in a virtual environment, by the steps of its Dockerfile."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mineru_pipeline.settings import project_root

ROOT = project_root()
DOCKER = ROOT / "deploy" / "docker"
#: As in the Dockerfile.
INSTALL = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
OFFLINE = ("dns error", "error sending request", "Could not connect", "Connection refused", "NewConnectionError")


def trimming() -> ModuleType:
    """The program that the Dockerfile calls, as a module."""
    spec = importlib.util.spec_from_file_location("trim", DOCKER / "trim.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class ImageTree:
    """A virtual environment as it is in the image."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def size(self) -> int:
        size: int = trimming().size_of(self.folder)
        return size

    def run(self, *command: str, environ: dict[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of it as a container would: nothing of this checkout, and no bytecode is written."""
        bare = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command, env=bare | (environ or {}), cwd=cwd, capture_output=True, text=True, check=False, timeout=150
        )

    def processor_seconds(self, code: str, cwd: Path) -> float:
        """The processor time that a process needs to run ``code``, and to end."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = self.run(self.python, "-c", code, cwd=cwd)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def build(folder: Path, skip: Callable[[str], None]) -> ImageTree:
    """Install, trim and compile; calls ``skip`` with the reason where there is no package index."""
    tree, wheels = ImageTree(folder / "venv"), folder / "wheels"
    uv = str(Path(sys.executable).with_name("uv"))
    _call(uv, "venv", "--quiet", "--python", sys.executable, str(tree.folder))
    lock = ("-r", str(ROOT / "locks" / "cluster.txt"))
    done = _try(uv, "pip", "install", "--quiet", "--python", tree.python, *INSTALL, *lock)
    if done.returncode:
        # uv does not read the configuration of pip, which may name another index.
        pip = (sys.executable, "-m", "pip", "--python", tree.python, "install", "--quiet", "--no-compile")
        done = _try(*pip, *INSTALL, *lock)
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("mineru_pipeline", "resources", "assets", "sensors"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    wheel = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    _call(*wheel, "--wheel-dir", str(wheels), str(source))
    _call(
        uv, "pip", "install", "--quiet", "--python", tree.python, "--no-deps", "--no-index", *map(str, wheels.glob("*"))
    )
    assert trimming().trim(tree.folder) > 0
    _call(tree.python, "-m", "compileall", "-q", "-j", "2", "-x", "olefile2", str(tree.folder / "lib"))
    return tree


def _try(*command: str) -> subprocess.CompletedProcess[str]:
    # The interpreter of the tests must not lend its packages.
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=900)


def _call(*command: str) -> None:
    done = _try(*command)
    assert done.returncode == 0, done.stdout + done.stderr
