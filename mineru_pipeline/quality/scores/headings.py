"""The family headings: is each title of the truth a heading of the parse, and no other text one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mineru_pipeline.quality.scores.distance import likeness
from mineru_pipeline.quality.scores.model import Score, f1, share
from mineru_pipeline.quality.scores.normal import normalise
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Similarity from which a heading is that title; misread characters are the text's matter.
MIN_SIMILAR = 0.6
#: Titles times headings that are compared; a document has some dozens of each.
_MAX_PAIRS = 1_000_000


@dataclass(frozen=True, slots=True)
class Headings:
    """Titles with their page, level and whether and on which level they were found; headings left over by page."""

    #: Page, level, level in the parse or ``None`` where it is no heading.
    titles: tuple[tuple[int, int | None, int | None], ...]
    invented: tuple[int, ...]


def find_headings(truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock]) -> Headings:
    """Pair titles with headings by their text, the most similar first and the nearest page among equals."""
    titles = [(block, normalise(block.content)) for block in truth if block.kind is TruthKind.TITLE]
    headings = [(block, normalise(block.content)) for block in parsed if block.kind is ParsedKind.TITLE]
    if len(titles) * len(headings) > _MAX_PAIRS:
        headings = headings[: _MAX_PAIRS // len(titles)]
    pairs = []
    for number, (title, text) in enumerate(titles):
        for other, (heading, found) in enumerate(headings):
            alike = likeness(text, found, MIN_SIMILAR)
            if alike:
                pairs.append((-alike, abs(title.page - heading.page), number, other))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, number, other in sorted(pairs):
        if number not in matched and other not in taken:
            matched[number] = other
            taken.add(other)
    return Headings(
        tuple(
            (title.page, title.level, headings[matched[number]][0].level if number in matched else None)
            for number, (title, _) in enumerate(titles)
        ),
        tuple(heading.page for other, (heading, _) in enumerate(headings) if other not in taken),
    )


def headings_score(headings: Headings, page: int | None = None) -> Score:
    """F1 of titles; ``levels`` is the share on the right level of those found; ``None`` without titles."""
    titles = [title for title in headings.titles if page in {None, title[0]}]
    found = [(level, came) for _, level, came in titles if came is not None]
    invented = sum(page in {None, place} for place in headings.invented)
    recall = share(len(found), len(titles))
    precision = share(len(found), len(found) + invented)
    levels = share(sum(level == came for level, came in found), len(found))
    measures = {"recall": recall, "precision": precision, "levels": levels, "wanted": len(titles), "invented": invented}
    return Score(f1(precision, recall), measures)
