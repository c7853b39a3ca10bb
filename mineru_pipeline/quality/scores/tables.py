"""The family tables: each table of the truth against what the parse made of it, by TEDS.

A table that goes on over a page (``continues``) is one table, and so are the parts of the parse that stand for
it; the heading rows that a part repeats count once. Tables find each other by their words, so neither their
number nor their order matters. A table that nothing stands for scores 0, and a table that stands for nothing
adds a 0 of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from mineru_pipeline.quality.scores.grid import Cell, Table, read_table
from mineru_pipeline.quality.scores.model import Score, share
from mineru_pipeline.quality.scores.normal import words_of
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.scores.teds import teds
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Share of common words from which two tables can be the same.
MIN_COMMON = 0.2
#: Share of a further part's words that the truth must still miss.
_MIN_PART = 0.5


@dataclass(frozen=True, slots=True)
class TableScore:
    """What became of one table of the truth, or with no ``ids`` a table that stands for nothing."""

    #: The blocks of the truth that make it.
    ids: tuple[str, ...]
    page: int
    teds: float
    structure: float
    #: The entries of the content list that stand for it.
    entries: tuple[int, ...]


@dataclass(slots=True)
class _Wanted:
    ids: list[str]
    page: int
    tables: list[Table]
    words: Counter[str]
    parts: list[int]


def compare_tables(truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock]) -> list[TableScore]:
    """Score every table of the truth, then name those that the parse made up."""
    wanted = _chains(truth)
    came = [(block, read_table(block.content)) for block in parsed if block.kind is ParsedKind.TABLE]
    words = [_words(table) for _, table in came]
    left = _assign(wanted, [(block.page, bag) for (block, _), bag in zip(came, words, strict=True)])
    scores = []
    for table in wanted:
        parts = sorted(table.parts)
        one, other = joined(table.tables), joined([came[part][1] for part in parts])
        structure = teds(one, other, structure_only=True)
        entries = tuple(came[part][0].entry for part in parts)
        scores.append(TableScore(tuple(table.ids), table.page, teds(one, other), structure, entries))
    made_up = [came[part][0] for part in left]
    return scores + [TableScore((), block.page, 0.0, 0.0, (block.entry,)) for block in made_up]


def tables_score(tables: Sequence[TableScore], page: int | None = None) -> Score:
    """Mean TEDS over the tables of the truth and those made up; ``None`` where the truth has no table."""
    here = [table for table in tables if page in {None, table.page}]
    wanted = [table for table in here if table.ids]
    measures = {
        "teds": share(sum(table.teds for table in wanted), len(wanted)),
        "teds_struct": share(sum(table.structure for table in wanted), len(wanted)),
        "wanted": len(wanted),
        "missing": sum(not table.entries for table in wanted),
        "invented": len(here) - len(wanted),
    }
    return Score(sum(table.teds for table in here) / len(here) if wanted else None, measures)


def joined(tables: Sequence[Table]) -> Table:
    """The parts of a table as one, without the heading rows where a further part repeats them."""
    rows: list[tuple[Cell, ...]] = []
    for table in tables:
        both = zip(table.rows, rows, strict=False)
        repeated = sum(1 for _ in takewhile(lambda pair: _texts(pair[0]) == _texts(pair[1]), both))
        rows += table.rows[repeated:]
    return Table(tuple(rows))


def _texts(row: Sequence[Cell]) -> list[str]:
    return [cell.text for cell in row]


def _words(table: Table) -> Counter[str]:
    return Counter(word.text for text in table.texts for word in words_of(text))


def _chains(truth: Sequence[TruthBlock]) -> list[_Wanted]:
    chains: dict[str, _Wanted] = {}
    for block in truth:
        if block.kind is not TruthKind.TABLE:
            continue
        table = read_table(block.content)
        chain = chains.get(block.continues or "")
        if chain is None:
            chain = _Wanted([], block.page, [], Counter(), [])
        chain.ids.append(block.id)
        chain.tables.append(table)
        chain.words += _words(table)
        chains[block.id] = chain
    return list({id(chain): chain for chain in chains.values()}.values())


def _assign(wanted: Sequence[_Wanted], came: Sequence[tuple[int, Counter[str]]]) -> list[int]:
    """Give each table of the truth its parts; return the numbers of the parse's tables that are left."""
    pairs = []
    for number, table in enumerate(wanted):
        for part, (page, bag) in enumerate(came):
            size = table.words.total() + bag.total()
            alike = 2 * (table.words & bag).total() / size if size else 0.0
            overlap = (table.words & bag).total() / bag.total() if bag else 0.0
            if max(alike, overlap) >= MIN_COMMON:
                pairs.append((-alike, abs(page - table.page), number, part))
    left = set(range(len(came)))
    for _, _, number, part in sorted(pairs):
        table = wanted[number]
        bag = came[part][1]
        missing = table.words - sum((came[other][1] for other in table.parts), Counter())
        if part in left and (not table.parts or (missing & bag).total() >= _MIN_PART * bag.total()):
            table.parts.append(part)
            left.discard(part)
    return sorted(left)
