"""What every subcommand shares: its options, the console, the settings, and how it complains."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from mineru_pipeline import settings as pipeline_settings
from mineru_pipeline.commands.text import printable
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.settings import LoadedSettings

EXIT_USAGE = 2
#: Nothing is wrong with what was asked for; the same command can succeed later.
EXIT_UNAVAILABLE = 3
_LOG_WIDTH = 120

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (default: mineru_pipeline.yaml here, if any)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, last, on standard output.")]


def new_console(*, stderr: bool = False) -> Console:
    """Where there is no terminal to measure, lines are as wide as a table needs them."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_LOG_WIDTH)


def load_settings(console: Console, file: Path | None, overrides: dict[str, str] | None = None) -> LoadedSettings:
    """Return the settings, or say what is wrong with them."""
    with complaining(console):
        return pipeline_settings.load(file, overrides=overrides)


@contextmanager
def complaining(console: Console, unavailable: tuple[type[PipelineError], ...] = ()) -> Iterator[None]:
    """Say what is wrong instead of a traceback, and exit as for usage and settings, or as ``unavailable``."""
    try:
        yield
    except PipelineError as error:
        text = "\n".join(printable(line) for line in str(error).split("\n"))
        console.print(f"[red]error:[/] {escape(text)}", soft_wrap=True)
        raise typer.Exit(EXIT_UNAVAILABLE if isinstance(error, unavailable) else EXIT_USAGE) from error


def somebody() -> str:
    """Who uses the command; a container may have a user without a name."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
