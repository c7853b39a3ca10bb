"""The steps by which the words of truth and parse find each other; :mod:`.align` says why they are these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import LCSseq

from mineru_pipeline.quality.scores.distance import likeness
from mineru_pipeline.quality.scores.side import Side

#: The kind of blocks whose words count only where the truth has them.
PICTURE = "picture"
#: Lengths of the sequences of words that anchors are found by, one after the other.
GRAMS = (8, 3)
#: Words in a row that make an anchor: two are often chance.
MIN_RUN = 3
#: Of each word of either side: a number for what it is or begins.
Numbers = tuple[list[int], list[int]]
#: Words more than are missing that are looked at beside an anchor.
_SLACK = 2
#: Similarity from which a garbled block counts as the same block.
MIN_SIMILAR = 0.5
#: Words of one side times words of the other that one round looks at; 50 MB and some tenths of a second.
MAX_CELLS = 400_000_000
#: Rounds on one page: as many moved pieces can be told apart, each round costs as much as the first at most.
MAX_ROUNDS = 12
#: Pairs of unclaimed blocks on one page that are compared as characters.
MAX_PAIRS = 20_000


@dataclass(slots=True)
class Work:
    """What is found so far; words and blocks are named by their number on their side."""

    truth: Side
    parsed: Side
    #: Of each word of either side: a number for its spelling.
    ids: Numbers
    found: list[int]
    placed: list[bool]
    used: list[bool]
    #: Of each word of either side: 1 until it is taken.
    free: tuple[bytearray, bytearray]
    claims: dict[int, int] = field(default_factory=dict)

    def take(self, pairs: Iterable[tuple[int, int]], *, placed: bool = True) -> None:
        """Note that words of the truth are words of the parse."""
        for place, word in pairs:
            self.found[place], self.placed[place], self.used[word] = word, placed, True
            self.free[0][place] = self.free[1][word] = 0

    def open_truth(self, places: Iterable[int]) -> list[int]:
        """Those words of the truth that are not found yet."""
        return [place for place in places if self.found[place] < 0]

    def open_parsed(self, words: Iterable[int]) -> list[int]:
        """Those words of the parse that are nobody's yet."""
        return [word for word in words if not self.used[word]]

    def common(self, places: Sequence[int], words: Sequence[int], ids: Numbers) -> list[tuple[int, int]]:
        """The longest common subsequence of some words of either side, or of what begins at them."""
        if not places or not words or len(places) * len(words) > MAX_CELLS:
            return []
        one, other = [ids[0][place] for place in places], [ids[1][word] for word in words]
        blocks = LCSseq.opcodes(one, other).as_matching_blocks()
        return [(places[block.a + k], words[block.b + k]) for block in blocks for k in range(block.size)]


def numbered(one: Sequence[Hashable], other: Sequence[Hashable]) -> Numbers:
    """A number for each item of either side, the same for equal ones."""
    numbers: dict[Hashable, int] = {}
    first, second = ([numbers.setdefault(item, len(numbers)) for item in side] for side in (one, other))
    return first, second


def anchor(work: Work, places: Iterable[int], words: Iterable[int], grams: Numbers, length: int) -> None:
    """Find runs of equal sequences of words, round by round, among some words of either side."""
    for _ in range(MAX_ROUNDS):
        places = [place for place in places if _is_free(work.free[0], place, length)]
        words = [word for word in words if _is_free(work.free[1], word, length)]
        runs = _runs(work.common(places, words, grams))
        if not sum(_take_run(work, run, length) for run in sorted(runs, key=len, reverse=True)):
            return


def _is_free(free: bytearray, start: int, length: int) -> bool:
    # Most words are taken by the first round, so this one is asked first.
    return free[start] == 1 and start + length <= len(free) and 0 not in free[start : start + length]


def _take_run(work: Work, run: Sequence[tuple[int, int]], length: int) -> bool:
    """Take the words of a run, those of its last sequence too, unless a longer run has taken most of them."""
    place, word = run[0]
    pairs = [(place + k, word + k) for k in range(len(run) + length - 1)]
    free = [(a, b) for a, b in pairs if work.found[a] < 0 and not work.used[b]]
    if len(free) < MIN_RUN:
        return False
    work.take(free)
    return True


