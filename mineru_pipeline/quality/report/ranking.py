"""Which pages and documents a report shows first: those that lost most, those that are worst, those that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mineru_pipeline.quality.gates.policy import POLICIES
from mineru_pipeline.quality.report.model import Limits, Pair
from mineru_pipeline.quality.scores.model import BlockScore, BlockState, DocumentScores, Family, PageScore

#: A smaller difference of two scores is no change worth showing; what is below is rounding.
NOTICEABLE: Final = 0.0005
#: A page whose lowest score is above this is not called one of the worst.
_FINE: Final = 0.98


@dataclass(frozen=True, slots=True)
class RankedPage:
    """A page, and why it is shown."""

    pair: Pair
    page: int
    #: The family that lost most or, among the worst, is lowest.
    family: Family
    before: float | None
    after: float
    #: How much of the score was lost against the baseline.
    loss: float = 0.0

    @property
    def key(self) -> tuple[str, int]:
        """Document and page."""
        return self.pair.name, self.page


@dataclass(frozen=True, slots=True)
class Change:
    """A document whose score moved in one family."""

    name: str
    stratum: str
    before: float
    after: float

    @property
    def delta(self) -> float:
        """Above zero where the candidate is better."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Trace:
    """One block of the truth in both parses; ``before`` is ``None`` where there is no baseline."""

    block: BlockScore
    before: BlockScore | None

    @property
    def worse(self) -> bool:
        """Whether it was better in the baseline."""
        if self.before is None:
            return False
        return self.block.state is not self.before.state and self.before.similarity > self.block.similarity + NOTICEABLE

    @property
    def told(self) -> bool:
        """Whether it has a line of its own: it is lost or leaked, or it was better."""
        return self.worse or self.block.state in {BlockState.LOST, BlockState.LEAKED}


def lost_most(pairs: Iterable[Pair], limits: Limits) -> list[RankedPage]:
    """Pages by what they lost against the baseline in the deciding family that lost most."""
    found = [ranked for pair in pairs for ranked in _losses(pair)]
    found.sort(key=lambda ranked: (-round(ranked.loss, 6), ranked.after, ranked.key))
    return _capped(found, limits.lost_pages, limits)


def worst(pairs: Iterable[Pair], limits: Limits, besides: Sequence[RankedPage] = ()) -> list[RankedPage]:
    """Pages by their lowest score in a deciding family, whatever it was before, without those that are shown anyway."""
    shown = {ranked.key for ranked in besides}
    found = [ranked for pair in pairs for ranked in _lows(pair) if ranked.key not in shown]
    found.sort(key=lambda ranked: (round(ranked.after, 6), ranked.key))
    return _capped(found, limits.worst_pages, limits)


def changes(pairs: Iterable[Pair], family: Family) -> list[Change]:
    """Documents whose score in a family moved, the greatest loss first."""
    found = []
    for pair in pairs:
        before, after = (side.families[family] if side else None for side in (pair.before, pair.after))
        if before is not None and after is not None and abs(after - before) > NOTICEABLE:
            found.append(Change(pair.name, pair.after.stratum, before, after))
    return sorted(found, key=lambda change: (round(change.delta, 6), change.name))


def traces(pair: Pair) -> list[Trace]:
    """Every block of the truth of a document, in reading order."""
    before = {block.id: block for block in pair.before.blocks} if pair.before else {}
    return [Trace(block, before.get(block.id)) for block in pair.after.blocks]


def states(scores: DocumentScores) -> Counter[BlockState]:
    """How many blocks are in which state."""
    return Counter(block.state for block in scores.blocks)


def by_need(pairs: Iterable[Pair]) -> list[Pair]:
    """Documents in the order in which somebody should look at them: most blocks lost, leaked and spoilt first."""

    def need(pair: Pair) -> tuple[int, int, str]:
        count = states(pair.after)
        gone = count[BlockState.LOST] + count[BlockState.LEAKED]
        return -gone, -count[BlockState.PARTIAL], pair.name

    return sorted(pairs, key=need)


def _losses(pair: Pair) -> Iterable[RankedPage]:
    if pair.before is None:
        return
    before = {page.page: page for page in pair.before.pages}
    for page in pair.after.pages:
        found = []
        for family, score in _scored(page):
            was = _reference(pair, pair.before, before.get(page.page), family)
            if was is not None and was - score > NOTICEABLE:
                known = before[page.page].scores[family].value if before else None
                found.append(RankedPage(pair, page.page, family, known, score, was - score))
        if found:
            yield max(found, key=lambda ranked: ranked.loss)


def _reference(pair: Pair, before: DocumentScores, page: PageScore | None, family: Family) -> float | None:
    """What a page scored in the baseline; of a record without pages what its document did, if that has lost."""
    if before.pages:
        return page.scores[family].value if page else None
    was, now = before.families[family], pair.after.families[family]
    return was if was is not None and now is not None and was - now > NOTICEABLE else None


def _lows(pair: Pair) -> Iterable[RankedPage]:
    before = {page.page: page for page in pair.before.pages} if pair.before else {}
    for page in pair.after.pages:
        scored = [(score, family) for family, score in _scored(page) if score < _FINE]
        if scored:
            score, family = min(scored, key=lambda pair: pair[0])
            known = before.get(page.page)
            yield RankedPage(pair, page.page, family, known.scores[family].value if known else None, score)


def _scored(page: PageScore) -> list[tuple[Family, float]]:
    """The deciding families of a page that have a score, in their order."""
    return [
        (family, value)
        for family in Family
        if family.value in POLICIES and family in page.scores and (value := page.scores[family].value) is not None
    ]


def _capped(pages: Sequence[RankedPage], number: int, limits: Limits) -> list[RankedPage]:
    """The first ``number`` pages, of which no family has more than a third as long as there are others."""
    taken: dict[tuple[str, int], RankedPage] = {}
    for each in (max(1, number // 3), number):
        documents = Counter(ranked.pair.name for ranked in taken.values())
        families = Counter(ranked.family for ranked in taken.values())
        for ranked in pages:
            free = documents[ranked.pair.name] < limits.pages_per_document and families[ranked.family] < each
            if free and len(taken) < number and ranked.key not in taken:
                taken[ranked.key] = ranked
                documents[ranked.pair.name] += 1
                families[ranked.family] += 1
    return [ranked for ranked in pages if ranked.key in taken]
