"""What scoring a document gives: families, measures, pages and blocks, as JSON that is the same each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from mineru_pipeline.quality.reading import decoded
from mineru_pipeline.quality.truth import TruthKind

#: Raise it with every change that gives other scores for the same parse; a test notices when it was forgotten. Scores
#: of different versions are not compared.
SCORES_VERSION: Final = 1
#: Digits behind the point that are kept of every score; what is below is noise of floating point.
DIGITS: Final = 6
#: From which similarity a block counts as found, and below which as lost.
FOUND, LOST = 0.95, 0.2


class Family(StrEnum):
    """What is scored apart, each 0-1 with 1 for the best."""

    TEXT = "text"
    DIGITS = "digits"
    ORDER = "order"
    TABLES = "tables"
    HEADINGS = "headings"
    FORMULAS = "formulas"
    LEAKAGE = "leakage"
    REPETITION = "repetition"
    PAGES = "pages"


class BlockState(StrEnum):
    """What became of a block of the truth."""

    FOUND = "found"
    PARTIAL = "partial"
    LOST = "lost"
    #: Of a header, footer or page number: it stands in the running text.
    LEAKED = "leaked"


def state_of(similarity: float) -> BlockState:
    """The state that goes with a similarity."""
    if similarity >= FOUND:
        return BlockState.FOUND
    return BlockState.LOST if similarity < LOST else BlockState.PARTIAL


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one family in one document or page; ``None`` where the truth has nothing to score.

    Whether it is ``None`` depends on the truth alone: two parses of one document have scores in the same families.
    """

    value: float | None
    #: What it is made of: shares 0-1, counts. A count that is read back has to stay one, or its bytes would differ.
    measures: Mapping[str, float | int | None] = field(default_factory=dict)


Scores = Mapping[Family, Score]


@dataclass(frozen=True, slots=True)
class BlockScore:
    """What became of one block of the truth."""

    id: str
    kind: TruthKind
    #: The page on which it begins, counted from 0.
    page: int
    state: BlockState
    #: 0-1: of characters; TEDS of a table, edit similarity of an equation's tokens.
    similarity: float
    #: Share of its words that were found anywhere, and how many it has.
    recall: float
    words: int
    #: The entries of ``content_list.json`` in which it was found, in order.
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PageScore:
    """The families of one page."""

    page: int
    scores: Scores
    #: Why the page is catastrophic: ``lost``, ``loop`` or ``garbage``; ``None`` where it is not.
    catastrophe: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """All scores of one document."""

    name: str
    stratum: str
    languages: tuple[str, ...]
    scores: Scores
    pages: tuple[PageScore, ...]
    blocks: tuple[BlockScore, ...]
    #: Entries of ``content_list.json`` whose words stand for nothing in the truth.
    invented: tuple[int, ...] = ()

    @property
    def families(self) -> dict[Family, float | None]:
        """The score of each family."""
        return {family: self.scores[family].value for family in Family}

    def to_json(self) -> str:
        """Return the scores as JSON that :meth:`from_json` reads: keys sorted, no dates, :data:`DIGITS` digits."""
        return json.dumps(rounded(asdict(self)), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DocumentScores:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no such document.
        """
        read = decoded(cls, text)
        for scores in (read.scores, *(page.scores for page in read.pages)):
            if missing := [family.value for family in Family if family not in scores]:
                raise ValueError(f"it has no scores of {', '.join(missing)}")
            if not all(0 <= score.value <= 1 for score in scores.values() if score.value is not None):
                raise ValueError("a score is not from 0 to 1")
        return read


def rounded(value: Any) -> Any:
    """A JSON value with every number rounded, so that equal scores are equal bytes."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def share(part: float, whole: float) -> float | None:
    """``part`` of ``whole``; ``None`` of nothing."""
    return part / whole if whole else None


def f1(precision: float | None, recall: float | None) -> float | None:
    """The harmonic mean; ``None`` where nothing was to be found, 0 where nothing came."""
    if recall is None:
        return None
    precision = precision or 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
