"""Damage to a model's answers, for calibration: a good server's parses of the corpus are hardly ever poor.

Unlike :mod:`mineru_pipeline.quality.damage`, which spoils outputs, this spoils what outputs are made from, so that the
signals come about as they do in a parse. The same document, kind and rate give the same damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from mineru_pipeline.commands.material import Material
from mineru_pipeline.errors import RepetitiveAnswerError, RequestTimeoutError, TruncatedAnswerError
from mineru_pipeline.parsing.extract import WHOLE_PAGE, text_within
from mineru_pipeline.parsing.layer import TextLayer
from mineru_pipeline.parsing.pages import Degradation, PageExtraction

Spoil = Callable[[Material, float, Random], Material]

RATES: Final = (0.05, 0.15, 0.4)
#: Readers of letters take these for each other.
_ALIKE: Final = str.maketrans("oOlIsSeaBgtcnuz", "0011558c69ieun2")
_WORDLESS: Final = frozenset({"image", "chart", "image_block", "table", "equation", "list"})


def spoiled(material: Material, kind: str, rate: float) -> Material:
    """Return the material with one kind of damage; ``rate`` (0-1) is the share of what it strikes."""
    return KINDS[kind](material, rate, Random(f"{material.truth.name} {kind}"))  # noqa: S311 - repeatable on purpose


def lose_pages(material: Material, rate: float, dice: Random) -> Material:
    """Nobody answers for pages, at least one."""
    lost = _some(range(len(material.pages)), rate, dice)
    pages = [
        replace(page, blocks=(), degradations=(_failure(None, RequestTimeoutError.code, layer, WHOLE_PAGE),))
        if index in lost
        else page
        for index, (page, layer) in enumerate(zip(material.pages, material.layers, strict=True))
    ]
    return replace(material, pages=pages, asked_again={RequestTimeoutError.code: len(lost)})


def truncate(material: Material, rate: float, dice: Random) -> Material:
    """Answers are cut off, and again when asked again."""
    return _fail(material, rate, dice, TruncatedAnswerError.code)


def loop(material: Material, rate: float, dice: Random) -> Material:
    """Answers run in circles, and again when asked again."""
    return _fail(material, rate, dice, RepetitiveAnswerError.code)


def stutter(material: Material, rate: float, dice: Random) -> Material:
    """Texts come several times, which is too short for a loop, so nothing notices."""
    return _reword(material, lambda text: " ".join([text] * 4) if dice.random() < rate else text)


def skip_words(material: Material, rate: float, dice: Random) -> Material:
    """Words are left out."""
    return _reword(material, lambda text: re.sub(r"\S+", lambda word: "" if dice.random() < rate else word[0], text))


def misread(material: Material, rate: float, dice: Random) -> Material:
    """Letters are taken for others that look like them."""
    return _reword(
        material, lambda text: "".join(sign.translate(_ALIKE) if dice.random() < rate else sign for sign in text)
    )


def miss_blocks(material: Material, rate: float, dice: Random) -> Material:
    """The layout does not have blocks, at least one."""

    def thinned(page: PageExtraction) -> PageExtraction:
        missed = _some(range(len(page.blocks)), rate, dice)
        return replace(page, blocks=tuple(block for n, block in enumerate(page.blocks) if n not in missed))

    return replace(material, pages=[thinned(page) for page in material.pages])


KINDS: Final[Mapping[str, Spoil]] = {
    function.__name__: function for function in (lose_pages, truncate, loop, stutter, skip_words, misread, miss_blocks)
}


def _fail(material: Material, rate: float, dice: Random, cause: str) -> Material:
    pages, failed = [], 0
    for page, layer in zip(material.pages, material.layers, strict=True):
        worded = [n for n, block in enumerate(page.blocks) if block["type"] not in _WORDLESS]
        struck = sorted(_some(worded, rate, dice))
        failures = tuple(_failure(n, cause, layer, page.blocks[n]["bbox"]) for n in struck)
        blocks = tuple({**block, "content": None} if n in struck else block for n, block in enumerate(page.blocks))
        pages.append(replace(page, blocks=blocks, degradations=(*page.degradations, *failures)))
        failed += len(struck)
    return replace(material, pages=pages, asked_again={cause: failed})


def _failure(block: int | None, cause: str, layer: TextLayer, bbox: Any) -> Degradation:
    return Degradation(block, cause, "spoiled on purpose", text_within(layer.words(), bbox))


def _reword(material: Material, change: Callable[[str], str]) -> Material:
    def reworded(block: dict[str, Any]) -> dict[str, Any]:
        content = block.get("content")
        return {**block, "content": change(content)} if content and block["type"] not in _WORDLESS else block

    pages = [replace(page, blocks=tuple(map(reworded, page.blocks))) for page in material.pages]
    return replace(material, pages=pages)


def _some(places: Any, rate: float, dice: Random) -> set[int]:
    chosen = {place for place in places if dice.random() < rate}
    return chosen or set(dice.sample(list(places), min(1, len(places))))
