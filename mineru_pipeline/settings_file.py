"""Reads the settings file: plain YAML, bounded, with errors that name file and line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mineru_pipeline.errors import SettingsError

#: Far beyond any honest settings file.
MAX_BYTES = 1_000_000


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, with which a few lines can stand for billions or for themselves."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(problem="aliases are not allowed")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the file; empty for an empty file.

    Raises:
        SettingsError: the file cannot be read, is not plain YAML, or is no mapping.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"settings file {path} is larger than {MAX_BYTES} bytes")
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # noqa: S506  a safe loader's child
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from error
    except RecursionError:
        raise SettingsError(f"settings file {path} is nested too deeply") from None
    except yaml.YAMLError as error:
        # Only place and problem: YAML's own message quotes the line, which may hold a secret.
        where = f" in line {mark.line + 1}" if (mark := getattr(error, "problem_mark", None)) else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise SettingsError(f"settings file {path} is not valid YAML{where}: {problem}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"settings file {path} must hold a mapping of sections, not a {type(content).__name__}")
    return content


def flatten(tree: Mapping[str, Any], prefix: str = "", *, whole: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A tree of sections as dotted names and values; an empty section is as good as none.

    What ``whole`` names is a value although it is a mapping.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and name not in whole:
            flat.update(flatten(value, f"{name}.", whole=whole))
        elif value is not None or "." in name:
            flat[name] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`flatten`.

    Raises:
        SettingsError: a name is a section and a value at once.
    """
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *sections, leaf = dotted.split(".")
        node = tree
        for section in sections:
            child = node.setdefault(section, {})
            if not isinstance(child, dict):
                raise SettingsError(f"{section} must be a section with keys, not a single value")
            node = child
        node[leaf] = value
    return tree
