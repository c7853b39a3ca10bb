"""The families text and digits: which words and numbers of the truth came through, and which were made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from mineru_pipeline.quality.scores.align import Alignment, align
from mineru_pipeline.quality.scores.distance import edit_distance
from mineru_pipeline.quality.scores.matching import PICTURE
from mineru_pipeline.quality.scores.model import Score, f1, share
from mineru_pipeline.quality.scores.normal import Word, normalise, words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock
from mineru_pipeline.quality.scores.side import Side
from mineru_pipeline.quality.truth import TruthBlock

#: Kinds that have a family of their own; everything else is text.
_OWN_FAMILY = frozenset({"table", "equation"})
#: How far the next word of a form's line may be: a misread word or a mark read as one between is no harm.
_GAP = 3
#: Kinds whose numbers are not counted as such: in a formula they are LaTeX.
_NO_DIGITS = frozenset({"equation"})
Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class Text:
    """The aligned running text of a document with what its blocks are."""

    alignment: Alignment
    #: Of each block of the parse: its entry in the content list.
    parsed_entries: tuple[int, ...]
    #: Of each word of the parse: the kind of the block that it stands for, or else of the block that it is in.
    came_kinds: tuple[str, ...]
    #: Of each block of the truth: what stands for it, in normal form.
    counterparts: tuple[str, ...]
    #: Of each block of the truth: the words of each of its lines.
    lines: tuple[tuple[range, ...], ...]
    #: How many numbers that are not of the truth stand in what stands for each block.
    strange_numbers: Counter[int]
    #: The blocks of the parse that stand for nothing in the truth.
    unclaimed: tuple[int, ...]

    @classmethod
    def of(cls, truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock]) -> Text:
        """Align the running text of both sides."""
        alignment = align(Side.of(truth), Side.of(parsed))
        texts = tuple(
            " ".join(alignment.parsed.slice(piece.start, piece.stop) for piece in pieces)
            for pieces in alignment.counterparts()
        )
        entries = tuple(block.entry for block in parsed)
        lines = tuple(_lines(block, span) for block, span in zip(truth, alignment.truth.spans, strict=True))
        return cls(alignment, entries, _came_kinds(alignment), texts, lines, _strange(alignment), _unclaimed(alignment))

    def wanted(self, without: Kinds, page: int | None = None) -> Iterator[int]:
        """The words of the truth in blocks of all kinds but some, on one page or on all."""
        truth = self.alignment.truth
        for place in truth.words_on(page):
            if truth.kinds[truth.blocks[place]] not in without:
                yield place

    def came(self, without: Kinds, page: int | None = None) -> Iterator[int]:
        """The words of the parse that stand where such blocks are, or in blocks of such kinds that nobody owns."""
        for word in self.alignment.parsed.words_on(page):
            if self.came_kinds[word] != PICTURE and self.came_kinds[word] not in without:
                yield word


def _came_kinds(alignment: Alignment) -> tuple[str, ...]:
    truth, parsed = alignment.truth, alignment.parsed
    sources = {word: truth.blocks[place] for place, word in enumerate(alignment.found) if word >= 0}
    stands_for = [owner if owner >= 0 else sources.get(word, -1) for word, owner in enumerate(alignment.owners)]
    return tuple(
        truth.kinds[block] if block >= 0 else parsed.kinds[own]
        for block, own in zip(stands_for, parsed.blocks, strict=True)
    )


def text_score(text: Text, page: int | None = None) -> Score:
    """F1 of words outside tables and equations, with recall, precision and the similarity of characters."""
    recall, precision, measures = _retrieval(text, _OWN_FAMILY, page, lambda _: True)
    more = {"similarity": _similarity(text, page), "form_lines": form_lines(text, page)}
    return Score(f1(precision, recall), {**measures, **more})


def digits_score(text: Text, page: int | None = None) -> Score:
    """F1 of numbers, tables included; ``wrong`` counts those of the truth in whose block another number stands."""
    recall, precision, measures = _retrieval(text, _NO_DIGITS, page, lambda word: word.is_number)
    return Score(f1(precision, recall), {**measures, "wrong": _wrong_numbers(text, page)})


def _retrieval(
    text: Text, without: Kinds, page: int | None, counts: Callable[[Word], bool]
) -> tuple[float | None, float | None, dict[str, float | None]]:
    alignment = text.alignment
    wanted = [place for place in text.wanted(without, page) if counts(alignment.truth.words[place])]
    came = [word for word in text.came(without, page) if counts(alignment.parsed.words[word])]
    recall = share(sum(alignment.found[place] >= 0 for place in wanted), len(wanted))
    precision = share(sum(alignment.used[word] for word in came), len(came))
    measures = {"recall": recall, "precision": precision, "wanted": len(wanted), "came": len(came)}
    return recall, precision, measures


def _similarity(text: Text, page: int | None) -> float | None:
    """1 - edits / characters, block by block with what stands for it, made-up blocks counted as edits."""
    truth, parsed = text.alignment.truth, text.alignment.parsed
    edits = characters = 0
    for block, wanted in enumerate(truth.texts):
        span = truth.spans[block]
        if span and truth.kinds[block] not in _OWN_FAMILY and page in {None, truth.pages[span.start]}:
            edits += edit_distance(wanted, text.counterparts[block])
            characters += max(len(wanted), len(text.counterparts[block]))
    if not characters:
        return None
    for block in text.unclaimed:
        if parsed.kinds[block] not in _OWN_FAMILY and page in {None, parsed.pages[parsed.spans[block].start]}:
            edits += len(parsed.texts[block])
            characters += len(parsed.texts[block])
    return 1.0 - edits / characters


def _unclaimed(alignment: Alignment) -> tuple[int, ...]:
    parsed, owners, used = alignment.parsed, alignment.owners, alignment.used
    return tuple(
        block
        for block, span in enumerate(parsed.spans)
        if span and owners[span.start] < 0 and parsed.kinds[block] != PICTURE and not all(used[word] for word in span)
    )


def _strange(alignment: Alignment) -> Counter[int]:
    return Counter(
        alignment.owners[word]
        for word, used in enumerate(alignment.used)
        if not used and alignment.owners[word] >= 0 and alignment.parsed.words[word].is_number
    )


def _wrong_numbers(text: Text, page: int | None) -> int:
    alignment = text.alignment
    missing = Counter(
        alignment.truth.blocks[place]
        for place in text.wanted(_NO_DIGITS, page)
        if alignment.found[place] < 0 and alignment.truth.words[place].is_number
    )
    return (missing & text.strange_numbers).total()


def form_lines(text: Text, page: int | None = None) -> float | None:
    """Share of lines of forms, each a label with its value, whose words stand together and in order in the parse."""
    truth, kept, lines = text.alignment.truth, 0, 0
    for block, kind in enumerate(truth.kinds):
        if kind == "form" and truth.spans[block] and page in {None, truth.pages[truth.spans[block].start]}:
            for line in text.lines[block]:
                lines += 1
                kept += _stands_together(text.alignment, line)
    return share(kept, lines)


def _stands_together(alignment: Alignment, line: range) -> bool:
    found = [alignment.found[place] for place in line if alignment.found[place] >= 0]
    return (
        len(found) * 2 > len(line)
        and all(0 < after - before <= _GAP for before, after in pairwise(found))
        and len({alignment.parsed.blocks[word] for word in found}) == 1
    )


def _lines(block: TruthBlock, span: range) -> tuple[range, ...]:
    """The words of each line of a block; none where lines and words do not add up."""
    sizes = [len(words_of(normalise(line))) for line in block.content.split("\n")]
    if sum(sizes) != len(span):
        return ()
    ends = [span.start, *(span.start + end for end in accumulate(sizes))]
    return tuple(range(start, end) for start, end in pairwise(ends) if end > start)
