"""The state of a sequential gate between processes: what was compared so far, and under which rules."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates.model import PairedScores, Verdict, dumped
from mineru_pipeline.quality.gates.policy import policy_of
from mineru_pipeline.quality.gates.sequential import SequentialGate


@dataclass(frozen=True, slots=True)
class Shadow:
    """One family of a candidate in shadow traffic.

    The pairs are kept, not only the wealth: at most :data:`.sequential.BUDGET` of them matter, a document that comes
    again is recognised, and whoever doubts a decision can compute it anew. The rules are kept with them, because
    changing the margin after looking would void the error that is promised.
    """

    gate: SequentialGate
    paired: PairedScores

    @classmethod
    def begin(cls, gate: SequentialGate, family: str) -> Shadow:
        """Nothing compared yet."""
        policy_of(gate.policies, family)
        return cls(gate, PairedScores(family, (), (), ()))

    def add(self, document: str, baseline: float, candidate: float) -> Shadow:
        """Return the state after one more document; one that is there already changes nothing.

        Raises:
            GateInputError: it is there with other scores, or a score is not a number from 0 to 1.
        """
        paired = self.paired
        if document in paired.documents:
            place = paired.documents.index(document)
            if (paired.baseline[place], paired.candidate[place]) == (baseline, candidate):
                return self
            raise GateInputError(f"{paired.family}: {document} was compared before, with other scores")
        longer = PairedScores(
            paired.family,
            (*paired.documents, document),
            (*paired.baseline, baseline),
            (*paired.candidate, candidate),
        )
        return replace(self, paired=longer)

    def verdict(self) -> Verdict:
        """The verdict so far."""
        return self.gate.judge(self.paired)

    def to_json(self) -> str:
        """Return the state as JSON that :meth:`from_json` reads; ``wealth`` is there for people."""
        wealth = {}
        if self.paired.documents:
            path = self.gate.path(self.paired)
            wealth = {"good": math.exp(path.good[-1]), "worse": math.exp(path.worse[-1])}
        value = {"rules": self._rules(), "documents": len(self.paired.documents), "wealth": wealth}
        # Scores as they are, not rounded: the next process has to come to the same evidence.
        return json.dumps({**json.loads(dumped(value)), "paired": asdict(self.paired)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, gate: SequentialGate) -> Shadow:
        """Read what :meth:`to_json` wrote.

        Raises:
            GateInputError: it was begun under other rules, or is no such state.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            paired = value["paired"]
            columns = (tuple(paired[name]) for name in ("documents", "baseline", "candidate"))
            state = cls(gate, PairedScores(paired["family"], *columns))
            rules = value["rules"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GateInputError(f"this is no state of a sequential gate: {error}") from error
        if rules != json.loads(dumped(state._rules())):
            raise GateInputError(f"{state.paired.family}: the comparison was begun under other rules, {rules}")
        return state

    def _rules(self) -> dict[str, Any]:
        policy = policy_of(self.gate.policies, self.paired.family)
        return {"alpha": self.gate.alpha, "budget": self.gate.budget, **asdict(policy)}
