"""Answers of plausible shape, made from a digest of the request; nothing on the page is read."""

from __future__ import annotations

import asyncio
import hashlib
import random

from mineru_pipeline.devserver.identity import SIMULATED_DESCRIPTION, SIMULATED_MODEL_ID
from mineru_pipeline.devserver.prompts import LayoutBlock, Task, layout_answer, task_of
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest

_WORDS = (
    "the river carries fine sand towards the harbour while barges wait for high water and a keeper notes wind "
    "rain tide and traffic in a ledger that nobody has closed for forty years because every entry still answers "
    "some question about dredging insurance or the price of coal"
)
_VOCABULARY = _WORDS.split()


class SimulatedResponder:
    """A responder that invents: the same request always gets the same answer, ``latency`` seconds later."""

    def __init__(self, *, latency: float = 0.0, concurrency: int = 256) -> None:
        self._latency = latency
        self._concurrency = concurrency

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        return ModelCard(SIMULATED_MODEL_ID, SIMULATED_DESCRIPTION)

    @property
    def concurrency(self) -> int:
        """How many requests may run at once."""
        return self._concurrency

    async def answer(self, request: PromptRequest) -> Answer:
        """Invent the answer of one request."""
        if self._latency:
            await asyncio.sleep(self._latency)
        digest = hashlib.sha256(request.prompt.encode() + b"\0" + request.image).digest()
        # Not for secrets: the seed makes equal requests get equal answers.
        dice = random.Random(digest)  # noqa: S311
        return Answer(_TASKS[task_of(request.prompt)](dice))

    def close(self) -> None:
        """Nothing is held."""


def _sentence(dice: random.Random, words: int) -> str:
    text = " ".join(dice.choice(_VOCABULARY) for _ in range(words))
    return f"{text[:1].upper()}{text[1:]}."


def _text(dice: random.Random) -> str:
    return " ".join(_sentence(dice, dice.randint(8, 18)) for _ in range(dice.randint(3, 7)))


def _layout(dice: random.Random) -> str:
    blocks = [LayoutBlock("title", (0.12, 0.08, 0.88, 0.12))]
    top = 0.15
    for _ in range(dice.randint(3, 5)):
        blocks.append(LayoutBlock("text", (0.12, top, 0.88, top + 0.1)))
        top += 0.12
    blocks.append(LayoutBlock("table", (0.12, top, 0.88, top + 0.12)))
    return layout_answer(blocks)


def _table(dice: random.Random) -> str:
    columns = dice.randint(3, 5)
    rows = [[dice.choice(_VOCABULARY) for _ in range(columns)]]
    rows += [[str(dice.randint(1, 9999)) for _ in range(columns)] for _ in range(dice.randint(3, 8))]
    return "".join("".join(f"<fcel>{cell}" for cell in row) + "<nl>" for row in rows)


def _formula(dice: random.Random) -> str:
    return f"y_{{{dice.randint(1, 9)}}} = {dice.randint(2, 99)} x + {dice.randint(1, 9)}"


def _image(dice: random.Random) -> str:
    caption = _sentence(dice, 8)
    return (
        "<|class_start|>natural_image<|class_end|><|sub_class_start|><|sub_class_end|>"
        f"<|caption_start|>{caption}<|caption_end|><|content_start|><|content_end|>"
    )


_TASKS = {Task.LAYOUT: _layout, Task.TEXT: _text, Task.TABLE: _table, Task.FORMULA: _formula, Task.IMAGE: _image}
