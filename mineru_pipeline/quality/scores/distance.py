"""Edit distance of texts and token lists, with a bound on what a hostile text can cost."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rapidfuzz.distance import Levenshtein

#: Characters of each text that are compared; what comes after counts as different. A tenth of a second.
MAX_COMPARED = 100_000
Text = str | Sequence[Hashable]


def edit_distance(one: Text, other: Text) -> int:
    """Levenshtein distance: insertions, deletions and replacements that make one text the other."""
    if one == other:
        return 0
    rest = max(len(one[MAX_COMPARED:]), len(other[MAX_COMPARED:]))
    return int(Levenshtein.distance(one[:MAX_COMPARED], other[:MAX_COMPARED])) + rest


def similarity(one: Text, other: Text) -> float:
    """Normalised edit similarity: 1 - distance / length of the longer; 1 for two empty texts."""
    longer = max(len(one), len(other))
    return 1.0 - edit_distance(one, other) / longer if longer else 1.0


def likeness(one: Text, other: Text, least: float) -> float:
    """The similarity, or 0 where it is below ``least``; texts of lengths too different are not compared at all."""
    shorter, longer = sorted((len(one), len(other)))
    if shorter < least * longer:
        return 0.0
    found = similarity(one, other)
    return found if found >= least else 0.0
