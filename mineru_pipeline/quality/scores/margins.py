"""The family leakage: do headers, footers and page numbers stand in the running text?

Only words that the running text of the truth does not need can have leaked, and only in a run of three or as a
whole margin, so that a page number is not seen in every 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from mineru_pipeline.quality.scores.align import MAX_CELLS, MIN_RUN
from mineru_pipeline.quality.scores.distance import similarity
from mineru_pipeline.quality.scores.model import BlockScore, BlockState, Score, share, state_of
from mineru_pipeline.quality.scores.normal import normalise, words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock
from mineru_pipeline.quality.scores.words import Text
from mineru_pipeline.quality.truth import TruthBlock


@dataclass(frozen=True, slots=True)
class Margin:
    """What became of one header, footer or page number."""

    block: BlockScore
    words: int
    leaked: int


def find_margins(truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock], text: Text) -> list[Margin]:
    """Look for the margins of the truth in the running text and among the margins of the parse."""
    alignment = text.alignment
    free: dict[int, list[int]] = {}
    for word, used in enumerate(alignment.used):
        if not used:
            free.setdefault(alignment.parsed.pages[word], []).append(word)
    margins: dict[int, list[tuple[int, str]]] = {}
    for block in parsed:
        margins.setdefault(block.page, []).append((block.entry, normalise(block.content)))
    return [_find(block, free.get(block.page, []), margins.get(block.page, []), text) for block in truth]


def leakage_score(margins: Sequence[Margin], page: int | None = None) -> Score:
    """1 - share of the margins' words that stand in the running text; ``None`` without margins."""
    here = [margin for margin in margins if page in {None, margin.block.page}]
    words, leaked = sum(margin.words for margin in here), sum(margin.leaked for margin in here)
    out = share(leaked, words)
    return Score(None if out is None else 1.0 - out, {"leaked": leaked, "words": words})


def _find(block: TruthBlock, free: list[int], margins: Sequence[tuple[int, str]], text: Text) -> Margin:
    normal = normalise(block.content)
    words = [word.text for word in words_of(normal)]
    leaked = _leaked(words, free, text)
    parsed = text.alignment.parsed
    if leaked:
        entries = tuple(sorted({text.parsed_entries[parsed.blocks[word]] for word in leaked}))
        score = BlockScore(
            block.id, block.kind, block.page, BlockState.LEAKED, 0.0, len(leaked) / len(words), len(words), entries
        )
        return Margin(score, len(words), len(leaked))
    alike, entry = max(((similarity(normal, found), -entry) for entry, found in margins), default=(0.0, 0))
    state = state_of(alike)
    entries = () if state is BlockState.LOST else (-entry,)
    return Margin(BlockScore(block.id, block.kind, block.page, state, alike, alike, len(words), entries), len(words), 0)


def _leaked(words: Sequence[str], free: list[int], text: Text) -> list[int]:
    """The words of the running text that are this margin's; they are taken out of ``free``."""
    parsed = text.alignment.parsed
    if not words or not free or len(words) * len(free) > MAX_CELLS:
        return []
    there = [parsed.words[word].text for word in free]
    taken: list[int] = []
    for run in LCSseq.opcodes(words, there).as_matching_blocks():
        found = free[run.b : run.b + run.size]
        together = bool(found) and found[-1] - found[0] == run.size - 1
        if together and (run.size >= MIN_RUN or run.size == len(words)):
            taken += found
    gone = set(taken)
    free[:] = [word for word in free if word not in gone]
    return taken
