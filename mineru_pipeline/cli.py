"""The command ``mineru-pipeline``."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mineru_pipeline import settings as pipeline_settings
from mineru_pipeline.commands import baseline_app, drift_app, thresholds_app
from mineru_pipeline.commands.exporter_app import exporter
from mineru_pipeline.commands.terminal import ConfigOption, JsonOption, complaining, load_settings, new_console
from mineru_pipeline.devserver.__main__ import main as devserver_main
from mineru_pipeline.errors import MessagingError, StoreError
from mineru_pipeline.settings_storage import store_overrides

app = typer.Typer(
    help="Turn PDFs into checked, structured text.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="PDF files, or folders to search for them.")],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="DIR", help="The object store: a folder, or s3://bucket/prefix (default: storage)."
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Parse PDFs as a Dagster run and report what became of each.

    Exit code: 0 every document ended and none failed; 1 some failed; 2 usage or settings;
    3 stopped before the end, resumable; 130 interrupted, resumable.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, store_overrides(out) if out else {})
    from mineru_pipeline.commands.run import run as run_command  # Dagster takes a second to import

    with complaining(console):
        code = run_command(paths, loaded, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command()
def submit(
    uris: Annotated[list[str], typer.Argument(metavar="URI…", help="Addresses such as s3://bucket/key.")],
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="T", help="Whose documents they are (default: tenant).")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Announce documents on Kafka, for the sensor to take in; says so once the broker has acknowledged them.

    Exit code: 0 all were announced; 2 usage, settings, or an address that is not accepted: nothing was sent;
    3 Kafka is not set, or not all was acknowledged: submit the same again, nothing is parsed twice.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands.submit import submit as submit_command  # Dagster takes a second to import

    with complaining(console, unavailable=(MessagingError,)):
        submit_command(uris, tenant, loaded.settings, as_json=as_json, console=console)


@app.command()
def status(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[BATCH|URI|SHA256]", help="A batch, an address or file, or 8 digits of a SHA-256."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Tell where a document is and what happened to it; without argument, how everything stands. Changes nothing.

    Exit code: 0 something is known; 1 no batch names the document, or something is damaged, which is named beside the
    rest; 2 usage, settings, or store or instance unusable.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands.status import status as status_command  # Dagster takes a second to import

    with complaining(console):
        code = status_command(what, loaded.settings, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command()
def reconcile(
    buckets: Annotated[
        list[str] | None,
        typer.Option("--bucket", metavar="B", help="Only this bucket of intake.buckets; may be repeated."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="P", help="Only keys that start with this; with one --bucket.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="T", help="Whose the missing documents are (default: tenant).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only: request nothing, write nothing.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare what the buckets hold with what the tables say, and request what is missing.

    Exit code: 0 nothing is missing, or all of it was requested; 1 something is missing and was not requested, as in a
    dry run; 2 usage, settings or Dagster instance; 3 the store, a bucket or a batch could not be read.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, {"tenant": tenant} if tenant is not None else {})
    from mineru_pipeline.commands import reconcile as command  # Dagster takes a second to import

    choice = command.Choice(buckets or [], prefix, certain=tenant is not None)
    with complaining(console, unavailable=(StoreError,)):
        code = command.reconcile(choice, loaded.settings, dry_run=dry_run, as_json=as_json, console=console)
    raise typer.Exit(code)


quarantine = typer.Typer(help="Look at the documents that failed, try them again, or drop them.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")

IdentityArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[IDENTITY…]", help="The first 8 or more digits, as listed, or of a SHA-256."),
]
AllOption = Annotated[bool, typer.Option("--all", help="All that are in the quarantine.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="R", help="All that failed for this reason.")]


@quarantine.command("list")
def quarantine_list(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the documents that failed: why, since when, from where, and how often.

    Exit code: 0 all notes were read; 1 some are damaged, and named; 2 settings, or a store that cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands import quarantine as commands  # Dagster takes a second to import

    with complaining(console):
        code = commands.show(loaded.settings, as_json=as_json, console=console)
    raise typer.Exit(code)


@quarantine.command("retry")
def quarantine_retry(
    identities: IdentityArgument = None,
    every: AllOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Parse documents of the quarantine again, as a batch of their own, here and now as ``run`` does.

    Exit codes are those of ``run``; 1 also where a document is in no batch any more. Of a damaged note the document is
    looked for in the tables.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands import quarantine as commands  # Dagster takes a second to import

    with complaining(console):
        code = commands.retry(
            commands.Choice(identities or [], every, reason), loaded, as_json=as_json, console=console
        )
    raise typer.Exit(code)


@quarantine.command("drop")
def quarantine_drop(
    identities: IdentityArgument = None,
    every: AllOption = False,
    reason: ReasonOption = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the record.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take documents out of the quarantine without trying them again; who, when and why is kept in the store.

    Exit code: 0 they are dropped; 1 the answer was no; 2 usage, settings, or a store that cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands import quarantine as commands  # Dagster takes a second to import

    with complaining(console):
        code = commands.drop(
            commands.Choice(identities or [], every, reason),
            loaded.settings,
            why=why,
            confirm=lambda question: yes or typer.confirm(question, err=as_json),
            as_json=as_json,
            console=console,
        )
    raise typer.Exit(code)


batches = typer.Typer(help="Look at the batches whose run failed, and have them started again.", no_args_is_help=True)
app.add_typer(batches, name="batches")


@batches.command("list")
def batches_list(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the batches that are not done and whose latest run failed: how often, and what comes next."""
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands import batches as commands  # Dagster takes a second to import

    with complaining(console):
        code = commands.show(loaded.settings, as_json=as_json, console=console)
    raise typer.Exit(code)


