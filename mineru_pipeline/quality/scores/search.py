"""Finds a text in a longer one with up to so many edits.

Sellers 1980, "The theory and computation of evolutionary distances: pattern recognition".
"""

from __future__ import annotations

#: Characters of the needle times those of the text that are compared where edits are allowed; some seconds.
MAX_WORK = 20_000_000


def nearest(needle: str, text: str, edits: int, *, last: bool = False) -> int | None:
    """Where the first (or last) part of ``text`` begins that is within ``edits`` of ``needle``; ``None`` if none is.

    Where the text is too long for that, only exact occurrences are found.
    """
    exact = text.rfind(needle) if last else text.find(needle)
    if edits <= 0 or len(needle) * len(text) > MAX_WORK:
        return exact if exact >= 0 else None
    starts = _near(needle, text, edits)
    if not starts:
        return None
    return max(starts) if last else min(starts)


def _near(needle: str, text: str, edits: int) -> list[int]:
    """Where each part begins whose best alignment with ``needle`` has at most so many edits."""
    # Column by column: distance and start of the best part that ends here, for each length of the needle's head.
    costs = list(range(len(needle) + 1))
    begins = [0] * (len(needle) + 1)
    found: list[int] = [0] if costs[-1] <= edits else []
    for end, character in enumerate(text, 1):
        diagonal, its_begin = costs[0], begins[0]
        begins[0] = end
        for row, wanted in enumerate(needle, 1):
            best = (diagonal + (wanted != character), its_begin)
            best = min(best, (costs[row] + 1, begins[row]), (costs[row - 1] + 1, begins[row - 1]))
            diagonal, its_begin = costs[row], begins[row]
            costs[row], begins[row] = best
        if costs[-1] <= edits:
            found.append(begins[-1])
    return found
