"""Assertions that people wrote about single pages, in the format of olmOCR-Bench, checked on a parse.

Five kinds (https://github.com/allenai/olmocr, ``olmocr/bench``): a text is *present* or *absent*, one text
comes before another (*order*), a cell of a *table* stands beside or below certain others, a formula (*math*) is
on the page. Text is compared in the normal form of the scores, with up to ``max_diffs`` edits.

Two things differ from the original. Edits are counted by Levenshtein's distance over the best place in the
text (Sellers 1980), where the original takes a ratio of insertions and deletions. Formulas are compared by
their tokens in normal form, where the original renders both in a browser: a right formula in a spelling of
its own fails here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from mineru_pipeline.errors import ScoringInputError
from mineru_pipeline.quality.scores.distance import edit_distance
from mineru_pipeline.quality.scores.grid import Table, place, read_table
from mineru_pipeline.quality.scores.latex import latex_tokens
from mineru_pipeline.quality.scores.normal import inline_formulas, normalise
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.scores.search import nearest
from mineru_pipeline.quality.scores.side import plain_text


class AssertionKind(StrEnum):
    """What an assertion claims."""

    PRESENT = "present"
    ABSENT = "absent"
    ORDER = "order"
    TABLE = "table"
    MATH = "math"


_TEXTS: Final = ("text", "before", "after", "cell", "math")
_NEEDED: Final = {
    AssertionKind.PRESENT: ("text",),
    AssertionKind.ABSENT: ("text",),
    AssertionKind.ORDER: ("before", "after"),
    AssertionKind.TABLE: ("cell",),
    AssertionKind.MATH: ("math",),
}
#: Steps in the grid from a cell to a neighbour: rows, columns.
_STEPS: Final = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_HEADINGS: Final = {"top_heading": "up", "left_heading": "left"}
_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """One assertion about one page."""

    id: str
    pdf: str
    #: Counted from 1, as in the file.
    page: int
    kind: AssertionKind
    #: ``text``, or ``before`` and ``after``, or ``cell``, or ``math``.
    texts: Mapping[str, str]
    #: Of a cell: ``up``, ``down``, ``left``, ``right``, ``top_heading``, ``left_heading`` and the text expected there.
    relations: Mapping[str, str] = field(default_factory=dict)
    max_diffs: int = 0
    case_sensitive: bool = True
    #: Characters at the start and the end of the page in which to look; 0 for the whole page.
    first_n: int = 0
    last_n: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim holds, and if not, why."""

    claim: Claim
    passed: bool
    why: str = ""


def read_claims(lines: Iterable[str]) -> list[Claim]:
    """Read assertions, a JSON object a line.

    Raises:
        ScoringInputError: a line is not such an assertion; the text gives its number.
    """
    claims = []
    for number, line in enumerate(lines, 1):
        try:
            claims += [_claim(json.loads(line))] if line.strip() else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ScoringInputError(f"Line {number} is not an assertion: {error}") from error
    return claims


def _claim(value: Mapping[str, Any]) -> Claim:
    kind = AssertionKind(value["type"])
    texts = {name: str(value[name]) for name in _TEXTS if value.get(name)}
    missing = [name for name in _NEEDED[kind] if not texts.get(name, "").strip()]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return Claim(
        id=str(value["id"]),
        pdf=str(value["pdf"]),
        page=int(value["page"]),
        kind=kind,
        texts=texts,
        relations={name: str(value[name]) for name in (*_STEPS, *_HEADINGS) if value.get(name)},
        case_sensitive=value.get("case_sensitive", True) is not False,
        **{name: int(value.get(name) or 0) for name in ("max_diffs", "first_n", "last_n")},
    )


def check(claim: Claim, blocks: Sequence[ParsedBlock]) -> Verdict:
    """Check a claim on the blocks of a parse; margins are not part of its text."""
    page = [block for block in blocks if block.page == claim.page - 1 and block.kind is not ParsedKind.MARGIN]
    if claim.kind is AssertionKind.TABLE:
        why = _check_table(claim, [read_table(block.content) for block in page if block.kind is ParsedKind.TABLE])
    elif claim.kind is AssertionKind.MATH:
        why = _check_math(claim, page)
    else:
        text = " ".join(filter(None, map(plain_text, page)))
        why = _check_text(claim, text if claim.case_sensitive else text.casefold())
    return Verdict(claim, not why, why)


