"""No setting is dead: for each there is a test in which changing it changes what happens."""

from __future__ import annotations

import ast
from pathlib import Path

import settings_bench

from mineru_pipeline import settings


def named(mark: ast.Call) -> set[str]:
    """The settings that a mark names, one by one or as a table of the bench."""
    stars = [arg.value.id for arg in mark.args if isinstance(arg, ast.Starred) and isinstance(arg.value, ast.Name)]
    listed = {arg.value for arg in mark.args if isinstance(arg, ast.Constant)}
    return listed.union(*(getattr(settings_bench, table) for table in stars))


def test_every_setting_has_such_a_test() -> None:
    """Whoever adds a setting adds a test that changes it, to the files beside this one."""
    marked: set[str] = set()
    for file in Path(__file__).parent.glob("test_settings_of_*.py"):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "setting":
                marked |= named(call)
    assert marked == {name for name, _ in settings.leaves()}
