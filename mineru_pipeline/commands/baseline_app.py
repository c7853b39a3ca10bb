"""The subcommands of ``mineru-pipeline baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mineru_pipeline.commands.terminal import ConfigOption, JsonOption, complaining, load_settings, new_console
from mineru_pipeline.errors import InferenceError, ModelServerError, RunInterruptedError, StoreError
from mineru_pipeline.settings_storage import store_overrides

app = typer.Typer(
    help="Measure the corpus, and compare what comes out with what has been accepted.", no_args_is_help=True
)

OutOption = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="The object store: a folder, or s3://bucket/prefix (default: storage)."),
]
MeasurementOption = Annotated[
    str | None,
    typer.Option(
        "--measurement", metavar="NAME", help="As listed, or its beginning (default: newest of the present settings)."
    ),
]
SeedOption = Annotated[str, typer.Option("--seed", metavar="NAME", help="Which corpus: baseline or held-back.")]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", metavar="NAME", help="As listed (default: the current one).")
]


@app.command("list")
def list_(as_json: JsonOption = False, out: OutOption = None, config: ConfigOption = None) -> None:
    """List accepted baselines, who accepted them and why, and the measurements that could be accepted.

    Exit code: 0; 2 settings, or a store that cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    with complaining(console):
        from mineru_pipeline.commands import baseline as commands  # Dagster takes a second to import

        code = commands.show(loaded.settings, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command("measure")
def measure(
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="Only the first N documents of each stratum.")
    ] = None,
    seed: SeedOption = "baseline",
    anew: Annotated[
        bool, typer.Option("--anew", help="Go on with nothing: what the model has answered so far is asked again.")
    ] = False,
    as_json: JsonOption = False,
    out: OutOption = None,
    config: ConfigOption = None,
) -> None:
    """Parse the corpus with the settings in effect and score what comes out; the model is asked anew each time.

    What was begun within the last day and not finished is gone on with, unless --anew. Exit code: 0 all documents were
    parsed; 1 some were not; 2 usage, settings, or the extra "quality" is missing; 3 stopped before the end (model
    server or store gone, time limit): the same command goes on from there; 130 interrupted, the same.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    with complaining(console, unavailable=(StoreError, InferenceError, ModelServerError, RunInterruptedError)):
        from mineru_pipeline.commands import baseline as commands  # Dagster takes a second to import
        from mineru_pipeline.quality.measurements import Selection

        selection = Selection(seed, sample)
        code = commands.measure(loaded.settings, selection, anew=anew, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command("compare")
def compare(
    measurement: MeasurementOption = None,
    baseline: BaselineOption = None,
    seed: SeedOption = "baseline",
    as_json: JsonOption = False,
    out: OutOption = None,
    config: ConfigOption = None,
) -> None:
    """Compare a measurement with the current baseline; nothing is parsed.

    Exit code: 0 accept; 1 reject; 2 usage, settings, no measurement or no baseline; 3 the store cannot be read;
    4 inconclusive.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    with complaining(console, unavailable=(StoreError,)):
        from mineru_pipeline.commands import baseline as commands  # Dagster takes a second to import

        chosen = commands.Choice(measurement, baseline, seed)
        code = commands.compare(loaded.settings, chosen, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command("accept")
def accept(
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the record.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who accepts it (default: your login name).")
    ] = None,
    despite: Annotated[
        str, typer.Option("--despite", metavar="REASON", help="Accept it although it is rejected, or in doubt.")
    ] = "",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name of the baseline (default: day and revision).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", dir_okay=False, help="Write the record there, too.")
    ] = None,
    measurement: MeasurementOption = None,
    seed: SeedOption = "baseline",
    as_json: JsonOption = False,
    out: OutOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a measurement of all documents the current baseline, with a record of who, when and why.

    Exit code: 0 accepted; without --despite, 1 where it is rejected against the present baseline and 4 where that is
    inconclusive; 2 usage, settings, or no measurement; 3 the store cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    with complaining(console, unavailable=(StoreError,)):
        from mineru_pipeline.commands import baseline as commands  # Dagster takes a second to import

        chosen = commands.Choice(measurement, None, seed)
        words = commands.Words(why, by, despite, name, file)
        code = commands.accept(loaded.settings, chosen, words, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command("report")
def report(
    measurement: MeasurementOption = None,
    baseline: BaselineOption = None,
    seed: SeedOption = "baseline",
    copy: Annotated[
        Path | None, typer.Option("--copy", metavar="DIR", help="Put a copy of it into this folder, too.")
    ] = None,
    as_json: JsonOption = False,
    out: OutOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the report of a measurement into the store, and say where; nothing is parsed.

    Exit code: 0 it is there; 2 usage, settings, no measurement, or a folder that cannot be written; 3 the store cannot
    be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    with complaining(console, unavailable=(StoreError,)):
        from mineru_pipeline.commands import baseline as commands  # Dagster takes a second to import

        chosen = commands.Choice(measurement, baseline, seed)
        code = commands.report(loaded.settings, chosen, copy, as_json=as_json, console=console)
    raise typer.Exit(code)