def _runs(pairs: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    runs: list[list[tuple[int, int]]] = []
    for place, word in pairs:
        if runs and runs[-1][-1] == (place - 1, word - 1):
            runs[-1].append((place, word))
        else:
            runs.append([(place, word)])
    return runs


def match_whole(work: Work) -> None:
    """Match what is left of short blocks with blocks of their page that are the same, in order."""
    same: dict[tuple[int, tuple[int, ...]], list[range]] = defaultdict(list)
    for span in reversed(work.parsed.spans):
        if 0 < len(span) < MIN_RUN and not any(work.used[word] for word in span):
            key = work.parsed.pages[span.start], tuple(work.ids[1][span.start : span.stop])
            same[key].append(span)
    for span in work.truth.spans:
        if 0 < len(span) < MIN_RUN and all(work.found[place] < 0 for place in span):
            found = same.get((work.truth.pages[span.start], tuple(work.ids[0][span.start : span.stop])))
            if found:
                work.take(zip(span, found.pop(), strict=True))


def fill(work: Work) -> None:
    """Align the words between and beside the anchors of each block with what stands there in the parse."""
    for span in work.truth.spans:
        gap: list[int] = []
        for place in (*span, span.stop):
            if place < span.stop and work.found[place] < 0:
                gap.append(place)
                continue
            if gap:
                before = work.found[gap[0] - 1] if gap[0] > span.start else -1
                after = work.found[place] if place < span.stop else -1
                near = work.open_parsed(_between(work.parsed, before, after, len(gap) + _SLACK))
                work.take(work.common(gap, near, work.ids))
            gap = []


def _between(parsed: Side, before: int, after: int, near: int) -> list[int]:
    """The words of the parse between two anchors, or near one where they stand in two blocks or one is missing."""
    blocks = parsed.blocks
    if before >= 0 and after > before and blocks[before] == blocks[after]:
        return list(range(before + 1, after))
    behind = range(before + 1, min(before + 1 + near, parsed.spans[blocks[before]].stop)) if before >= 0 else ()
    ahead = range(max(after - near, parsed.spans[blocks[after]].start), after) if after >= 0 else ()
    return [*behind, *(word for word in ahead if word not in behind)]


def claim(work: Work) -> None:
    """Give blocks of the truth without any anchor the most similar unclaimed block of their page."""
    lost = [span for span in work.truth.spans if span and all(work.found[place] < 0 for place in span)]
    free: dict[int, list[range]] = defaultdict(list)
    for span in work.parsed.spans:
        if span and not any(work.used[word] for word in span):
            free[work.parsed.pages[span.start]].append(span)
    candidates: list[tuple[float, int, int, range, range]] = []
    for span in lost:
        others = free[work.truth.pages[span.start]]
        if len(lost) * len(others) > MAX_PAIRS:
            continue
        text = work.truth.texts[work.truth.blocks[span.start]]
        for other in others:
            alike = likeness(text, work.parsed.texts[work.parsed.blocks[other.start]], MIN_SIMILAR)
            if alike:
                candidates.append((-alike, span.start, other.start, span, other))
    for _, start, first, span, other in sorted(candidates, key=lambda item: item[:3]):
        block = work.parsed.blocks[first]
        if block not in work.claims and work.truth.blocks[start] not in work.claims.values():
            work.claims[block] = work.truth.blocks[start]
            work.take(work.common(span, other, work.ids))


def match_bags(work: Work, places: Sequence[int], words: Sequence[int]) -> None:
    """Match what is left by spelling alone, first come first served."""
    left: dict[int, list[int]] = defaultdict(list)
    for word in reversed(work.open_parsed(words)):
        left[work.ids[1][word]].append(word)
    for place in work.open_truth(places):
        same = left.get(work.ids[0][place])
        if same:
            work.take([(place, same.pop())], placed=False)
