"""The family order: can the text be read from top to bottom without jumping back?

The score is the length of the longest increasing subsequence of the words' places in the parse, as a share of
the words that were found in their place (Schensted 1961; found by patience sorting in n log n). Two columns
in each other's place give about a half, and so do columns read line by line across, which rank correlations
forgive. Kendall's tau of the blocks (Lapata 2006, "Automatic evaluation of information ordering", as a share
of pairs in order) and the share of neighbours that stayed neighbours go with it as measures.

Tables, equations, captions and footnotes float and are left out, as in OmniDocBench.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low

from mineru_pipeline.quality.scores.model import Score, share
from mineru_pipeline.quality.scores.words import Text

_FLOATING = frozenset({"table", "equation", "caption", "page_footnote"})
#: Blocks that are compared pair by pair; measures of more are those of the first ones.
_MAX_BLOCKS = 2000


def order_score(text: Text, page: int | None = None) -> Score:
    """Share of words in order, 0 where none was found; ``None`` where the truth has no two blocks to put in order."""
    alignment = text.alignment
    wanted: set[int] = set()
    places: dict[int, list[int]] = {}
    for place in text.wanted(_FLOATING, page):
        wanted.add(alignment.truth.blocks[place])
        if alignment.placed[place]:
            places.setdefault(alignment.truth.blocks[place], []).append(alignment.found[place])
    if len(wanted) <= 1 or not places:
        return Score(0.0 if len(wanted) > 1 else None)
    sequence = [word for found in places.values() for word in found]
    middles = [median_low(found) for found in places.values()][:_MAX_BLOCKS]
    return Score(
        longest_increase(sequence) / len(sequence),
        {"kendall": concordance(middles), "neighbours": neighbours(middles), "blocks": len(places)},
    )


def longest_increase(sequence: Sequence[int]) -> int:
    """Length of the longest strictly increasing subsequence."""
    tails: list[int] = []
    for value in sequence:
        place = bisect_left(tails, value)
        tails[place : place + 1] = [value]
    return len(tails)


def concordance(sequence: Sequence[int]) -> float | None:
    """Share of pairs that are in order: (Kendall's tau + 1) / 2."""
    pairs = [(a < b) for i, a in enumerate(sequence) for b in sequence[i + 1 :]]
    return share(sum(pairs), len(pairs))


def neighbours(sequence: Sequence[int]) -> float | None:
    """Share of neighbouring pairs that are neighbours, in the same order, among the sorted values."""
    rank = {value: place for place, value in enumerate(sorted(sequence))}
    pairs = [rank[b] - rank[a] == 1 for a, b in pairwise(sequence)]
    return share(sum(pairs), len(pairs))