def pass_rates(verdicts: Iterable[Verdict]) -> dict[str, dict[str, float]]:
    """Claims that hold, all claims and their share, by kind and for ``all``."""
    every: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for verdict in verdicts:
        for kind in (verdict.claim.kind.value, "all"):
            every[kind] += 1
            passed[kind] += verdict.passed
    return {
        kind: {"passed": passed[kind], "claims": every[kind], "rate": round(passed[kind] / every[kind], 4)}
        for kind in sorted(every)
    }


def _check_text(claim: Claim, text: str) -> str:
    def where(name: str, *, last: bool = False) -> int | None:
        wanted = normalise(claim.texts[name])
        return nearest(wanted if claim.case_sensitive else wanted.casefold(), text, claim.max_diffs, last=last)

    if claim.kind is AssertionKind.ORDER:
        before, after = where("before"), where("after", last=True)
        if before is None or after is None:
            return f"{'before' if before is None else 'after'} is not on the page"
        return "" if before < after else "they come the other way round"
    if claim.first_n or claim.last_n:
        text = text[: claim.first_n] + (text[-claim.last_n :] if claim.last_n else "")
    found = where("text") is not None
    if found == (claim.kind is AssertionKind.PRESENT):
        return ""
    return "it is on the page" if found else "it is not on the page"


def _check_math(claim: Claim, page: Sequence[ParsedBlock]) -> str:
    wanted = latex_tokens(claim.texts["math"])
    formulas = [block.content for block in page if block.kind is ParsedKind.EQUATION]
    formulas += [formula for block in page for formula in inline_formulas(block.content)]
    nearest_one = min((edit_distance(wanted, latex_tokens(formula)) for formula in formulas), default=None)
    if nearest_one is None:
        return "the page has no formula"
    if nearest_one <= claim.max_diffs:
        return ""
    return f"no formula is the same; the nearest differs in {nearest_one} of {len(wanted)} tokens"


def _check_table(claim: Claim, tables: Sequence[Table]) -> str:
    """A cell with the text stands somewhere, with all the neighbours and headings that are named."""
    if not tables:
        return "the page has no table"
    reasons: list[str] = []
    for table in tables:
        slots = place(table)
        for cell in sorted(set(slots.values())):
            if _same(claim, claim.texts["cell"], _text(table, cell)):
                wrong = _wrong_relation(claim, table, slots, cell)
                if not wrong:
                    return ""
                reasons.append(wrong)
    return reasons[0] if reasons else "no cell has this text"


def _wrong_relation(claim: Claim, table: Table, slots: Mapping[_Place, _Place], cell: _Place) -> str:
    for relation, wanted in claim.relations.items():
        step = _STEPS[_HEADINGS.get(relation, relation)]
        found = _headings(table, slots, cell, step) if relation in _HEADINGS else _beside(slots, cell, step)
        texts = [_text(table, other) for other in sorted(found)]
        if not any(_same(claim, wanted, text) for text in texts):
            return f"{relation} is {' | '.join(texts) or 'nothing'}"
    return ""


def _same(claim: Claim, wanted: str, text: str) -> bool:
    wanted = normalise(wanted)
    if not claim.case_sensitive:
        wanted, text = wanted.casefold(), text.casefold()
    # Half of a short text may not be edits, whatever is allowed.
    return edit_distance(wanted, text) <= min(claim.max_diffs, len(wanted) // 2)


def _text(table: Table, cell: _Place) -> str:
    return table.rows[cell[0]][cell[1]].text


def _beside(slots: Mapping[_Place, _Place], cell: _Place, step: _Place) -> set[_Place]:
    """The cells that touch a cell on one side."""
    mine = [slot for slot, owner in slots.items() if owner == cell]
    beside = {slots.get((y + step[0], x + step[1]), cell) for y, x in mine}
    return beside - {cell}


def _headings(table: Table, slots: Mapping[_Place, _Place], cell: _Place, step: _Place) -> set[_Place]:
    """All cells marked as headings on the way from a cell to the edge, or else the cells at the edge."""
    marked, edge = set(), set()
    visited, waiting = {cell}, [cell]
    while waiting:
        current = waiting.pop()
        following = _beside(slots, current, step)
        if table.rows[current[0]][current[1]].heading:
            marked.add(current)
        if not following:
            edge.add(current)
        waiting += sorted(following - visited)
        visited |= following
    return (marked - {cell}) or (edge - {cell})
