"""The words of the truth and of the parse, each with the block and the page it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mineru_pipeline.quality.scores.grid import read_table
from mineru_pipeline.quality.scores.latex import strip_delimiters
from mineru_pipeline.quality.scores.normal import Word, normalise, plain_latex, words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock
from mineru_pipeline.quality.truth import TruthBlock


@dataclass(frozen=True, slots=True)
class Side:
    """All words of one side in reading order; ``blocks`` and ``pages`` are parallel to ``words``."""

    #: The text of each block in normal form: cells of a table one after the other, a formula without commands.
    texts: tuple[str, ...]
    words: tuple[Word, ...]
    #: Of each word: the number of its block, and its page.
    blocks: tuple[int, ...]
    pages: tuple[int, ...]
    #: Of each block: the range of its words.
    spans: tuple[range, ...]
    #: Of each block: its kind.
    kinds: tuple[str, ...]
    #: The words on each page.
    on_page: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, blocks: Sequence[TruthBlock | ParsedBlock]) -> Self:
        """Split blocks into words."""
        texts = tuple(plain_text(block) for block in blocks)
        split = [words_of(text) for text in texts]
        spans, start = [], 0
        for found in split:
            spans.append(range(start, start + len(found)))
            start += len(found)
        pages = tuple(block.page for block, found in zip(blocks, split, strict=True) for _ in found)
        on_page: dict[int, list[int]] = {}
        for word, page in enumerate(pages):
            on_page.setdefault(page, []).append(word)
        return cls(
            texts,
            tuple(word for found in split for word in found),
            tuple(number for number, found in enumerate(split) for _ in found),
            pages,
            tuple(spans),
            tuple(str(block.kind) for block in blocks),
            on_page,
        )

    def words_on(self, page: int | None) -> Sequence[int]:
        """The words on one page, or all."""
        return range(len(self.words)) if page is None else self.on_page.get(page, ())

    def slice(self, start: int, end: int) -> str:
        """The text from word ``start`` up to word ``end``, both of one block, with the marks between them."""
        text, span = self.texts[self.blocks[start]], self.spans[self.blocks[start]]
        begin = 0 if start == span.start else self.words[start].start
        return text[begin : None if end >= span.stop else self.words[end].start].strip()


def plain_text(block: TruthBlock | ParsedBlock) -> str:
    """The text of a block in normal form."""
    if block.kind == "table":
        return " ".join(text for text in read_table(block.content).texts if text)
    if block.kind == "equation":
        return normalise(plain_latex(strip_delimiters(block.content)))
    return normalise(block.content)
