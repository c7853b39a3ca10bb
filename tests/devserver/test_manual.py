"""The manual of the simulated server says what is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from mineru_pipeline.cli import app
from mineru_pipeline.devserver.faults import rules

MANUAL = (Path(__file__).parents[2] / "docs" / "simulated-server.md").read_text()
COMMANDS = re.findall(r"^mineru-pipeline devserver (.*)$", MANUAL, re.MULTILINE)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_the_commands_are_accepted(arguments: str) -> None:
    """Every command line of the manual is one that the program takes."""
    devserver = get_command(app).commands["devserver"]  # type: ignore[attr-defined]
    context = devserver.make_context("devserver", shlex.split(arguments))
    assert context.params["simulate"] is True


def test_the_options_of_the_table_exist() -> None:
    """The table of options names none that the program does not have."""
    devserver = get_command(app).commands["devserver"]  # type: ignore[attr-defined]
    known = {name for parameter in devserver.params for name in parameter.opts}
    assert set(re.findall(r"^\| `(--[a-z-]+)", MANUAL, re.MULTILINE)) <= known


def test_the_example_is_a_plan() -> None:
    """The YAML in the manual is a plan as it stands."""
    (example,) = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    assert len(rules.parse(example, "the manual").rules) == 4


def test_every_condition_and_parameter_is_explained() -> None:
    """The tables name each condition of a match and each parameter of a fault."""
    for name in (*rules.Match.model_fields, *rules.FaultRule.model_fields):
        assert re.search(rf"`{name}[`:]", MANUAL) or name == "fault", name


def test_the_defaults_are_those_of_the_table() -> None:
    """The default that the manual gives in brackets is the one that a rule has."""
    for fault, parameter, shown in re.findall(r"^\| `([a-z0-9-]+)` .*\| `(\w+)` \(`?([\w.]+)", MANUAL, re.MULTILINE):
        value = rules.FaultRule(fault=fault).parameters()[parameter]
        assert str(value) in (shown, f"{shown}.0") or (value is None and shown == "null"), fault
