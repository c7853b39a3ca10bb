"""The environment of the peer, official ``mineru`` 3.4.5: made once, pinned, and only ever run as a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PEER = "mineru 3.4.5"
REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
DRIVER = Path(__file__).with_name("peer_driver.py")
_STAMP = "installed-requirements.txt"


class PeerError(RuntimeError):
    """The peer's environment cannot be made."""


def prepare(folder: Path) -> Path:
    """Return the Python of the peer's environment in ``folder``, which is made where it is missing or outdated.

    Raises:
        PeerError: if it cannot be installed, with the end of what pip said.
    """
    python, stamp = folder / "bin" / "python", folder / _STAMP
    wanted = REQUIREMENTS.read_text()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Installing {PEER} into {folder}; this takes a minute or two and 640 MB.", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps"]
    _run([str(python), *install, "-r", str(REQUIREMENTS)])
    stamp.write_text(wanted)
    return python


def versions(python: Path) -> list[str]:
    """What is installed in the peer's environment, as ``name==version``."""
    return _run([str(python), "-m", "pip", "freeze", "--disable-pip-version-check"]).splitlines()


def environment(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what the peer is started with: it loads no weights and asks no hub."""
    # Without proxies: the server is on this machine, and nothing else is to be reached.
    kept = {name: value for name, value in inherited.items() if not name.lower().endswith("_proxy")}
    # onnxruntime, which tells kinds of files apart, would report its use to its makers.
    quiet = {"MINERU_MODEL_SOURCE": "local", "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    return kept | quiet | {"MINERU_LOG_LEVEL": "WARNING"}


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-2000:]}")
    return done.stdout
