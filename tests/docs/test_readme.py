"""The README and the documents say what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mineru_pipeline import settings
from mineru_pipeline.cli import app

ROOT = settings.project_root()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that exists."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    """Every subcommand and every make target that is mentioned exists."""
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name or "" for group in app.registered_groups}
    makefile = (ROOT / "Makefile").read_text()
    text = document.read_text()
    for name in re.findall(r"(?:`|\.venv/bin/|^)mineru-pipeline ([a-z]+)", text, re.MULTILINE):
        assert name in known, f"{document.name} mentions mineru-pipeline {name}"
    for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document.name} mentions make {target}"


def test_the_settings_example_is_valid(tmp_path: Path) -> None:
    """The YAML in the README, taken together, loads as it stands."""
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    together: dict[str, object] = {}
    for example in examples:
        together |= yaml.safe_load(example)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(together))
    loaded = settings.load(tmp_path / "s.yaml", environ={}).settings
    assert loaded.vllm_server.endpoints == ("http://gpu-host:8000",)
    assert loaded.store_address == "s3://documents/mineru"
    assert loaded.intake.watch == ("papers/in/",)
    assert loaded.minio.endpoint == "http://minio-host:9000"


def test_config_prints_every_setting(tmp_path: Path) -> None:
    """``mineru-pipeline config`` shows each leaf, where it came from, and no secret."""
    (tmp_path / "s.yaml").write_text("vllm_server: {api_key: hunter2}\n")
    done = CliRunner().invoke(app, ["config", "--config", str(tmp_path / "s.yaml")])
    assert done.exit_code == 0
    for name, _ in settings.leaves():
        assert name in done.output
    assert "********" in done.output
    assert "hunter2" not in done.output


def test_the_changelog_has_text_under_every_heading() -> None:
    """A version without a word about it would be worse than none."""
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    assert sections
    assert all(len(section.split("\n", 1)[1].strip()) > 40 for section in sections)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_is_left_to_fill_in(document: Path) -> None:
    """No placeholder waits for its text."""
    assert "@@" not in document.read_text()
    assert "TODO" not in document.read_text()
