"""Answers of plausible shape and length for each of MinerU's prompts; nothing on the page is read."""

from __future__ import annotations

import random

from mineru_pipeline.devserver.prompts import LayoutBlock, Task, layout_answer

_WORDS = (
    "the river carries fine sand towards the harbour while barges wait for high water and a keeper notes wind "
    "rain tide and traffic in a ledger that nobody has closed for forty years because every entry still answers "
    "some question about dredging insurance or the price of coal"
)
_VOCABULARY = _WORDS.split()


def invent(task: Task, dice: random.Random) -> str:
    """An answer to ``task``; equal dice throw equal answers.

    A layout has nine blocks that will be read, on average: with the layout itself, about the ten requests of a typical
    page. A text has some 90 tokens, a table some 80.
    """
    return _TASKS[task](dice)


def _sentence(dice: random.Random, words: int) -> str:
    text = " ".join(dice.choices(_VOCABULARY, k=words))
    return f"{text[:1].upper()}{text[1:]}."


def _text(dice: random.Random) -> str:
    return " ".join(_sentence(dice, dice.randint(8, 18)) for _ in range(dice.randint(2, 8)))


def _layout(dice: random.Random) -> str:
    blocks = [LayoutBlock("title", (0.12, 0.05, 0.88, 0.09))]
    top = 0.11
    for _ in range(dice.randint(5, 8)):
        blocks.append(LayoutBlock("text", (0.12, top, 0.88, top + 0.075)))
        top += 0.085
    if dice.randint(0, 1):
        blocks.append(LayoutBlock("equation", (0.3, top, 0.7, top + 0.04)))
        top += 0.05
    blocks.append(LayoutBlock("table", (0.12, top, 0.88, top + 0.11)))
    return layout_answer(blocks)


def _table(dice: random.Random) -> str:
    columns = dice.randint(3, 5)
    rows = [dice.choices(_VOCABULARY, k=columns)]
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
