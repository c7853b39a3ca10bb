"""The subcommand ``exporter``."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from mineru_pipeline.commands.terminal import ConfigOption, complaining, load_settings, new_console


def exporter(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics; 0 takes a free one.")] = 9465,
    host: Annotated[str, typer.Option(help="Address it listens on; in a pod 0.0.0.0.")] = "127.0.0.1",
    interval: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds between two looks.")] = 60.0,
    config: ConfigOption = None,
) -> None:
    """Show Prometheus how the whole pipeline does, between runs as well; reads store and instance, changes nothing.

    Exit code: 0 it was told to stop; 1 the port cannot be had; 2 usage or settings.
    """
    console = new_console()
    loaded = load_settings(console, config)
    from mineru_pipeline.commands.exporter import serve  # Dagster takes a second to import

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with complaining(console):
        code = serve(loaded.settings, host=host, port=port, interval=interval, console=console, ended=ended)
    raise typer.Exit(code)
