"""Where a word may be broken at the end of a line: a cautious rule for languages of Latin script."""

from __future__ import annotations

_VOWELS = frozenset("aeiouyäöüáàâãåąæéèêëęěíìîïóòôõőøœúùûůýÿ")
#: Letters that are one sound, which nobody would tear apart.
_TOGETHER = (
    "ch",
    "sch",
    "ck",
    "ph",
    "th",
    "sh",
    "gn",
    "gl",
    "gu",
    "qu",
    "ll",
    "rr",
    "cz",
    "sz",
    "rz",
    "dz",
    "dź",
    "dż",
    "st",
)
_AT_LEAST = 3


def breaks(word: str) -> list[int]:
    """Return the places at which ``word`` may be broken, as numbers of letters before the hyphen.

    A break comes between two consonants that stand between vowels, or before a single one.
    """
    text = word.lower()
    if not text.isalpha():
        return []
    places = []
    for place in range(_AT_LEAST, len(text) - _AT_LEAST + 1):
        before, after = text[place - 1], text[place]
        torn = any(text[place - len(pair) + k : place + k] == pair for pair in _TOGETHER for k in range(1, len(pair)))
        if torn or after in _VOWELS or text[place + 1] not in _VOWELS:
            continue
        if before in _VOWELS or text[place - 2] in _VOWELS:
            places.append(place)
    return places
