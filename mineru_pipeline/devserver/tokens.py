"""A rough stand-in for the model's tokenizer, good enough for usage figures, timing and ``max_tokens``."""

from __future__ import annotations

import math
import re
from functools import lru_cache

# One special token is one token; Latin text averages about four characters a token.
_TOKEN = re.compile(r"<\|?\w{1,20}\|?>|\w{1,4}|\s+|[^\w\s]")
#: Pixels along one edge of the patch that becomes one visual token (Qwen2-VL: 14-pixel patches merged 2 x 2,
#: https://arxiv.org/abs/2409.12191).
PATCH = 28
#: Tokens of prompt and answer together that the model can hold.
MAX_MODEL_LEN = 16384


# One answer is counted to plan it, and again to report it.
@lru_cache(maxsize=256)
def count(text: str) -> int:
    """The number of tokens of ``text``."""
    return len(_TOKEN.findall(text))


def count_image(size: tuple[int, int]) -> int:
    """The number of visual tokens of an image of ``size`` (width, height) in pixels."""
    width, height = size
    return math.ceil(width / PATCH) * math.ceil(height / PATCH)


def truncate(text: str, limit: int) -> tuple[str, bool]:
    """``text`` cut to ``limit`` tokens, and whether anything was cut."""
    if len(text) <= limit:
        return text, False
    for index, match in enumerate(_TOKEN.finditer(text)):
        if index == limit:
            return text[: match.start()], True
    return text, False
