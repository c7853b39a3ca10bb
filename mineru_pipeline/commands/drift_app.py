"""``mineru-pipeline drift``: what the detector of drift has seen, and beginning anew after a warning."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape

from mineru_pipeline.commands.terminal import ConfigOption, JsonOption, complaining, load_settings, new_console
from mineru_pipeline.commands.text import printable
from mineru_pipeline.errors import GateInputError

app = typer.Typer(help="Look at the detector of drift on live documents, or begin it anew.", no_args_is_help=True)


@app.command("show")
def show(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Tell what the detector has seen under the present parser revision. Changes nothing.

    Exit code: 0 no drift; 1 there is a warning; 2 settings, or a store that cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.quality.drifting import look  # Dagster, for the resources, takes a second to import
    from mineru_pipeline.quality.gates.drift import Detector
    from resources.documents import open_store
    from resources.parsing import revisions_of

    with complaining(console):
        revision, detector = revisions_of(loaded.settings).parser, Detector()
        found = look(open_store(loaded.settings), revision, detector)
    state, alarm = found.memory.state, found.memory.state.alarm
    latest = found.memory.points[-1] if found.memory.points else None
    report = {
        "revision": revision,
        "documents": state.seen,
        "batches_waiting": found.waiting,
        "evidence": round(latest.evidence, 4) if latest else 0.0,
        "leading": latest.leading if latest else "",
        "warning_at": detector.every,
        "warning": None if alarm is None else {"at": alarm.seen, "document": alarm.document, "leading": alarm.leading},
        "begun": found.memory.begun,
    }
    if as_json:
        print(json.dumps(report))  # noqa: T201  # the product of --json
    else:
        for name, value in report.items():
            console.print(f"{name:<16} {escape(printable(str('' if value is None else value)))}", soft_wrap=True)
    raise typer.Exit(0 if alarm is None else 1)


@app.command("begin")
def begin(
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the record.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Begin the detector anew, after a warning was dealt with: it learns again from the next 500 documents.

    Exit code: 0 it is begun; 2 usage, settings, or a store that cannot be used.
    """
    console = new_console(stderr=as_json)
    loaded = load_settings(console, config)
    from mineru_pipeline.quality.drifting import begin_anew  # as above
    from mineru_pipeline.quality.gates.drift import Detector
    from resources.documents import open_store
    from resources.parsing import revisions_of

    with complaining(console):
        if not why.strip():
            raise GateInputError("Whoever begins the detector anew says why: --why '…'")
        revision = revisions_of(loaded.settings).parser
        begin_anew(open_store(loaded.settings), revision, Detector(), why)
    console.print(f"The detector of revision {revision} begins anew with the next document.", soft_wrap=True)
    if as_json:
        print(json.dumps({"revision": revision, "why": why}))  # noqa: T201  # as above
