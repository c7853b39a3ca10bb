"""What each family has to keep, and what "x % worse" means in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates.model import Kind

Array = NDArray[np.float64]


class Gains(NamedTuple):
    """For each document how far it speaks for a claim, and the least value that can be."""

    values: Array
    floor: float | Array


@dataclass(frozen=True, slots=True)
class Policy:
    """The two lines of a family: what must be kept, and what loss is too small to be called one.

    "x % worse" is, of a ``ratio``, a mean of (100 − x) % of the baseline's; of a ``difference``, a mean that is
    x hundredths lower.
    """

    kind: Kind = Kind.RATIO
    #: Accepted when it is shown to be at least this.
    margin: float = 0.95
    #: Rejected when it is shown to be below this; between the two nobody is rejected and, with enough documents,
    #: everybody is accepted.
    tolerated: float = 0.98
    #: With fewer documents the verdict is inconclusive.
    minimum: int = 20

    def estimate(self, baseline: Array, candidate: Array) -> Array:
        """The ratio or the difference of the means over the last axis; NaN for a ratio to nothing."""
        before, after = baseline.mean(-1), candidate.mean(-1)
        if self.kind is Kind.DIFFERENCE:
            return np.asarray(after - before)
        return np.asarray(np.divide(after, before, out=np.full_like(after, np.nan), where=before > 0))

    def better(self, baseline: Array, candidate: Array, than: float | Array) -> Gains:
        """Gains whose mean is above zero exactly when the estimate is above ``than``."""
        if self.kind is Kind.DIFFERENCE:
            return Gains(candidate - baseline - than, -1 - than)
        return Gains(candidate - than * baseline, -than)

    def worse(self, baseline: Array, candidate: Array, than: float | Array) -> Gains:
        """Gains whose mean is above zero exactly when the estimate is below ``than``."""
        if self.kind is Kind.DIFFERENCE:
            return Gains(baseline - candidate + than, -1 + than)
        return Gains(than * baseline - candidate, -1.0)


#: Catastrophic pages are rare. 95 % of the share of good pages would let six pages in a hundred be lost, and 95 %
#: of the share of bad ones is nothing where the baseline has none, so this family has a difference as its margin.
#: What it takes to show it grows as the margin shrinks (docs/quality.md): 65 documents for five pages in a hundred.
PAGES: Final = Policy(Kind.DIFFERENCE, margin=-0.05, tolerated=-0.02)

#: The families that decide. Others may be scored; a judgement names them as not gated.
POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "text": Policy(),
        "digits": Policy(),
        "tables": Policy(),
        "headings": Policy(),
        "order": Policy(),
        "leakage": Policy(),
        "repetition": Policy(),
        "pages": PAGES,
    }
)


def policy_of(policies: Mapping[str, Policy], family: str) -> Policy:
    """The policy of a family.

    Raises:
        GateInputError: it has none.
    """
    if family not in policies:
        raise GateInputError(f"there is no gate for the family {family!r}; there are {', '.join(sorted(policies))}")
    return policies[family]
