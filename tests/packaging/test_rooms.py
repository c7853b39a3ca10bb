"""How the code is cut: what the import rules cover, and how large a module may be."""

from __future__ import annotations

import tomllib

from mineru_pipeline.settings import project_root

ROOT = project_root()
#: Where Dagster may be imported; that these do so is a claim of tests/docs/test_pages.py.
WITH_DAGSTER = {"definitions", "executor", "launch", "pools", "runs"}
FOLDERS = ("assets", "bench", "deploy", "docs", "mineru_pipeline", "resources", "samples", "sensors", "tests")
MOST_LINES = 400


def test_the_rule_on_dagster_covers_every_room() -> None:
    """A room or module that is added is named in the contract, or may import Dagster: none is forgotten."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = (each for each in contracts if each["name"] == "Only the composition root imports Dagster")
    named = {name.removeprefix("mineru_pipeline.") for name in rule["source_modules"]}
    package = ROOT / "mineru_pipeline"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    assert named == (rooms | modules) - WITH_DAGSTER


def test_no_module_is_longer_than_anybody_reads_at_once() -> None:
    """At most 400 lines, tests and scripts included: what grows beyond that is cut by its themes."""
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 500
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in modules}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
