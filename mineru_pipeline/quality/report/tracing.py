"""Which blocks of the truth were lost, page by page and for every document, as compact as can be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mineru_pipeline.quality.report.marks import shown as legible
from mineru_pipeline.quality.report.model import Compared, Pair
from mineru_pipeline.quality.report.ranking import Trace, states, traces
from mineru_pipeline.quality.report.sheets import anchor_of
from mineru_pipeline.quality.scores.grid import read_table
from mineru_pipeline.quality.scores.model import BlockState
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Blocks of one page that have a line or a mark of their own.
MAX_LINES: Final = 40
MAX_MARKS: Final = 200
_SNIPPET: Final = 140


@dataclass(frozen=True, slots=True)
class Line:
    """One block that was lost, leaked, or better in the baseline."""

    trace: Trace
    kind: str
    #: How it begins.
    snippet: str


@dataclass(frozen=True, slots=True)
class PageTrace:
    """The blocks of one page in reading order."""

    number: int
    catastrophe: str | None
    #: Where the report shows the page, if it does.
    anchor: str
    marks: tuple[Trace, ...]
    lines: tuple[Line, ...]
    #: How many lines and marks are left out.
    more_lines: int
    more_marks: int


@dataclass(frozen=True, slots=True)
class DocumentTrace:
    """One document: how many blocks are in which state, and its pages."""

    pair: Pair
    counts: tuple[tuple[BlockState, int], ...]
    blocks: int
    worse: int
    pages: tuple[PageTrace, ...]
    #: Entries of the parse that stand for nothing in the truth.
    invented: int


def document_trace(pair: Pair, compared: Compared, shown: Collection[tuple[str, int]]) -> DocumentTrace:
    """The blocks of a document by page; ``shown`` are the pages to which a link leads."""
    truth = compared.truths.get(pair.name)
    contents = {block.id: block for block in truth.blocks} if truth else {}
    found, count = traces(pair), states(pair.after)
    pages = []
    for score in pair.after.pages:
        here = [trace for trace in found if trace.block.page == score.page]
        told = [trace for trace in here if trace.told]
        lines = [
            Line(trace, trace.block.kind.replace("_", " "), _beginning(contents.get(trace.block.id)))
            for trace in told[:MAX_LINES]
        ]
        anchor = anchor_of(pair.name, score.page) if (pair.name, score.page) in shown else ""
        pages.append(
            PageTrace(
                score.page + 1,
                score.catastrophe,
                anchor,
                tuple(here[:MAX_MARKS]),
                tuple(lines),
                len(told) - len(lines),
                max(0, len(here) - MAX_MARKS),
            )
        )
    counts = tuple((state, count[state]) for state in BlockState if count[state])
    worse = sum(trace.worse for trace in found)
    return DocumentTrace(pair, counts, len(found), worse, tuple(pages), len(pair.after.invented))


def _beginning(block: TruthBlock | None) -> str:
    if block is None:
        return ""
    words = block.content
    if block.kind is TruthKind.TABLE:
        words = " · ".join(text for text in read_table(words).texts if text)
    clean = " ".join(legible(words).split())
    return clean if len(clean) <= _SNIPPET else f"{clean[:_SNIPPET]}…"
