"""Which fault strikes which request, and a record of all that were struck."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mineru_pipeline.devserver.faults.rules import FaultPlan, FaultRule
from mineru_pipeline.devserver.simulate import SimulatedWork

#: Later strikes are counted, but no longer recorded one by one.
_MAX_RECORDED = 10_000


@dataclass(frozen=True, slots=True)
class Strike:
    """One request that was struck, and what it would have been answered."""

    fault: str
    number: int
    request_id: str
    kind: str
    digest: str
    undisturbed: str


class FaultBook:
    """The rules in force; setting others starts all counts anew."""

    def __init__(self, plan: FaultPlan, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.set(plan)

    def set(self, plan: FaultPlan) -> None:
        """Put ``plan`` in force."""
        self._plan = plan
        self._began = self._now()
        self._number = 0
        self._seen = [0] * len(plan.rules)
        self._struck = [0] * len(plan.rules)
        self._strikes: list[Strike] = []

    def choose(self, work: SimulatedWork, request_id: str) -> FaultRule | None:
        """The rule that strikes this request, the first that matches; it is recorded."""
        self._number += 1
        for index, rule in enumerate(self._plan.rules):
            if self._matches(index, work):
                self._struck[index] += 1
                if len(self._strikes) < _MAX_RECORDED:
                    kind = work.task.name.lower()
                    self._strikes.append(
                        Strike(rule.fault, self._number, request_id, kind, work.digest, work.text),
                    )
                return rule
        return None

    def report(self) -> dict[str, Any]:
        """The rules with how many requests each struck, and every strike."""
        rules = [
            {**rule.model_dump(exclude_unset=True), "struck": struck}
            for rule, struck in zip(self._plan.rules, self._struck, strict=True)
        ]
        return {"requests": self._number, "rules": rules, "strikes": [asdict(strike) for strike in self._strikes]}

    def _matches(self, index: int, work: SimulatedWork) -> bool:
        rule = self._plan.rules[index]
        match = rule.match
        kind = match.kind or ("layout" if rule.fault == "empty-layout" else None)
        dice = f"{self._plan.seed}/{index}/"
        found = (
            kind in (None, work.task.name.lower())
            and _within(self._number, match.requests)
            and _within(self._now() - self._began, match.seconds)
            and work.digest.startswith(match.digest)
            and _throw(dice + work.digest, match.content_share)
            and _throw(f"{dice}{self._number}", match.share)
        )
        if not found:
            return False
        self._seen[index] += 1
        return self._seen[index] % match.every == 0 and (match.times is None or self._struck[index] < match.times)


def _within(value: float, bounds: tuple[float, float | None]) -> bool:
    low, high = bounds
    return low <= value and (high is None or value <= high)


def _throw(dice: str, share: float) -> bool:
    # Not for secrets: the seed makes a batch repeatable.
    return share >= 1 or random.Random(dice).random() < share  # noqa: S311
