"""What goes into a gate and what comes out: paired scores, verdicts, and the judgement over all families."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from mineru_pipeline.errors import GateInputError

#: Digits behind the point of every figure in a verdict; what is below is noise of floating point.
DIGITS: Final = 6
#: How many documents an error names.
_NAMED: Final = 5


class Decision(StrEnum):
    """What a gate says. Only ``accept`` lets a candidate go out."""

    ACCEPT = "accept"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


class Kind(StrEnum):
    """What is estimated of a family: how much of the baseline's mean is kept, or how far the mean moved."""

    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class PairedScores:
    """The scores (0-1, higher is better) of one family for the same documents, in the order in which they came.

    Raises:
        GateInputError: lengths differ, a document comes twice, or a score is not a number from 0 to 1.
    """

    family: str
    documents: tuple[str, ...]
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.documents) == len(self.baseline) == len(self.candidate):
            lengths = (len(self.documents), len(self.baseline), len(self.candidate))
            raise GateInputError(f"{self.family}: documents, baseline and candidate differ in number: {lengths}")
        if len(set(self.documents)) < len(self.documents):
            twice = sorted({name for name in self.documents if self.documents.count(name) > 1})
            raise GateInputError(f"{self.family}: a document counts once, but these come twice: {_named(twice)}")
        for side, scores in (("baseline", self.baseline), ("candidate", self.candidate)):
            wrong = [name for name, score in zip(self.documents, scores, strict=True) if not 0 <= score <= 1]
            if wrong:  # A NaN is neither below nor above, and lands here, too.
                raise GateInputError(f"{self.family}: the {side} has no score from 0 to 1 for {_named(wrong)}")

    @classmethod
    def of(
        cls, family: str, baseline: Mapping[str, float | None], candidate: Mapping[str, float | None]
    ) -> PairedScores:
        """Pair scores by the names of their documents; what is ``None`` on both sides is left out.

        Raises:
            GateInputError: a document has a score on one side only.
        """
        for side, here, there in (("baseline", baseline, candidate), ("candidate", candidate, baseline)):
            alone = sorted(name for name, score in here.items() if score is not None and there.get(name) is None)
            if alone:
                raise GateInputError(f"{family}: only the {side} has a score for {_named(alone)}")
        names = sorted(name for name, score in baseline.items() if score is not None)
        before, after = (tuple(_number(side[name]) for name in names) for side in (baseline, candidate))
        return cls(family, tuple(names), before, after)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says about one family, with the figures that it says it on."""

    family: str
    decision: Decision
    #: For people: what was found, against what, and what follows.
    reason: str
    kind: Kind
    #: The ratio of the means, or their difference; ``None`` where there is none.
    estimate: float | None
    #: One-sided bounds of it, each wrong with a probability of at most ``alpha``.
    lower: float | None
    upper: float | None
    #: Accepted from this lower bound on; rejected only with an upper bound below ``tolerated``.
    margin: float
    tolerated: float
    alpha: float
    documents: int
    #: p-value of "worse than tolerated", for the correction over several families.
    p_worse: float | None
    #: The chance that an equal candidate is accepted on so many documents with the noise found here.
    power: float | None
    method: str

    @property
    def is_lower(self) -> bool:
        """Whether a loss is shown, be it one that is tolerated: the upper bound lies below "as good as before"."""
        return self.upper is not None and self.upper < (1.0 if self.kind is Kind.RATIO else 0.0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts of all families and what follows from them together."""

    decision: Decision
    reason: str
    alpha: float
    verdicts: tuple[Verdict, ...]
    #: Families that have scores but no gate.
    ungated: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return it as JSON, the same bytes for the same judgement."""
        return dumped(asdict(self))


class Gate(Protocol):
    """Anything that compares a candidate with a baseline on the same documents."""

    @property
    def alpha(self) -> float:
        """The probability of a wrong accept, and of a wrong reject, in one family."""
        ...

    def judge(self, paired: PairedScores) -> Verdict:
        """Return the verdict on one family; raises GateInputError for a family without a policy."""
        ...


def dumped(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and :data:`DIGITS` digits; infinities and NaN do not occur in it."""
    return json.dumps(_rounded(value), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def rounded(value: float) -> float | None:
    """A figure for a verdict; ``None`` for what is not a finite number."""
    return round(float(value), DIGITS) + 0.0 if math.isfinite(value) else None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _number(score: float | None) -> float:
    return math.nan if score is None else float(score)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
