"""Finds each word of the truth in the parse, so that what became of a block can be said exactly.

Parsers split and merge paragraphs and move them, so blocks are not paired one to one. Words are aligned
instead, and each keeps the block it came from: the parts of a split paragraph are all found, and a lost
sentence is known by its block.

1. The longest common subsequence of sequences of eight words (rapidfuzz's bit-parallel one, Hyyrö 2004) is taken
   page by page; its runs are *anchors*. Then the same is done with the words that are left, until nothing is
   gained, and then with sequences of three words. A moved column is what remains after the first round, so that
   moves cost nothing here; sequences keep the small words, which are everywhere, from pulling the alignment
   across. This is the greedy tiling of two texts by common substrings (Wise 1993, "String similarity via greedy
   string tiling") with many tiles found at once instead of one by one. A last round takes all pages together,
   for what crossed a page. Blocks of one or two words, such as titles, are anchors where a whole block of the
   page is the same.
2. Between and beside the anchors of a block, the remaining words are aligned in order.
3. A block without a single anchor is compared as characters with unclaimed blocks of its page (as OmniDocBench
   matches blocks, https://arxiv.org/abs/2412.07626), for text in which no three words are right.
4. What is left is matched word by word on the page, then in the document. The number of matched words is
   therefore that of two bags of words, whatever the steps before decided; they decide only where each belongs.
   Pictures take no part in this step: their figures and letters would pass for words that were lost elsewhere.

Every step is deterministic. Time is about n·m/64 for n and m words of a page; :data:`~.matching.MAX_CELLS` bounds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mineru_pipeline.quality.scores.matching import (
    GRAMS,
    PICTURE,
    Work,
    anchor,
    claim,
    fill,
    match_bags,
    match_whole,
    numbered,
)
from mineru_pipeline.quality.scores.side import Side


@dataclass(frozen=True, slots=True)
class Alignment:
    """What was found where; words and blocks are named by their number in ``truth`` and ``parsed``."""

    truth: Side
    parsed: Side
    #: Of each word of the truth: the word of the parse that it is, or -1.
    found: tuple[int, ...]
    #: Whether it was found among the words around it; its place says something only then.
    placed: tuple[bool, ...]
    #: Of each word of the parse: whether it is a word of the truth.
    used: tuple[bool, ...]
    #: Of each word of the parse: the block of the truth whose text it stands in, or -1.
    owners: tuple[int, ...]

    def counterparts(self) -> list[list[range]]:
        """Of each block of the truth: the ranges of the parse's words that stand for it, in the order of the truth."""
        places = {word: place for place, word in enumerate(self.found) if word >= 0 and self.placed[place]}
        pieces: list[list[tuple[int, range]]] = [[] for _ in self.truth.texts]
        for start, end in _pieces(self.parsed.blocks, self.owners):
            first = min((places[word] for word in range(start, end) if word in places), default=-1)
            pieces[self.owners[start]].append((first, range(start, end)))
        return [[piece for _, piece in sorted(found, key=lambda item: (item[0], item[1].start))] for found in pieces]


def align(truth: Side, parsed: Side) -> Alignment:
    """Align the words of the two sides."""
    ids = numbered([word.text for word in truth.words], [word.text for word in parsed.words])
    size = len(truth.words)
    free = bytearray(b"\1" * size), bytearray(b"\1" * len(parsed.words))
    work = Work(truth, parsed, ids, [-1] * size, [False] * size, [False] * len(parsed.words), free)
    for length in GRAMS:
        grams = numbered(*(list(zip(*(side[k:] for k in range(length)), strict=False)) for side in ids))
        for page, places in truth.on_page.items():
            anchor(work, places, parsed.words_on(page), grams, length)
        anchor(work, range(size), range(len(parsed.words)), grams, length)
    match_whole(work)
    fill(work)
    claim(work)
    for page, places in truth.on_page.items():
        match_bags(work, places, _outside_pictures(parsed, parsed.words_on(page)))
    owners = _owners(work)
    match_bags(work, range(size), _outside_pictures(parsed, range(len(parsed.words))))
    return Alignment(truth, parsed, tuple(work.found), tuple(work.placed), tuple(work.used), tuple(owners))


def _outside_pictures(parsed: Side, words: Iterable[int]) -> list[int]:
    return [word for word in words if parsed.kinds[parsed.blocks[word]] != PICTURE]


def _owners(work: Work) -> list[int]:
    """Of each word of the parse: the block of its nearest anchor before it in its block, or else behind it.

    Of a picture only the words that were found belong to a block; what else it shows is its own.
    """
    owners = [-1] * len(work.used)
    for place, word in enumerate(work.found):
        if word >= 0 and work.placed[place]:
            owners[word] = work.truth.blocks[place]
    for block, span in enumerate(work.parsed.spans):
        if work.parsed.kinds[block] == PICTURE:
            continue
        owner = next((owners[word] for word in span if owners[word] >= 0), work.claims.get(block, -1))
        for word in span:
            owners[word] = owner = owners[word] if owners[word] >= 0 else owner
    return owners


def _pieces(blocks: Sequence[int], owners: Sequence[int]) -> list[tuple[int, int]]:
    """The longest ranges of words that stand in one block and have one owner."""
    pieces: list[tuple[int, int]] = []
    start = 0
    for word in range(1, len(owners) + 1):
        if word == len(owners) or (blocks[word], owners[word]) != (blocks[start], owners[start]):
            if owners[start] >= 0:
                pieces.append((start, word))
            start = word
    return pieces
