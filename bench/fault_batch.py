"""A batch of small PDFs through the real engine against a disturbed server, and what the disturbance did to it."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from bench.servers import Server
from mineru_pipeline import settings
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.errors import PipelineError, ends_run
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.checkpoint import Checkpoints
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.markup import clean_text
from mineru_pipeline.parsing.progress import ignore_progress
from mineru_pipeline.storage import FilesystemStore
from resources import parsing

#: Where a document can end whose PDF is in order.
FINAL = frozenset({"parsed", "degraded"})
_LINES, _WORDS = 46, 9
_VOCABULARY = ["harbour", "ledger", "barge", "slate", "tide", "wind", "coal", "keeper", "rain", "traffic", "sand"]

#: A block by document, page and index; the layout of a page has the index None.
Place = tuple[str, int, int | None]


def write_pdfs(folder: Path, count: int, seed: int = 1) -> list[Path]:
    """``count`` PDFs of one or two pages, full of words, no two places alike."""
    dice = random.Random(seed)
    paths = [folder / f"{number:03d}.pdf" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(_pdf(dice, 1 + number % 2))
    return paths


def _pdf(dice: random.Random, pages: int) -> bytes:
    buffer = io.BytesIO()
    drawing = canvas.Canvas(buffer, pagesize=A4, invariant=1)
    for _ in range(pages):
        for line in range(_LINES):
            words = " ".join(f"{dice.choice(_VOCABULARY)} {dice.randint(10, 999)}" for _ in range(_WORDS // 2))
            drawing.drawString(72, 790 - 16 * line, words)
        drawing.showPage()
    drawing.save()
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Run:
    """What one run over the batch left behind; ``stopped`` is why it ended early, "" if it did not."""

    seconds: float
    requests: int
    stopped: str
    rows: Sequence[ParsedRow]
    #: Raw answer of every block, and cause of every degradation.
    contents: Mapping[Place, str | None]
    degraded: Mapping[Place, str]
    #: What the server did: struck requests, as ``GET /faults`` tells them.
    strikes: Sequence[Mapping[str, Any]] = ()

    @property
    def states(self) -> Counter[str]:
        """Documents by final state."""
        return Counter(row.state for row in self.rows)


def run(files: Sequence[Path], folder: Path, server: Server, **changes: Any) -> Run:
    """Take ``files`` through intake and engine into a store under ``folder``; only the engine is timed.

    The settings are the defaults but for the server and ``changes`` (dots written as two underscores). A run that
    ends early on purpose is a result; running again with the same folder resumes it.
    """
    given = {"data_dir": folder, "vllm_server.base_url": server.base_url, "vllm_server.model": server.model}
    overrides = {**given, **{name.replace("__", "."): value for name, value in changes.items()}}
    loaded = settings.load(environ={}, overrides=overrides)
    found, store, metrics = loaded.settings, FilesystemStore(loaded.settings.store_root), ClientMetrics()
    (manifest,) = write_manifests(files, loaded, store)
    sources = asyncio.run(parsing.examine(found, store, manifest.batch))
    revision = parsing.revisions_of(found)
    ledger.write(store, ledger.SOURCE_DOCUMENTS, revision.parser, manifest.batch, sources, SourceRow)
    rows: Sequence[ParsedRow] = ()
    stopped, started = "", time.monotonic()
    try:
        rows = asyncio.run(parsing.parse(found, store, manifest.batch, ignore_progress, metrics)).rows
    except PipelineError as error:
        if not ends_run(error):
            raise
        stopped = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    contents, degraded = _read(store, found.tenant, revision.extraction, sources)
    return Run(seconds, metrics.snapshot().requests, stopped, rows, contents, degraded, strikes_of(server))


def _read(
    store: FilesystemStore, tenant: str, revision: str, sources: Sequence[SourceRow]
) -> tuple[dict[Place, str | None], dict[Place, str]]:
    contents: dict[Place, str | None] = {}
    degraded: dict[Place, str] = {}
    for source in sources:
        sha256 = source.sha256 or ""
        for index, page in Checkpoints(store, tenant, revision, sha256).load().items():
            contents |= {(source.uri, index, number): block["content"] for number, block in enumerate(page.blocks)}
            degraded |= {(source.uri, index, each.block): each.cause for each in page.degradations}
    return contents, degraded


def strikes_of(server: Server) -> Sequence[Mapping[str, Any]]:
    """The requests that the server's faults struck; none if it is gone."""
    try:
        answer = httpx.get(f"{server.base_url}/faults", trust_env=False, timeout=30)
    except httpx.TransportError:
        return ()
    found: Sequence[Mapping[str, Any]] = answer.json()["strikes"]
    return found


@dataclass(frozen=True, slots=True)
class Damage:
    """What differs from the undisturbed run, by the blocks that a fault touched and those that it did not."""

    touched: int
    #: Degraded blocks and layouts, those whose requests were struck, and by cause.
    degraded_touched: int
    degraded_untouched: int
    causes: Mapping[str, int]
    #: Blocks with another answer than in the undisturbed run, taken for whole.
    wrong: int
    #: Blocks that are nowhere, and documents without a final state or without outputs.
    missing: int
    unfinished: int
    examples: Sequence[str] = field(default=())


def compare(undisturbed: Run, disturbed: Run) -> Damage:
    """Hold the blocks of two runs against each other.

    A block counts as touched if some request was struck that would have brought its answer, and a layout if any layout
    was: layouts look alike, so their numbers are compared.
    """
    struck = {clean_text(each["undisturbed"]) for each in disturbed.strikes if each["kind"] != "layout"}
    layouts = len({each["digest"] for each in disturbed.strikes if each["kind"] == "layout"})
    pages = [place for place in disturbed.degraded if place[2] is None]
    blocks = [place for place in disturbed.degraded if place[2] is not None]
    untouched = [place for place in blocks if undisturbed.contents.get(place) not in struck]
    lost = {place[:2] for place in pages}
    kept = {place: content for place, content in disturbed.contents.items() if place not in disturbed.degraded}
    wrong = [place for place, content in kept.items() if undisturbed.contents.get(place) != content]
    missing = [place for place in undisturbed.contents if place not in disturbed.contents and place[:2] not in lost]
    extra = max(0, len(pages) - layouts)
    return Damage(
        touched=len(struck) + layouts,
        degraded_touched=len(disturbed.degraded) - len(untouched) - extra,
        degraded_untouched=len(untouched) + extra,
        causes=dict(Counter(disturbed.degraded.values())),
        wrong=len(wrong),
        missing=len(missing),
        unfinished=len(undisturbed.rows) - sum(row.state in FINAL for row in disturbed.rows),
        examples=[str(place) for place in (*untouched, *wrong, *missing)[:3]],
    )
