"""The family leakage: do headers, footers and page numbers stand in the running text?

Only words that the running text of the truth does not need can have leaked, and only in a run of three or, at an
edge of a block, as a whole margin, so that a page number is not seen in every 7. A block that stands for nothing
else and resembles a margin is that margin misread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from mineru_pipeline.quality.scores.distance import likeness, similarity
from mineru_pipeline.quality.scores.matching import MAX_CELLS, MIN_RUN, PICTURE
from mineru_pipeline.quality.scores.model import BlockScore, BlockState, Score, share, state_of
from mineru_pipeline.quality.scores.normal import normalise, words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock
from mineru_pipeline.quality.scores.words import Text
from mineru_pipeline.quality.truth import TruthBlock

#: Similarity from which a block is a margin misread.
MIN_SIMILAR = 0.7


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
        if not used and alignment.parsed.kinds[alignment.parsed.blocks[word]] not in {PICTURE, "equation"}:
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
    misread = _misread(normal, free, text) if words else range(0)
    place = list(misread) or _runs(words, free, text)
    if place:
        leaked = len(words) if misread else len(place)
        taken = set(place)
        free[:] = [word for word in free if word not in taken]
        entries = {text.parsed_entries[text.alignment.parsed.blocks[word]] for word in place}
        found = _score(block, BlockState.LEAKED, 0.0, leaked / len(words), len(words), sorted(entries))
        return Margin(found, len(words), leaked)
    alike, entry = max(((similarity(normal, found), -entry) for entry, found in margins), default=(0.0, 0))
    state = state_of(alike)
    entries_there = () if state is BlockState.LOST else (-entry,)
    return Margin(_score(block, state, alike, alike, len(words), entries_there), len(words), 0)


def _score(
    block: TruthBlock, state: BlockState, alike: float, recall: float, words: int, entries: Sequence[int]
) -> BlockScore:
    return BlockScore(block.id, block.kind, block.page, state, alike, recall, words, tuple(entries))


def _runs(words: Sequence[str], free: Sequence[int], text: Text) -> list[int]:
    """The words of the running text that are this margin's: runs of three, or all of them at an edge of a block."""
    parsed = text.alignment.parsed
    if not words or not free or len(words) * len(free) > MAX_CELLS:
        return []
    there = [parsed.words[word].text for word in free]
    taken: list[int] = []
    for run in LCSseq.opcodes(words, there).as_matching_blocks():
        found = free[run.b : run.b + run.size]
        if found and found[-1] - found[0] == run.size - 1:
            span = parsed.spans[parsed.blocks[found[0]]]
            at_edge = found[0] == span.start or found[-1] + 1 == span.stop
            taken += found if run.size >= MIN_RUN or (run.size == len(words) and at_edge) else []
    return taken


def _misread(normal: str, free: Sequence[int], text: Text) -> range:
    """The words of the block that stands for nothing and is most like a margin, if it is like it."""
    parsed, owners = text.alignment.parsed, text.alignment.owners
    blocks = [
        block for block in sorted({parsed.blocks[word] for word in free}) if owners[parsed.spans[block].start] < 0
    ]
    # Page numbers are short, and it is their blanks that get lost.
    wanted = normal.replace(" ", "")
    scored = ((likeness(wanted, parsed.texts[block].replace(" ", ""), MIN_SIMILAR), -block) for block in blocks)
    alike, block = max(scored, default=(0.0, 0))
    return parsed.spans[-block] if alike else range(0)
