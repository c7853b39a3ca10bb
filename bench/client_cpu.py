"""Measures the CPU that a page costs a worker: ``python bench/client_cpu.py --base-url URL PDF…``.

The files go through the engine as in a run, only without Dagster, into a store that is thrown away.
A first pass over a few of them warms imports, caches and the render zygote up and is not counted.
Worker, zygote and render children are counted; the server is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil

from mineru_pipeline.documents.probe import probe
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.documents.source import sha256_hex
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.engine import DocumentInput, Engine
from mineru_pipeline.parsing.outcome import DocumentOutcome, State
from mineru_pipeline.parsing.render import PdfSession, sandbox_config
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import FilesystemStore
from resources import parsing

WORKER, ZYGOTE, CHILDREN = "worker", "render zygote", "render children"
#: Files of the pass that is not counted.
WARM_UP_FILES = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass over the files took."""

    pages: int
    requests: int
    degraded_pages: int
    seconds: float
    cpu_seconds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name; ``by_process`` is in CPU milliseconds a page."""
        total, pages = sum(self.cpu_seconds.values()), max(self.pages, 1)
        return {
            "pages": self.pages,
            "requests": self.requests,
            "degraded_pages": self.degraded_pages,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(total, 3),
            "cpu_ms_per_page": round(1000 * total / pages, 2),
            "by_process": {role: round(1000 * used / pages, 2) for role, used in self.cpu_seconds.items()},
        }


class Bench:
    """Parses files again and again with one zygote, each time into a new store."""

    def __init__(self, settings: Settings, files: Sequence[Path], sandbox: Sandbox) -> None:
        self._settings = settings
        self._files = files
        self._sandbox = sandbox

    async def measure(self, files: Sequence[Path] | None = None) -> Measured:
        """Probe and parse ``files``, by default all, and return what that took."""
        before, started = self._cpu_seconds(), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="client-cpu-") as folder:
            outcomes = await self._parse(FilesystemStore(folder), self._files if files is None else files)
            seconds = time.monotonic() - started
            await self._childless()
            # Before the store is thrown away, which is no work of a worker's.
            used = {role: after - before[role] for role, after in self._cpu_seconds().items()}
        return Measured(
            pages=sum(outcome.pages for outcome in outcomes),
            requests=sum(outcome.requests for outcome in outcomes),
            degraded_pages=sum(outcome.degraded_pages for outcome in outcomes),
            seconds=seconds,
            cpu_seconds=used,
        )

    async def _parse(self, store: FilesystemStore, files: Sequence[Path]) -> list[DocumentOutcome]:
        settings, limits = self._settings, parsing.limits_of(self._settings)
        engine = Engine(
            committer=Committer(store, settings.tenant, parsing.revisions_of(settings), parsing.model_of(settings)),
            open_pdf=partial(PdfSession, self._sandbox, limits=limits, options=parsing.render_options(settings)),
            open_model=partial(parsing.open_model, settings, ClientMetrics()),
            limits=parsing.engine_limits(settings),
            listener=lambda _: None,
        )
        documents = {}
        for path in files:
            data = path.read_bytes()
            info = await probe(self._sandbox, data, limits=limits)
            sha256 = sha256_hex(data)
            documents[sha256] = DocumentInput(path.as_uri(), sha256, info.page_count, path.read_bytes)
        outcomes = await engine.parse(list(documents.values()))
        for outcome in outcomes:
            if outcome.state == State.FAILED:
                raise SystemExit(f"{documents[outcome.sha256].uri} failed, so nothing was measured: {outcome.message}")
        return outcomes

    def _cpu_seconds(self) -> dict[str, float]:
        own = psutil.Process().cpu_times()
        zygote = psutil.Process(self._sandbox.pid).cpu_times()
        return {
            WORKER: own.user + own.system,
            ZYGOTE: zygote.user + zygote.system,
            CHILDREN: zygote.children_user + zygote.children_system,
        }

    async def _childless(self) -> None:
        """Wait until the zygote has buried its children: only then does the system count their time."""
        zygote = psutil.Process(self._sandbox.pid)
        while zygote.children():  # noqa: ASYNC110 - processes set no event
            await asyncio.sleep(0.01)


def profiler(path: Path | None) -> AbstractContextManager[object]:
    """Return what profiles the worker's main thread into ``path``, or nothing."""
    if path is None:
        return nullcontext()
    import cProfile

    return _Profile(cProfile.Profile(), path)


class _Profile(AbstractContextManager["_Profile"]):
    def __init__(self, profile: Any, path: Path) -> None:
        self._profile = profile
        self._path = path

    def __enter__(self) -> Self:
        self._profile.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._profile.disable()
        self._profile.dump_stats(self._path)


async def run(settings: Settings, files: Sequence[Path], repeat: int, profile: Path | None) -> list[Measured]:
    """Return what each of ``repeat`` passes took, after one over a sample that is not counted."""
    async with Sandbox(sandbox_config(parsing.limits_of(settings))) as sandbox:
        bench = Bench(settings, files, sandbox)
        await bench.measure(files[:WARM_UP_FILES])
        with profiler(profile):
            return [await bench.measure() for _ in range(repeat)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the pass with the median CPU time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--base-url", required=True, help="where the model server is, such as http://127.0.0.1:8000")
    parser.add_argument("--model", help="the name it serves (default: the settings')")
    parser.add_argument("--repeat", type=int, default=1, help="passes; the median counts (default: 1)")
    parser.add_argument("--profile", type=Path, help="write the worker's cProfile statistics into this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("files", nargs="+", type=Path, metavar="PDF", help="files that can be parsed")
    options = parser.parse_args(arguments)
    server = {"base_url": options.base_url, **({"model": options.model} if options.model else {})}
    settings = Settings.model_validate({"vllm_server": server})
    files = [path.resolve() for path in options.files]
    passes = asyncio.run(run(settings, files, options.repeat, options.profile))
    median = sorted(passes, key=lambda one: sum(one.cpu_seconds.values()))[(len(passes) - 1) // 2]
    figures = median.as_json()
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<18}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
