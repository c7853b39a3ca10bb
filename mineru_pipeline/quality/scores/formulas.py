"""The family formulas: edit similarity of displayed equations' LaTeX.

It compares how a formula is written, in tokens of a normal form, and not what it shows: a formula that is
right in another spelling scores less than 1. Formulas within text count as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mineru_pipeline.quality.scores.distance import likeness
from mineru_pipeline.quality.scores.latex import latex_tokens
from mineru_pipeline.quality.scores.model import Score, share
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Similarity from which two formulas are the same one.
MIN_SIMILAR = 0.3
_MAX_PAIRS = 200_000


@dataclass(frozen=True, slots=True)
class FormulaScore:
    """What became of one equation; ``id`` is empty for one that the parse made up."""

    id: str
    page: int
    similarity: float
    entries: tuple[int, ...]


def compare_formulas(truth: Sequence[TruthBlock], parsed: Sequence[ParsedBlock]) -> list[FormulaScore]:
    """Pair equations, the most similar first, then the nearest page, then in order."""
    wanted = [(block, latex_tokens(block.content)) for block in truth if block.kind is TruthKind.EQUATION]
    came = [(block, latex_tokens(block.content)) for block in parsed if block.kind is ParsedKind.EQUATION]
    if wanted and len(wanted) * len(came) > _MAX_PAIRS:
        came = came[: _MAX_PAIRS // len(wanted)]
    pairs = []
    for number, (block, tokens) in enumerate(wanted):
        for other, (candidate, found) in enumerate(came):
            alike = likeness(tokens, found, MIN_SIMILAR)
            if alike:
                pairs.append((-alike, abs(block.page - candidate.page), abs(number - other), number, other))
    matched: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for alike, _, _, number, other in sorted(pairs):
        if number not in matched and other not in taken:
            matched[number] = (other, -alike)
            taken.add(other)
    scores = []
    for number, (block, _) in enumerate(wanted):
        partner = matched.get(number)
        entries = (came[partner[0]][0].entry,) if partner else ()
        scores.append(FormulaScore(block.id, block.page, partner[1] if partner else 0.0, entries))
    made_up = [block for other, (block, _) in enumerate(came) if other not in taken]
    return scores + [FormulaScore("", block.page, 0.0, (block.entry,)) for block in made_up]


def formulas_score(formulas: Sequence[FormulaScore], page: int | None = None) -> Score:
    """Mean edit similarity over equations and those made up; ``None`` where the truth has no equation."""
    here = [formula for formula in formulas if page in {None, formula.page}]
    wanted = [formula for formula in here if formula.id]
    measures = {
        "edit_similarity": share(sum(formula.similarity for formula in wanted), len(wanted)),
        "wanted": len(wanted),
        "missing": sum(not formula.entries for formula in wanted),
        "invented": len(here) - len(wanted),
    }
    return Score(sum(formula.similarity for formula in here) / len(here) if wanted else None, measures)
