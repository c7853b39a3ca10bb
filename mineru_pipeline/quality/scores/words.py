"""The families text and digits: which words and numbers of the truth came through, and which were made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mineru_pipeline.quality.scores.align import Alignment, align
from mineru_pipeline.quality.scores.distance import edit_distance
from mineru_pipeline.quality.scores.model import Score, f1, share
from mineru_pipeline.quality.scores.normal import Word
from mineru_pipeline.quality.scores.parsed import ParsedBlock
from mineru_pipeline.quality.scores.side import Side
from mineru_pipeline.quality.truth import TruthBlock

#: Kinds that have a family of their own; everything else is text.
_OWN_FAMILY = frozenset({"table", "equation"})
#: Kinds whose numbers are not counted as such: in a formula they are LaTeX.
_NO_DIGITS = frozenset({"equation"})
Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class Text:
    """The aligned running text of a document with what its blocks are."""

    alignment: Alignment
    #: Of each block of either side: its kind.
    truth_kinds: tuple[str, ...]
    parsed_kinds: tuple[str, ...]
    #: Of each block of the parse: its entry in the content list.
    parsed_entries: tuple[int, ...]
    #: Of each word of the parse: the kind of the block that it stands for, or else of the block that it is in.
    came_kinds: tuple[str, ...]
    #: Of each block of the truth: what stands for it, in normal form.
    counterparts: tuple[str, ...]

    @classmethod
    def of(cls, truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock]) -> Text:
        """Align the running text of both sides."""
        alignment = align(Side.of(truth), Side.of(parsed))
        texts = tuple(
            " ".join(alignment.parsed.slice(piece.start, piece.stop) for piece in pieces)
            for pieces in alignment.counterparts()
        )
        kinds = [tuple(str(block.kind) for block in blocks) for blocks in (truth, parsed)]
        entries = tuple(block.entry for block in parsed)
        return cls(alignment, kinds[0], kinds[1], entries, _came_kinds(alignment, kinds[0], kinds[1]), texts)

    def wanted(self, without: Kinds, page: int | None = None) -> Iterator[int]:
        """The words of the truth in blocks of all kinds but some, on one page or on all."""
        truth = self.alignment.truth
        for place, block in enumerate(truth.blocks):
            if self.truth_kinds[block] not in without and page in {None, truth.pages[place]}:
                yield place

    def came(self, without: Kinds, page: int | None = None) -> Iterator[int]:
        """The words of the parse that stand where such blocks are, or in blocks of such kinds that nobody owns."""
        pages = self.alignment.parsed.pages
        for word, kind in enumerate(self.came_kinds):
            if kind not in without and page in {None, pages[word]}:
                yield word


def _came_kinds(alignment: Alignment, truth_kinds: Sequence[str], parsed_kinds: Sequence[str]) -> tuple[str, ...]:
    truth = alignment.truth
    sources = {word: truth.blocks[place] for place, word in enumerate(alignment.found) if word >= 0}
    stands_for = [owner if owner >= 0 else sources.get(word, -1) for word, owner in enumerate(alignment.owners)]
    return tuple(
        truth_kinds[block] if block >= 0 else parsed_kinds[own]
        for block, own in zip(stands_for, alignment.parsed.blocks, strict=True)
    )


def text_score(text: Text, page: int | None = None) -> Score:
    """F1 of words outside tables and equations, with recall, precision and the similarity of characters."""
    recall, precision, measures = _retrieval(text, _OWN_FAMILY, page, lambda _: True)
    return Score(f1(precision, recall), {**measures, "similarity": _similarity(text, page)})


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
        if span and text.truth_kinds[block] not in _OWN_FAMILY and page in {None, truth.pages[span.start]}:
            edits += edit_distance(wanted, text.counterparts[block])
            characters += max(len(wanted), len(text.counterparts[block]))
    if not characters:
        return None
    for block in unclaimed(text):
        if text.parsed_kinds[block] not in _OWN_FAMILY and page in {None, parsed.pages[parsed.spans[block].start]}:
            edits += len(parsed.texts[block])
            characters += len(parsed.texts[block])
    return 1.0 - edits / characters


def unclaimed(text: Text) -> list[int]:
    """The blocks of the parse that stand for nothing in the truth."""
    parsed, owners = text.alignment.parsed, text.alignment.owners
    return [block for block, span in enumerate(parsed.spans) if span and owners[span.start] < 0]


def _wrong_numbers(text: Text, page: int | None) -> int:
    alignment = text.alignment
    missing = Counter(
        alignment.truth.blocks[place]
        for place in text.wanted(_NO_DIGITS, page)
        if alignment.found[place] < 0 and alignment.truth.words[place].is_number
    )
    others = Counter(
        alignment.owners[word]
        for word, used in enumerate(alignment.used)
        if not used and alignment.owners[word] >= 0 and alignment.parsed.words[word].is_number
    )
    return (missing & others).total()
