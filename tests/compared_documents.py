"""Small comparisons for tests of the report: documents of any words, read without fault and spoilt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mineru_pipeline.quality.damage import faithful
from mineru_pipeline.quality.gates.corpus import CorpusGate
from mineru_pipeline.quality.gates.judge import judge
from mineru_pipeline.quality.gates.pairing import pair
from mineru_pipeline.quality.report.model import Compared
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

Entries = Sequence[Mapping[str, Any]]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}<!--picture-->"


def truth_of(
    name: str,
    stratum: str,
    *,
    pages: int = 2,
    said: str = "",
    paragraphs: int = 1,
    kinds: Collection[str] = tuple(TruthKind),
) -> DocumentTruth:
    """A document with a title, paragraphs, a table, a formula and a running head on each page, or some of these."""
    rows = "".join(f"<tr><td>row {row}</td><td>{row * 7}</td></tr>" for row in range(6))
    blocks: list[TruthBlock] = []
    for page in range(pages):
        words = " ".join(f"{name}{page}word{number} {number}" for number in range(30))
        contents = (
            (TruthKind.TITLE, f"Chapter {page} of {name} {said}", 1),
            *((TruthKind.TEXT, f"{said} {words} {number}", None) for number in range(paragraphs)),
            (TruthKind.TABLE, f"<table>{rows}</table>", None),
            (TruthKind.EQUATION, r"a^2 + b^2 = c^2 \tag{1}", None),
            (TruthKind.HEADER, f"Running head of {name}", None),
        )
        wanted = [each for each in contents if each[0] in kinds]
        for number, (kind, content, level) in enumerate(wanted):
            top = 1000 * number // len(wanted)
            box = (100, top, 900, top + 500 // len(wanted))
            blocks.append(TruthBlock(f"p{page}b{number}", kind, page, content, level, box))
    return DocumentTruth(name, stratum, ("en",), pages, tuple(blocks))


def compared_of(truths: Sequence[DocumentTruth], spoil: Callable[[int, Entries], Entries]) -> Compared:
    """A faithful baseline, and a candidate that was spoilt."""
    whole = {truth.name: faithful(truth) for truth in truths}
    spoilt = {truth.name: spoil(number, whole[truth.name]) for number, truth in enumerate(truths)}
    baseline, candidate = (
        [score_document(truth, parses[truth.name]) for truth in truths] for parses in (whole, spoilt)
    )
    judgement = judge(CorpusGate(), pair(baseline, candidate))
    return Compared(candidate, baseline, judgement, {truth.name: truth for truth in truths}, spoilt)
