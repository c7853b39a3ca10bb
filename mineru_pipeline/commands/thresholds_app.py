"""The subcommands of ``mineru-pipeline thresholds``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from mineru_pipeline.commands.terminal import ConfigOption, JsonOption, complaining, load_settings, new_console
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.settings_storage import store_overrides

app = typer.Typer(help="Calibrate the bands of quality, and prove that they hold.", no_args_is_help=True)

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="DIR", help="Where the parse is: a folder, or s3://… (default: storage)."),
]


@app.command("validate")
def validate(as_json: JsonOption = False) -> None:
    """Prove that known cases still have the bands that people expect, and that the bands are no more often wrong.

    Exit code: 0 they hold; 1 they have drifted; 2 the extra "quality" is not installed, or a file is damaged.
    """
    console = new_console(stderr=as_json)
    with complaining(console):
        code = _quality_command().validate(console, as_json=as_json)
    raise typer.Exit(code)


@app.command("calibrate")
def calibrate(
    store: StoreOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where the files of the calibration go.")
    ] = Path("mineru_pipeline/quality/thresholds"),
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Find the cuts anew on a parse of the baseline corpus, which ``python -m mineru_pipeline.quality.corpus`` writes.

    Exit code: 0 the files are written; 2 usage, settings, or the corpus was not parsed with these settings.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(store) if store else {})
    with complaining(console):
        from resources.documents import open_store  # Dagster takes a second to import

        opened = open_store(loaded.settings)
        code = _quality_command().calibrate(loaded.settings, opened, out, console, as_json=as_json)
    raise typer.Exit(code)


@app.command("measure")
def measure(
    seed: Annotated[str, typer.Option("--seed", metavar="NAME", help="baseline or held-back.")] = "baseline",
    store: StoreOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Tell how many documents of a parsed corpus have another band than their scores: by stratum, never by document."""
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(store) if store else {})
    with complaining(console):
        from resources.documents import open_store  # Dagster takes a second to import

        code = _quality_command().measure(loaded.settings, open_store(loaded.settings), seed, console, as_json=as_json)
    raise typer.Exit(code)


def _quality_command() -> ModuleType:
    """The module behind ``thresholds``, which needs the extra and takes Dagster's second to import."""
    try:
        return import_module("mineru_pipeline.commands.thresholds")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mineru_pipeline"):
            raise
        raise GateInputError(f"{error.name} is missing: pip install 'mineru-pipeline[quality]'") from error
