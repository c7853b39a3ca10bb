"""A ``kubectl`` for tests: writes down each call, answers by a scenario, and renders with the real one."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mineru_pipeline.settings import project_root

OVERLAYS = [project_root() / "deploy" / "k8s" / "overlays" / name for name in ("development", "staging")]
_PROGRAM = """#!{python}
import json, subprocess, sys
folder, real, rendered = {folder!r}, {real!r}, {rendered!r}
scenario = json.load(open(folder + "/scenario.json"))
words = sys.argv[1:]
given = sys.stdin.read() if "--filename=-" in words else ""
with open(folder + "/calls.jsonl", "a") as log:
    log.write(json.dumps({{"words": words, "stdin": given}}) + "\\n")
if words[0] == "kustomize":
    sys.exit(subprocess.run(["cat", rendered[words[1]]] if words[1] in rendered else [real, *words]).returncode)
line = " ".join(words)
for answer in scenario:
    if answer["when"] in line:
        sys.stdout.write(answer.get("says", ""))
        sys.stderr.write(answer.get("complains", ""))
        sys.exit(answer.get("code", 0))
"""


@dataclass(frozen=True)
class FakeKubectl:
    """The program and what it was asked."""

    folder: Path

    @property
    def program(self) -> str:
        return str(self.folder / "kubectl")

    def calls(self) -> list[tuple[str, str]]:
        """Every call as its words without context and namespace, and its input."""
        found = []
        for line in (self.folder / "calls.jsonl").read_text().splitlines():
            call = json.loads(line)
            words = call["words"]
            while words[0] in {"--context", "--namespace"}:
                words = words[2:]
            found.append((" ".join(words), call["stdin"]))
        return found

    def contexts(self) -> set[str]:
        """The contexts of all calls that have one."""
        calls = [json.loads(line)["words"] for line in (self.folder / "calls.jsonl").read_text().splitlines()]
        return {words[1] for words in calls if words[0] == "--context"}


@functools.cache
def _rendered(overlay: Path, real: str) -> str:
    """A file with what the real one makes of an overlay, which takes it a second or two."""
    text = subprocess.run([real, "kustomize", str(overlay)], capture_output=True, check=True).stdout
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(text)
    atexit.register(Path(file.name).unlink)
    return file.name


def fake_kubectl(folder: Path, scenario: Sequence[dict[str, Any]]) -> FakeKubectl:
    """Make one; the first answer whose ``when`` is in the command line is given, or none."""
    real = str(Path(sys.executable).with_name("kubectl"))
    rendered = {str(overlay): _rendered(overlay, real) for overlay in OVERLAYS}
    (folder / "scenario.json").write_text(json.dumps(scenario))
    program = folder / "kubectl"
    program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder), real=real, rendered=rendered))
    program.chmod(0o755)
    return FakeKubectl(folder)