@batches.command("restart")
def batches_restart(
    names: Annotated[list[str] | None, typer.Argument(metavar="[BATCH…]", help="Batches, as listed.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All whose retries are spent.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Have batches started again by the daemon, with all their attempts: failed, cancelled or the command's.

    Exit code: 0 all of them; 1 some are left out, and named; 2 usage, settings, or store or instance unusable.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.commands import batches as commands  # Dagster takes a second to import

    with complaining(console):
        code = commands.restart(commands.Choice(names or [], every), loaded.settings, as_json=as_json, console=console)
    raise typer.Exit(code)


@app.command()
def config(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Print every setting in effect, and where each value came from; secrets are masked."""
    console = new_console()
    rows = pipeline_settings.describe(load_settings(console, config))
    if as_json:
        console.print_json(data={name: {"value": value, "origin": origin} for name, value, origin in rows})
        return
    table = Table(header_style="bold", box=None)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for name, value, origin in rows:
        table.add_row(name, "" if value is None else escape(str(value)), escape(origin))
    console.print(table)


@app.command()
def doctor(
    webserver: Annotated[
        str | None, typer.Option(metavar="URL", help="Dagster's webserver; if given, it is asked, too.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Leave a check out; may be repeated.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Check store, disk, model server, broker, and Dagster with its database and daemon: one line each.

    Exit code: 0 all is well; 1 something is not; 2 usage or settings.
    """
    console = new_console()
    loaded = load_settings(console, config)
    from mineru_pipeline.commands.doctor import examine  # Dagster takes a second to import

    with complaining(console):
        findings = examine(loaded.settings, webserver=webserver, skip=skip or ())
    if as_json:
        console.print_json(data={f.name: {"ok": f.ok, "message": f.message} for f in findings})
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
            console.print(f"{mark} {finding.name:<14} {escape(finding.message)}", soft_wrap=True)
    raise typer.Exit(0 if all(f.ok for f in findings) else 1)


@app.command()
def dev(config: ConfigOption = None) -> None:
    """Open the Dagster UI, with its daemon, on the instance that ``run`` uses."""
    console = new_console()
    loaded = load_settings(console, config)
    from mineru_pipeline import launch  # Dagster takes a second to import

    launch.open_instance(loaded.settings).dispose()
    command, environment = launch.dev_server_command(loaded)
    console.print(
        f"Dagster UI: http://{loaded.settings.dagster.webserver_host}:{loaded.settings.dagster.webserver_port}"
    )
    # A shell that starts it in the background has it ignore Ctrl-C's signal, by which Dagster ends its own processes:
    # all of them would outlive a SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(command[0], command, environment)  # noqa: S606  # our own interpreter's dagster, no shell


@app.command()
def loadtest(
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The model server (default: vllm_server.base_url).")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="Requests to send in all.")] = 200,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests at once (default: as many as the limiter finds right).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name as served (default: vllm_server.model).")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="File with the server's key.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send page images to a model server and report latency, throughput and errors by kind.

    Exit code: 0 every request was answered; 1 some failed in the end; 2 usage, settings, or a server of no use.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, _server_overrides(base_url, model, api_key_file))
    from mineru_pipeline.commands.loadtest import run as run_loadtest  # Dagster takes a second to import

    with complaining(console):
        code = run_loadtest(
            loaded.settings, requests=requests, concurrency=concurrency, as_json=as_json, console=console
        )
    raise typer.Exit(code)


@app.command()
def smoke(
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The model server (default: vllm_server.base_url, each of them).")
    ] = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Time that the page may take.")] = 120,
    model: Annotated[str | None, typer.Option(help="Model name as served (default: vllm_server.model).")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="File with the server's key.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send one known page through a model server, as a worker does, and judge layout, words and time.

    Exit code: 0 the page came back as it should; 1 it did not; 2 usage or settings;
    3 a server does not answer or is of no use.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config, _server_overrides(base_url, model, api_key_file))
    from mineru_pipeline.commands.smoke import run as run_smoke  # MinerU's client takes a second to import

    with complaining(console):
        code = run_smoke(loaded.settings, max_seconds=max_seconds, as_json=as_json, console=console)
    raise typer.Exit(code)


def _server_overrides(base_url: str | None, model: str | None, api_key_file: Path | None) -> dict[str, str]:
    given = {
        "vllm_server.base_url": base_url,
        "vllm_server.model": model,
        "vllm_server.api_key": api_key_file.read_text().strip() if api_key_file else None,
    }
    return {name: value for name, value in given.items() if value is not None}


app.command()(exporter)
app.command("devserver")(devserver_main)
app.add_typer(thresholds_app.app, name="thresholds")
app.add_typer(drift_app.app, name="drift")
app.add_typer(baseline_app.app, name="baseline")


if __name__ == "__main__":
    app()
