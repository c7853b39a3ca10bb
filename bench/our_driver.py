"""Our engine, kept warm: parses what each line of standard input asks for and answers with one line of JSON.

A line holds ``{"files": [path, …], "out": folder, "in_flight": number or null}``; with a number, that
many requests are in flight instead of as many as the limiter finds right. The answer holds ``seconds``,
``pages`` and ``documents``: for each file, in order, its ``state``, a ``message``, and the paths of its
``markdown`` and ``content_list``. Meanwhile the file ``<out>.states.json`` holds the number of documents
that have ended so far, by state. The peer's driver speaks the same, so that a benchmark treats both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mineru_pipeline.documents.probe import probe, probing_config
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.documents.source import sha256_hex
from mineru_pipeline.inference.limiter import FixedLimiter
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing.commit import CONTENT_LIST, MARKDOWN
from mineru_pipeline.parsing.engine import DocumentInput
from mineru_pipeline.parsing.outcome import DocumentOutcome
from mineru_pipeline.parsing.progress import ProgressEvent
from mineru_pipeline.parsing.render import sandbox_config
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import FilesystemStore
from resources import parsing


async def parse(
    settings: Settings, prober: Sandbox, sandbox: Sandbox, files: Sequence[Path], out: Path, in_flight: int | None
) -> dict[str, Any]:
    """Probe and parse ``files`` into a store at ``out``, with at most ``in_flight`` requests if that is given."""
    started = time.monotonic()
    limiter = FixedLimiter(in_flight) if in_flight else None
    engine = parsing.build_engine(
        settings, FilesystemStore(out), sandbox, _States(out), ClientMetrics(), limiter=limiter
    )
    documents = [await _document(settings, prober, path) for path in files]
    # The engine takes every content once; files with the same bytes share its outcome.
    distinct = {document.sha256: document for document in documents}
    outcomes = {outcome.sha256: outcome for outcome in await engine.parse(list(distinct.values()))}
    return {
        "seconds": time.monotonic() - started,
        "pages": sum(outcome.pages for outcome in outcomes.values()),
        "documents": [_described(outcomes[document.sha256], out) for document in documents],
    }


class _States:
    """Keeps the file of states up to date."""

    def __init__(self, out: Path) -> None:
        self._path = out.with_name(f"{out.name}.states.json")
        self._written: Mapping[str, int] = {}

    def __call__(self, event: ProgressEvent) -> None:
        """Write the states if a document has ended."""
        if event.states != self._written:
            self._written = event.states
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(event.states))
            part.replace(self._path)


async def _document(settings: Settings, sandbox: Sandbox, path: Path) -> DocumentInput:
    data = await asyncio.to_thread(path.read_bytes)
    info = await probe(sandbox, data, limits=parsing.limits_of(settings))
    return DocumentInput(path.as_uri(), sha256_hex(data), info.page_count, path.read_bytes)


def _described(outcome: DocumentOutcome, out: Path) -> dict[str, str]:
    if not outcome.outputs:
        return {"state": outcome.state, "message": outcome.message, "markdown": "", "content_list": ""}
    folder = out / outcome.outputs
    return {
        "state": outcome.state,
        "message": outcome.message,
        "markdown": str(folder / MARKDOWN),
        "content_list": str(folder / CONTENT_LIST),
    }


async def serve(settings: Settings) -> None:
    """Answer lines until standard input ends."""
    limits = parsing.limits_of(settings)
    async with Sandbox(probing_config(limits)) as prober, Sandbox(sandbox_config(limits)) as sandbox:
        print(json.dumps({"ready": True}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            files = [Path(path) for path in asked["files"]]
            answer = await parse(settings, prober, sandbox, files, Path(asked["out"]), asked["in_flight"])
            print(json.dumps(answer), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the protocol on standard input and output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True, help="the name that the server serves")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    settings = Settings.model_validate({"vllm_server": {"base_url": options.base_url, "model": options.model}})
    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
