"""A seeded model of a vLLM server: invented answers that take the time which their tokens would take."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from dataclasses import dataclass, replace

from mineru_pipeline.devserver import images, tokens
from mineru_pipeline.devserver.identity import SIMULATED_DESCRIPTION, SIMULATED_MODEL_ID
from mineru_pipeline.devserver.invent import invent
from mineru_pipeline.devserver.prompts import Task, task_of
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated.

    A request holds one of ``slots`` (vLLM's ``max_num_seqs``), and KV cache for its prompt and its answer, for
    ``latency + prompt tokens / prefill_rate + answer tokens / decode_rate`` seconds. Rates are tokens a second of one
    sequence, whatever else runs, so that the capacity is exactly ``slots`` over the mean of these seconds; a rate of
    ``None`` takes no time. ``seed`` chooses among answers.
    """

    slots: int = 256
    latency: float = 0.0
    prefill_rate: float | None = None
    decode_rate: float | None = None
    kv_cache_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SimulatedWork:
    """One planned answer: what was asked, what will be said, and when; ``digest`` is equal for equal requests."""

    task: Task
    digest: str
    text: str
    kv_tokens: int
    prefill_seconds: float
    decode_seconds: float
    finish_reason: str = "stop"

    async def run(self, since: float) -> Answer:
        """Say it once the time has passed."""
        due = since + self.prefill_seconds + self.decode_seconds
        loop = asyncio.get_running_loop()
        if due == math.inf:
            await loop.create_future()
        if (left := due - loop.time()) > 0:
            await asyncio.sleep(left)
        return Answer(self.text, self.finish_reason, self.decode_seconds, due)

    def so_far(self, seconds: float) -> Answer:
        """The part that would be decoded after ``seconds``."""
        decoding = max(0.0, seconds - self.prefill_seconds)
        share = min(1.0, decoding / self.decode_seconds) if self.decode_seconds else 0.0
        return Answer(self.text[: int(share * len(self.text))], "abort", decoding)

    def later(self, factor: float, seconds: float) -> SimulatedWork:
        """The same, taking ``factor`` times as long and then ``seconds`` more."""
        decode = self.decode_seconds * factor + seconds
        return replace(self, prefill_seconds=self.prefill_seconds * factor, decode_seconds=decode)


class SimulatedResponder:
    """A responder that invents: the same prompt about the same picture always gets the same answer."""

    def __init__(self, simulation: Simulation | None = None) -> None:
        self._given = simulation or Simulation()

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        return ModelCard(SIMULATED_MODEL_ID, SIMULATED_DESCRIPTION)

    @property
    def slots(self) -> int:
        """How many requests run at once."""
        return self._given.slots

    @property
    def kv_cache_tokens(self) -> int | None:
        """How many tokens the running requests may hold together."""
        return self._given.kv_cache_tokens

    def plan(self, request: PromptRequest) -> SimulatedWork:
        """Invent the answer of one request and say how long it takes."""
        salted = hashlib.sha256(b"%d\0%b\0" % (self._given.seed, request.prompt.encode()))
        salted.update(images.scanlines(request.image_bytes()))
        digest = salted.hexdigest()[:32]
        task = task_of(request.prompt)
        # Not for secrets: the seed makes equal requests get equal answers.
        text = invent(task, random.Random(digest))  # noqa: S311
        prompt_tokens = tokens.count(request.prompt) + tokens.count_image(request.image_size)
        generated = min(tokens.count(text) + 1, request.max_tokens or tokens.MAX_MODEL_LEN)
        return SimulatedWork(
            task,
            digest,
            text,
            prompt_tokens + generated,
            self._given.latency + _seconds(prompt_tokens, self._given.prefill_rate),
            _seconds(generated, self._given.decode_rate),
        )

    def close(self) -> None:
        """Nothing is held."""


def _seconds(count: int, rate: float | None) -> float:
    return count / rate if rate else 0.0
