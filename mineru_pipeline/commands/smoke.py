"""``mineru-pipeline smoke``: one real page through each model server, and a judgement of what came back."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.markup import escape

from mineru_pipeline.commands.loadtest_page import page
from mineru_pipeline.commands.text import printable
from mineru_pipeline.errors import InferenceError, ModelServerError, OutageError, PipelineError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.transport import MinerUTransport, build_mineru_client
from mineru_pipeline.settings import Settings
from resources.parsing import client_config

#: Nobody waits here for a server to come back.
OUTAGE_SECONDS = 30.0
#: Kinds of block without which a layout of the page is none.
KINDS = frozenset({"text", "title", "table"})
#: A layout of the page has a dozen; whoever finds fewer has seen it as a whole, or a part of it.
LEAST_BLOCKS = 6
_TEXT = (
    "gauge reader wrote flood curves handwritten station books archive inland waters kesslau abstract sensors "
    "people walked painted staff river introduction simple duty seven morning evening nearest centimetre "
    "ruled quarrels columns statistics record thirty years dike books covers half year pages printed head "
    "table agreed error harbour gate brandt ferry 98.2 91.4 97.5 transcribed every accepted third person "
    "decided boat house chain three steps parts remarks strict failure empty level zero greatest night reason "
    "listed name neighbouring stations crest broader lower afternoon improvements"
)
#: What stands on the page, from its title to its last paragraph, the table among it.
WORDS = tuple(_TEXT.split())
#: Share of them that must have been read. OCR on a CPU reads nearly all, a model all.
LEAST_WORDS = 0.9

PASSED, FAILED, UNAVAILABLE = 0, 1, 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the page at one server; times in seconds."""

    server: str
    model: str
    seconds: float = 0.0
    requests: int = 0
    blocks: int = 0
    words_read: int = 0
    words: int = len(WORDS)
    #: What is wrong, each in a sentence; none if the server passes.
    problems: tuple[str, ...] = ()
    #: Whether anybody answered at all.
    answered: bool = True


def run(settings: Settings, *, max_seconds: float, as_json: bool, console: Console) -> int:
    """Send the page to every server of the settings, one after the other; returns the exit code.

    Raises:
        ModelServerError: no server is named.
    """
    endpoints = settings.vllm_server.endpoints
    if not endpoints:
        raise ModelServerError("There is no server to test: give --base-url, or set vllm_server.base_url.")
    verdicts = []
    for endpoint in endpoints:
        config = replace(client_config(settings, (endpoint,)), outage_budget_seconds=OUTAGE_SECONDS)
        verdicts.append(asyncio.run(judge(config, max_seconds)))
    if as_json:
        passed = not any(verdict.problems for verdict in verdicts)
        print(json.dumps({"passed": passed, "servers": [asdict(verdict) for verdict in verdicts]}))  # noqa: T201 - asked for
    else:
        for verdict in verdicts:
            _show(console, verdict)
    if not all(verdict.answered for verdict in verdicts):
        return UNAVAILABLE
    return FAILED if any(verdict.problems for verdict in verdicts) else PASSED


async def judge(config: ClientConfig, max_seconds: float) -> Verdict:
    """Send the page to one server, as a worker would, and judge the answers; never raises because of the server."""
    verdict = Verdict(config.base_urls[0], config.model)
    metrics = ClientMetrics()
    started = time.monotonic()
    try:
        async with VLLMClient(config, metrics=metrics) as client:
            await client.verify_model()
            started = time.monotonic()
            # Whatever ends otherwise than with "stop" is an error of the client, not an answer.
            mineru = build_mineru_client(MinerUTransport(client))
            found = await mineru.aio_two_step_extract(page())
    except (OutageError, ModelServerError) as error:
        return replace(verdict, answered=False, problems=(str(error),))
    except (InferenceError, PipelineError) as error:
        seconds = round(time.monotonic() - started, 3)
        return replace(verdict, seconds=seconds, requests=_requests(metrics), problems=(str(error),))
    seconds = round(time.monotonic() - started, 3)
    read = words_of(str(block.content) for block in found if block.content)
    kinds = Counter(str(block.type) for block in found)
    return replace(
        verdict,
        seconds=seconds,
        requests=_requests(metrics),
        blocks=len(found),
        words_read=sum(word in read for word in WORDS),
        problems=tuple(problems(kinds, read, seconds, max_seconds)),
    )


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the words and numbers of some texts, markup included, in lower case."""
    return frozenset(re.findall(r"[a-z]+|\d+(?:\.\d+)?", " ".join(texts).lower()))


def problems(kinds: Counter[str], read: frozenset[str], seconds: float, max_seconds: float) -> list[str]:
    """Return what is wrong with blocks by kind, the words read, and the time that it took."""
    found = []
    missing = sorted(KINDS - set(kinds))
    if missing or kinds.total() < LEAST_BLOCKS:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
        found.append(f"The layout of the page is not parsed: {seen}; it has text in two columns, titles and a table.")
    absent = [word for word in WORDS if word not in read]
    if len(absent) > (1 - LEAST_WORDS) * len(WORDS):
        found.append(f"{len(absent)} of {len(WORDS)} words of the page are not read, such as {', '.join(absent[:5])}.")
    if seconds > max_seconds:
        found.append(f"The page took {seconds:.1f} s, more than the {max_seconds:g} s of --max-seconds.")
    return found


def _requests(metrics: ClientMetrics) -> int:
    return metrics.snapshot().requests


def _show(console: Console, verdict: Verdict) -> None:
    mark = "[red]FAIL[/]" if verdict.problems else "[green]ok  [/]"
    told = (
        f"{verdict.blocks} blocks, {verdict.words_read} of {verdict.words} words, {verdict.requests} requests, "
        f"{verdict.seconds:.1f} s"
    )
    what = f"{verdict.server} {verdict.model}: {told if verdict.answered else 'no page was read'}"
    console.print(f"{mark} {escape(printable(what))}", soft_wrap=True)
    for problem in verdict.problems:
        console.print(f"     {escape(printable(problem))}", soft_wrap=True)
