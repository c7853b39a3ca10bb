"""The family repetition: how much of the parse says again what the truth says once.

Of every six words in a row within a block it counts how often they come more often than in the truth, or than
once where the truth does not have them. A model in a loop and a paragraph written twice both show; a form that
honestly repeats a line does not. What comes first is the original, what comes later the surplus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mineru_pipeline.quality.scores.matching import PICTURE
from mineru_pipeline.quality.scores.model import Score
from mineru_pipeline.quality.scores.side import Side

_SHINGLE = 6
#: Pieces into which one very long word is cut: a loop may have no blanks.
_PIECE, _LONG = 10, 50


@dataclass(frozen=True, slots=True)
class Repetition:
    """Sequences of six words of the parse by the page on which they begin: all, and those in surplus."""

    all: Counter[int]
    surplus: Counter[int]

    def score(self, page: int | None = None) -> Score:
        """1 - surplus / all, and 1 where nothing was said that could be said again."""
        total = self.all.total() if page is None else self.all[page]
        surplus = self.surplus.total() if page is None else self.surplus[page]
        return Score(1.0 - surplus / max(1, total), {"surplus": surplus, "sequences": total})


def find_repetition(truth: Side, parsed: Side) -> Repetition:
    """Count the sequences of the parse that come too often."""
    allowed = Counter(shingle for _, shingle in _shingles(truth))
    seen: Counter[tuple[str, ...]] = Counter()
    found = Repetition(Counter(), Counter())
    for page, shingle in _shingles(parsed):
        seen[shingle] += 1
        found.all[page] += 1
        found.surplus[page] += seen[shingle] > max(1, allowed[shingle])
    return found


def _shingles(side: Side) -> Iterator[tuple[int, tuple[str, ...]]]:
    for kind, span in zip(side.kinds, side.spans, strict=True):
        if kind == PICTURE:
            continue
        pieces = [piece for place in span for piece in _pieces(side.words[place].text)]
        for at in range(len(pieces) - _SHINGLE + 1):
            yield side.pages[span.start], tuple(pieces[at : at + _SHINGLE])


def _pieces(word: str) -> list[str]:
    return [word] if len(word) <= _LONG else [word[at : at + _PIECE] for at in range(0, len(word), _PIECE)]
