"""What the shipped gates and the shipped drift detector do on simulated documents, many times over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.gate_scenarios import Scenario, pages
from mineru_pipeline.quality.gates import drift, ranks
from mineru_pipeline.quality.gates.corpus import CorpusGate, seed_of
from mineru_pipeline.quality.gates.drift import SIGNALS, Detector, Side
from mineru_pipeline.quality.gates.judge import combine
from mineru_pipeline.quality.gates.model import Decision, PairedScores
from mineru_pipeline.quality.gates.policy import PAGES, POLICIES, Policy
from mineru_pipeline.quality.gates.sequential import SequentialGate

Array = NDArray[np.float64]
#: Documents with tables, of a corpus in which the other families have scores (nearly) everywhere: 45 of 90.
TABLES_SHARE: Final = 0.5
#: Comparisons that are resampled at once: each takes 80 kB.
_CHUNK: Final = 500
#: Correlation of two signals of a document.
_COMMON: Final = 0.5


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each decision was made, and after how many documents (median and 80th percentile) if made at all."""

    accept: float
    reject: float
    median: float | None = None
    most: float | None = None

    @property
    def inconclusive(self) -> float:
        """The rest."""
        return 1 - self.accept - self.reject


def on_corpus(draw: Scenario, truth: float, *, documents: int, seeds: int, policy: Policy | None = None) -> Shares:
    """Decisions of the corpus gate about one family."""
    policy = policy or POLICIES["text"]
    gate = CorpusGate()
    baseline, candidate = draw(np.random.default_rng(documents), (seeds, documents), truth)
    accepted, rejected = [], []
    for start in range(0, seeds, _CHUNK):
        some = slice(start, start + _CHUNK)
        found = gate.measure(policy, baseline[some], candidate[some], seed_of([str(documents)]))
        accepted.append(found.accepted(policy))
        rejected.append(found.rejected(policy, gate.alpha))
    return Shares(float(np.concatenate(accepted).mean()), float(np.concatenate(rejected).mean()))


def on_stream(draw: Scenario, truth: float, *, seeds: int, policy: Policy | None = None) -> Shares:
    """Decisions of the sequential gate about one family, looking after every document up to its budget."""
    policy = policy or POLICIES["text"]
    gate = SequentialGate()
    baseline, candidate = draw(np.random.default_rng(seeds), (seeds, gate.budget), truth)
    accepted, rejected = gate.crossings(gate.evidence(policy, baseline, candidate))
    took = np.minimum(accepted, rejected)
    decided = took[took <= gate.budget]
    return Shares(
        accept=float(((accepted <= rejected) & (accepted <= gate.budget)).mean()),
        reject=float((rejected < accepted).mean()),
        median=float(np.median(decided)) if len(decided) else None,
        most=float(np.quantile(took, 0.8)) if np.quantile(took, 0.8) <= gate.budget else None,
    )


def overall(draw: Scenario, worse: Mapping[str, float], *, documents: int, seeds: int) -> Shares:
    """Judgements over all families, of which some are ``worse`` by a share (0-1); tables in fewer documents."""
    gate = CorpusGate()
    rng = np.random.default_rng(seeds + documents)
    verdicts = []
    for family, policy in POLICIES.items():
        count = max(policy.minimum, round(documents * TABLES_SHARE)) if family == "tables" else documents
        loss = worse.get(family, 0.0)
        pairs = pages(rng, (seeds, count), loss) if policy is PAGES else draw(rng, (seeds, count), 1 - loss)
        names = tuple(f"{number:03}" for number in range(count))
        sides = zip(*(side.tolist() for side in pairs), strict=True)
        verdicts.append(gate.judge_many([PairedScores(family, names, tuple(b), tuple(c)) for b, c in sides]))
    decisions = [combine(each, gate.alpha).decision for each in zip(*verdicts, strict=True)]
    return Shares(decisions.count(Decision.ACCEPT) / seeds, decisions.count(Decision.REJECT) / seeds)


class Live(Protocol):
    """Draws the signals of the next document of each run, runs × signals."""

    def __call__(self, rng: np.random.Generator, runs: int, *, changed: bool) -> Array:
        """After the change, or before it."""
        ...


def live(shift: float) -> Live:
    """Signals as :data:`.drift.SIGNALS` names them, correlated; afterwards one of them is ``shift`` deviations worse.

    The one that moves is the agreement with the text layer. Two of the shares are nearly always zero.
    """

    def draw(rng: np.random.Generator, runs: int, *, changed: bool) -> Array:
        common = rng.normal(size=(runs, 1))
        values = np.sqrt(1 - _COMMON) * rng.normal(size=(runs, len(SIGNALS))) + np.sqrt(_COMMON) * common
        values[:, 0] -= shift * changed
        for place, name in enumerate(SIGNALS):
            if name in {"truncated_share", "repetition_share"}:
                values[:, place] = rng.random(runs) * (rng.random(runs) < 0.02)  # noqa: PLR2004 - two in a hundred
        return np.asarray(values)

    return draw


def truncating(share: float) -> Live:
    """The same, but afterwards a ``share`` of the documents has a truncated block, where two in a hundred had."""

    def draw(rng: np.random.Generator, runs: int, *, changed: bool) -> Array:
        values = live(0.0)(rng, runs, changed=False)
        if changed:
            place = list(SIGNALS).index("truncated_share")
            values[:, place] = rng.random(runs) * (rng.random(runs) < share)
        return values

    return draw


def documents_to_warning(
    detector: Detector,
    draw: Live,
    *,
    runs: int,
    horizon: int,
    changed: bool,
) -> NDArray[np.int64]:
    """Documents after the reference until the warning in each run; one more than ``horizon`` where there was none.

    The same ranks, bets and sums as :meth:`.Detector.observe`, on all runs at once; a test compares them.
    """
    rng = np.random.default_rng(runs + horizon)
    sides: Sequence[Side] = [side for _, side in detector.signals]
    history = np.empty((runs, len(sides), detector.reference + horizon))
    for place in range(detector.reference):
        history[:, :, place] = draw(rng, runs, changed=False)
    wealth = [np.zeros((runs, drift.bets_of(side))) for side in sides]
    first = np.full(runs, horizon + 1)
    for number in range(horizon):
        place = detector.reference + number
        values = draw(rng, runs, changed=changed)
        before = history[:, :, max(0, place - detector.window) : place]
        p_values = ranks.p_value(before, values, rng.random(values.shape))
        wealth = [drift.evidence(each, p_values[:, at], sides[at]) for at, each in enumerate(wealth)]
        evidence = np.mean([each.mean(-1) for each in wealth], axis=0)
        first[(evidence >= detector.every) & (first > horizon)] = number + 1
        history[:, :, place] = values
        if (first <= horizon).all():
            break
    return first
