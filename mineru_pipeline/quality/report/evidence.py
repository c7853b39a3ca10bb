"""The evidence of a sequential gate over the documents of a comparison, as charts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from markupsafe import Markup

from mineru_pipeline.quality.gates.chart import evidence_chart
from mineru_pipeline.quality.gates.model import PairedScores, Verdict
from mineru_pipeline.quality.gates.pairing import pair
from mineru_pipeline.quality.gates.policy import POLICIES
from mineru_pipeline.quality.gates.sequential import SequentialGate
from mineru_pipeline.quality.report.model import Compared


@dataclass(frozen=True, slots=True)
class Chart:
    """The e-processes of one family, and what the sequential gate would have said."""

    family: str
    verdict: Verdict
    svg: Markup


def charts(compared: Compared) -> list[Chart]:
    """A chart for each family that was judged and has scores."""
    if compared.judgement is None:
        return []
    gate = SequentialGate(alpha=compared.judgement.alpha)
    judged = {verdict.family for verdict in compared.judgement.verdicts} & set(POLICIES)
    paired = [shuffled(one) for one in pair(compared.baseline, compared.candidate) if one.family in judged]
    return [
        # Safe: the chart is written by an XML library.
        Chart(one.family, gate.judge(one), Markup(evidence_chart(one.family, gate.path(one), gate.alpha)))  # noqa: S704
        for one in paired
        if one.documents
    ]


def shuffled(paired: PairedScores) -> PairedScores:
    """The documents in an order that does not hang on their strata, and is the same each time.

    A gate that is looked at on the way needs documents that come as they may, while names sort by stratum.
    """
    order = sorted(
        range(len(paired.documents)), key=lambda place: hashlib.sha256(paired.documents[place].encode()).digest()
    )
    baseline, candidate = (tuple(scores[place] for place in order) for scores in (paired.baseline, paired.candidate))
    return PairedScores(paired.family, tuple(paired.documents[place] for place in order), baseline, candidate)
