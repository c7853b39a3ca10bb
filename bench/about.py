"""Where and with what a benchmark ran."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from bench import peer
from bench.context import processors
from mineru_pipeline.settings import project_root

_OURS = ("mineru-pipeline", "mineru-vl-utils", "docvortex", "pypdfium2", "pillow", "httpx", "numpy", "uvicorn")


def describe(pdfs: Path, repetitions: int, scale: float, peer_python: Path) -> dict[str, Any]:
    """Return machine, versions, commit, date and options."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": _processor(),
            "processors": processors(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _OURS},
        "peer": {"name": peer.PEER, "versions": peer.versions(peer_python)},
        "options": {"pdfs": pdfs.resolve().name, "repetitions": repetitions, "scale": scale},
    }


def _commit() -> str:
    """The commit, with ``+`` where the checkout differs from it; "" outside a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
