"""A rough stand-in for the model's tokenizer, good enough for usage figures and ``max_tokens``."""

from __future__ import annotations

import math
import re

# One special token is one token; Latin text averages about four characters a token.
_TOKEN = re.compile(r"<\|?\w{1,20}\|?>|\w{1,4}|\s+|[^\w\s]")
#: Pixels along one edge of the patch that becomes one visual token (Qwen2-VL: 14-pixel patches merged 2 x 2).
PATCH = 28


def count(text: str) -> int:
    """The number of tokens of ``text``."""
    return sum(1 for _ in _TOKEN.finditer(text))


def count_image(size: tuple[int, int]) -> int:
    """The number of visual tokens of an image of ``size`` (width, height) in pixels."""
    width, height = size
    return math.ceil(width / PATCH) * math.ceil(height / PATCH)


def truncate(text: str, limit: int) -> tuple[str, bool]:
    """``text`` cut to ``limit`` tokens, and whether anything was cut."""
    for index, match in enumerate(_TOKEN.finditer(text)):
        if index == limit:
            return text[: match.start()], True
    return text, False
