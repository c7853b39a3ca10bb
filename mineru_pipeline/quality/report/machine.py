"""The report for machines: JSON with sorted keys, the same bytes for the same input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from mineru_pipeline.quality.report import ranking
from mineru_pipeline.quality.report.model import Compared, Head, Pair
from mineru_pipeline.quality.scores.model import BlockState, DocumentScores, Family, rounded
from mineru_pipeline.quality.scores.summary import summarise

SCHEMA: Final = 1


def report_json(head: Head, compared: Compared) -> str:
    """What was compared, the judgement, the means by stratum, and each document with every block that is not whole.

    Of the seed that is held back there are means alone. Dates are those of ``head`` and nowhere else, so that
    everything below other keys is the same for the same scores.
    """
    pairs = compared.pairs()
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "head": asdict(head),
        "decision": compared.decision,
        "objections": list(compared.objections),
        "judgement": asdict(compared.judgement) if compared.judgement else None,
        "candidate": _means(compared.candidate, hidden=head.held_back),
        "baseline": _means(compared.baseline, hidden=head.held_back) if compared.baseline else None,
    }
    if not head.held_back:
        value["changes"] = {
            family.value: [asdict(change) for change in ranking.changes(pairs, family)] for family in Family
        }
        value["documents"] = [_document(pair) for pair in pairs]
    return json.dumps(rounded(value), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _means(scores: Sequence[DocumentScores], *, hidden: bool) -> dict[str, Any]:
    found = summarise(scores)
    if not hidden:
        return asdict(found)
    strata = {"all": found.overall, **found.strata}
    return {name: {family.value: means[family].mean for family in Family} for name, means in strata.items()}


def _document(pair: Pair) -> dict[str, Any]:
    after = pair.after
    return {
        "name": after.name,
        "stratum": after.stratum,
        "languages": list(after.languages),
        "scores": after.families,
        "baseline": pair.before.families if pair.before else None,
        "catastrophic": {str(page.page): page.catastrophe for page in after.pages if page.catastrophe},
        "blocks": [
            {
                "id": trace.block.id,
                "kind": trace.block.kind,
                "page": trace.block.page,
                "state": trace.block.state,
                "similarity": trace.block.similarity,
                "baseline": {"state": trace.before.state, "similarity": trace.before.similarity}
                if trace.before
                else None,
                "entries": list(trace.block.entries),
            }
            for trace in ranking.traces(pair)
            if trace.block.state is not BlockState.FOUND or trace.worse
        ],
        "invented": list(after.invented),
    }
