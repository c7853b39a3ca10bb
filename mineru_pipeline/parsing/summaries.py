"""The few facts about a page that checks, signals and people ask for, from its answers and its own text layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from mineru_pipeline.inference.repetition import is_degenerate
from mineru_pipeline.parsing.agreement import compare_with_layer
from mineru_pipeline.parsing.blocks import EndedDegradation, FinishedPage
from mineru_pipeline.parsing.extract import INK_OF_A_PAGE
from mineru_pipeline.parsing.ink import uncovered_ink
from mineru_pipeline.parsing.layer import Word
from mineru_pipeline.parsing.outcome import PageSummary
from mineru_pipeline.parsing.pages import PageExtraction
from mineru_pipeline.parsing.signals import odd_word_share, repeated_share


def summarise_page(
    raw: PageExtraction,
    page: FinishedPage,
    words: Sequence[Word],
    ink_map: bytes = b"",
    refused: Iterable[EndedDegradation] = (),
) -> PageSummary:
    """Return the summary of a page.

    Args:
        raw: the model's answers.
        page: what was made of them.
        words: the page's own text layer.
        ink_map: where ink is on it; empty if that is not known.
        refused: what its assembly had to simplify besides.
    """
    texts = [block.content for block in page.blocks]
    characters = sum(len(text) for text in texts)
    compared = compare_with_layer(words, texts)
    inked = bool(words) or (raw.ink > INK_OF_A_PAGE and not page.blocks)
    return PageSummary(
        index=page.index,
        blocks=len(page.blocks),
        characters=characters,
        agreement=None if compared is None else compared.agreement,
        degradations=tuple(asdict(ended) for ended in (*page.degradations, *refused)),
        repetitive=any(is_degenerate(text) for text in texts),
        missing_text=inked and not characters,
        kinds=dict(Counter(block.type for block in page.blocks)),
        uncovered_ink=uncovered_ink(ink_map, [block.bbox for block in page.blocks]),
        surplus=None if compared is None else compared.surplus,
        # Where the page has words of its own, these cost more than they tell.
        odd_words=None if words else odd_word_share(texts),
        repeated=None if words else repeated_share(texts),
    )
