"""Writes the pages that follow from the code, settings and commands: ``python docs/make_reference.py [--check]``."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer import Context
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mineru_pipeline import settings
from mineru_pipeline.cli import app

FOLDER = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/make_reference.py: change the code, run it, and commit both. -->\n"
_WORDS = {int: "integer", float: "number", bool: "boolean", str: "text", Path: "path", SecretStr: "text, secret"}

_SETTINGS_HEAD = """# Configuration

Every setting there is. Strongest first, a value comes from

1. the environment: the variable below;
2. the YAML file that `--config` or `MINERU_PIPELINE_CONFIG` names, or else `mineru_pipeline.yaml` in the working
   directory;
3. the default.

Options of a command, such as `run --out`, win over all of them. A key or a variable that names no setting is an error.
In a variable a list is written with commas or as JSON, a mapping as JSON, and an empty value or `null` means *unset*
where that is allowed. Secrets are shown by no command, log or error; give them in the environment.
`mineru-pipeline config` prints what is in effect and where each value came from, `mineru-pipeline doctor` whether it
works.

```yaml
# mineru_pipeline.yaml
vllm_server:
  base_url: http://gpu-host:8000
workers:
  count: 4
```

The same in the environment: `MINERU_PIPELINE__VLLM_SERVER__BASE_URL=http://gpu-host:8000` and
`MINERU_PIPELINE__WORKERS__COUNT=4`.

Settings of Dagster itself (how many runs at once, the pool, storage) are in `dagster.yaml` of the Dagster home.
"""

_COMMANDS_HEAD = """# Commands

What `--help` says of each command. Exit codes are part of the texts. A command that has `--json` writes one object as
the last line of its standard output, and everything for people to standard error.
"""


def configuration() -> str:
    """Return the page of settings."""
    parts = [_SETTINGS_HEAD.replace("\n", f"\n\n{_NOTE}", 1)]
    for path, section in _sections(settings.Settings):
        title = f"`{path}`" if path else "At the top"
        words = "" if not path else f"\n{_first_line(section)}\n"
        parts.append(
            f"\n## {title}\n{words}\n| setting, variable | type | default | what it does |\n|---|---|---|---|\n"
        )
        for name, info in section.model_fields.items():
            if not _is_section(info.annotation):
                parts.append(_setting_row(f"{path}.{name}" if path else name, info))
    return "".join(parts)


def _sections(model: Any, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every group of settings with its dotted name, the whole tree first."""
    yield path, model
    for name, info in model.model_fields.items():
        if _is_section(info.annotation):
            yield from _sections(info.annotation, f"{path}.{name}" if path else name)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _setting_row(name: str, info: FieldInfo) -> str:
    variable = settings.ENV_PREFIX + name.replace(".", "__").upper()
    cells = (
        f"`{name}` <br>`{variable}`",
        type_words(info.annotation, info.metadata),
        _default_words(name, info),
        info.description or "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _default_words(name: str, info: FieldInfo) -> str:
    if name == "data_dir":
        # The default is a path of the machine; what it is made of is the same everywhere.
        return "`data` beside `workspace.yaml`, or else in the working directory"
    value = info.get_default(call_default_factory=True)
    return "unset" if value is None else f"`{json.dumps(value, default=str)}`"


def type_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return what may be written, for people: kind and bounds."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(members[0], members[1:])
    if origin in {Union, UnionType}:
        return " or ".join(type_words(each, metadata) for each in members if each is not type(None))
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in members)
    if origin is tuple:
        return f"list of {type_words(members[0])}"
    if origin is dict:
        return "mapping of text to secret text"
    return _WORDS[annotation] + _bounds(
        [each for one in metadata for each in (getattr(one, "metadata", None) or [one])]
    )


def _bounds(metadata: Sequence[Any]) -> str:
    found = {name: getattr(each, name) for each in metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)}
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    words = [f"{sign} {found[name]}" for name, sign in signs if name in found]
    return f", {' and '.join(words)}" if words else ""


def commands() -> str:
    """Return the page of commands."""
    root = typer.main.get_command(app)
    parts = [_COMMANDS_HEAD.replace("\n", f"\n\n{_NOTE}", 1)]
    for names, command in _commands(root, ("mineru-pipeline",)):
        parts.append(_command_text(names, command))
    return "".join(parts)


def _commands(command: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    if not isinstance(command, TyperGroup):
        yield names, command
        return
    if len(names) > 1:
        yield names, command
    for name, child in command.commands.items():
        yield from _commands(child, (*names, name))


def _command_text(names: tuple[str, ...], command: TyperCommand | TyperGroup) -> str:
    help_text = inspect.cleandoc(command.help or "")
    if isinstance(command, TyperGroup):
        return f"\n## {' '.join(names)}\n\n{help_text}\n"
    context = Context(command, info_name=" ".join(names))
    usage = " ".join([*names, *command.collect_usage_pieces(context)])
    level = "##" if len(names) == len(("mineru-pipeline", "command")) else "###"
    parts = [f"\n{level} {' '.join(names)}\n\n```\n{usage}\n```\n\n{help_text}\n"]
    rows = [row for parameter in command.params if (row := _parameter_row(parameter, context))]
    if rows:
        parts.append("\n| argument or option | what it does |\n|---|---|\n" + "".join(rows))
    return "".join(parts)


def _parameter_row(parameter: object, context: Context) -> str:
    if isinstance(parameter, TyperArgument):
        shown: tuple[str, str] = (parameter.metavar or (parameter.name or "").upper(), parameter.help or "")
    elif isinstance(parameter, TyperOption) and (record := parameter.get_help_record(context)):
        shown = record
    else:
        return ""
    name, words = (part.replace("|", "\\|") for part in shown)
    return f"| `{name}` | {words} |\n"


def _first_line(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").split("\n", 1)[0]


PAGES: Mapping[str, Callable[[], str]] = {"configuration.md": configuration, "commands.md": commands}


def differing(folder: Path) -> list[str]:
    """Return the pages in ``folder`` that are missing or not what the code gives now."""
    return [
        name for name, make in PAGES.items() if not (folder / name).is_file() or (folder / name).read_text() != make()
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or with ``--check`` compare them; return 1 when one differs."""
    parser = argparse.ArgumentParser(description="Writes the reference of settings and commands.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which pages differ")
    options = parser.parse_args(arguments)
    if not options.check:
        for name, make in PAGES.items():
            (FOLDER / name).write_text(make())
        return 0
    names = differing(FOLDER)
    for name in names:
        print(f"docs/{name} differs from the code; run docs/make_reference.py and commit the result")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
