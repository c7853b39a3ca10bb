"""Scores one document: its truth against the ``content_list.json`` of a parse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mineru_pipeline.quality.scores.distance import similarity
from mineru_pipeline.quality.scores.formulas import FormulaScore, compare_formulas, formulas_score
from mineru_pipeline.quality.scores.headings import Headings, find_headings, headings_score
from mineru_pipeline.quality.scores.margins import Margin, find_margins, leakage_score
from mineru_pipeline.quality.scores.model import (
    BlockScore,
    DocumentScores,
    Family,
    PageScore,
    Score,
    share,
    state_of,
)
from mineru_pipeline.quality.scores.order import order_score
from mineru_pipeline.quality.scores.parsed import Entry, ParsedBlock, ParsedKind, read_content_list
from mineru_pipeline.quality.scores.repetition import Repetition, find_repetition
from mineru_pipeline.quality.scores.tables import TableScore, compare_tables, tables_score
from mineru_pipeline.quality.scores.words import Text, digits_score, text_score
from mineru_pipeline.quality.truth import MARGINS, DocumentTruth, TruthBlock

#: Words that a page must have before it can be lost, or made up.
PAGE_WORDS = 5
#: A page is catastrophic below this share of words found, or of words that are right.
PAGE_SHARE = 0.2
#: ... or when less than this share of its sequences of words is no repetition.
PAGE_FRESH = 0.5


def score_document(truth: DocumentTruth, entries: Sequence[Entry]) -> DocumentScores:
    """Score the parse of a document against what it says.

    Args:
        truth: what the document says.
        entries: the parsed ``content_list.json``; an empty list is a document of which nothing was read.

    Raises:
        ScoringInputError: the content list is not what its format allows.
    """
    # Pages that the document does not have count as one, however many a parse may claim.
    blocks = [replace(block, page=min(block.page, truth.pages)) for block in read_content_list(entries)]
    return _Scorer(truth, blocks).result()


class _Scorer:
    """The findings about one document, from which scores of any page can be taken."""

    def __init__(self, truth: DocumentTruth, parsed: Sequence[ParsedBlock]) -> None:
        self._truth = truth
        self._running = [block for block in truth.blocks if block.kind not in MARGINS]
        running = [block for block in parsed if block.kind is not ParsedKind.MARGIN]
        self._text = Text.of(self._running, running)
        self._tables: list[TableScore] = compare_tables(self._running, running)
        self._formulas: list[FormulaScore] = compare_formulas(self._running, running)
        self._headings: Headings = find_headings(self._running, running)
        alignment = self._text.alignment
        self._repetition: Repetition = find_repetition(alignment.truth, alignment.parsed)
        margins = [block for block in truth.blocks if block.kind in MARGINS]
        parsed_margins = [block for block in parsed if block.kind is ParsedKind.MARGIN]
        self._margins: list[Margin] = find_margins(margins, parsed_margins, self._text)
        self._pages = range(max([truth.pages, *(block.page + 1 for block in parsed)]))

    def result(self) -> DocumentScores:
        pages = tuple(self._page(page) for page in self._pages)
        lost = sum(page.catastrophe is not None for page in pages)
        scores = self._scores(None) | {
            Family.PAGES: Score(1.0 - lost / len(pages) if pages else None, {"catastrophic": lost, "pages": len(pages)})
        }
        invented = {self._text.parsed_entries[block] for block in self._text.unclaimed} - self._known_entries()
        truth = self._truth
        blocks = tuple(self._blocks())
        return DocumentScores(
            truth.name, truth.stratum, truth.languages, scores, pages, blocks, tuple(sorted(invented))
        )

    def _scores(self, page: int | None) -> dict[Family, Score]:
        return {
            Family.TEXT: text_score(self._text, page),
            Family.DIGITS: digits_score(self._text, page),
            Family.ORDER: order_score(self._text, page),
            Family.TABLES: tables_score(self._tables, page),
            Family.HEADINGS: headings_score(self._headings, page),
            Family.FORMULAS: formulas_score(self._formulas, page),
            Family.LEAKAGE: leakage_score(self._margins, page),
            Family.REPETITION: self._repetition.score(page),
        }

    def _known_entries(self) -> set[int]:
        """Entries that stand for a table, an equation or a margin of the truth, whatever their words are."""
        own = [table.entries for table in self._tables if table.ids]
        own += [formula.entries for formula in self._formulas if formula.id]
        own += [margin.block.entries for margin in self._margins]
        return {entry for entries in own for entry in entries}

    def _page(self, page: int) -> PageScore:
        scores = self._scores(page)
        catastrophe = self._catastrophe(page)
        scores[Family.PAGES] = Score(0.0 if catastrophe else 1.0)
        return PageScore(page, scores, catastrophe)

    def _catastrophe(self, page: int) -> str | None:
        """Why a page is of no use: ``lost`` (or blank), ``loop``, ``garbage``; all words count, of tables too."""
        text = self._text
        wanted, came = list(text.wanted(frozenset(), page)), list(text.came(frozenset(), page))
        recall = share(sum(text.alignment.found[place] >= 0 for place in wanted), len(wanted))
        precision = share(sum(text.alignment.used[word] for word in came), len(came))
        fresh = self._repetition.score(page).value
        if len(wanted) >= PAGE_WORDS and recall is not None and recall < PAGE_SHARE:
            return "lost"
        if len(came) > 2 * PAGE_WORDS and (fresh or 0.0) < PAGE_FRESH:
            return "loop"
        if len(came) > max(len(wanted), PAGE_WORDS) and precision is not None and precision < PAGE_SHARE:
            return "garbage"
        return None

    def _blocks(self) -> list[BlockScore]:
        """Every block of the truth in its order."""
        own: dict[str, tuple[float, tuple[int, ...]]] = {
            name: (table.teds, table.entries) for table in self._tables for name in table.ids
        }
        own |= {formula.id: (formula.similarity, formula.entries) for formula in self._formulas if formula.id}
        pieces = self._text.alignment.counterparts()
        found = {
            block.id: self._block(number, block, pieces[number], own) for number, block in enumerate(self._running)
        }
        found |= {margin.block.id: margin.block for margin in self._margins}
        return [found[block.id] for block in self._truth.blocks]

    def _block(
        self, number: int, block: TruthBlock, pieces: Sequence[range], own: dict[str, tuple[float, tuple[int, ...]]]
    ) -> BlockScore:
        text, alignment = self._text, self._text.alignment
        span = alignment.truth.spans[number]
        recall = share(sum(alignment.found[place] >= 0 for place in span), len(span))
        found = [text.parsed_entries[alignment.parsed.blocks[piece.start]] for piece in pieces]
        alike, entries = own.get(block.id, (similarity(alignment.truth.texts[number], text.counterparts[number]), ()))
        recall = 1.0 if recall is None else recall
        where = entries or tuple(dict.fromkeys(found))
        return BlockScore(block.id, block.kind, block.page, state_of(alike), alike, recall, len(span), where)
