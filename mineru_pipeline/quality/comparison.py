"""Compares a measurement with an accepted baseline: the gates, lost documents, catastrophic pages, what changed most.

The result is the same for the same scores, byte by byte; it holds no dates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mineru_pipeline.errors import QualityError
from mineru_pipeline.quality.baselines import Baseline, line_of, remark_on
from mineru_pipeline.quality.extra import needs_extra
from mineru_pipeline.quality.gates.model import Decision, Judgement, PairedScores, dumped
from mineru_pipeline.quality.measurements import HELD_BACK, Measurement
from mineru_pipeline.quality.scores.model import SCORES_VERSION, DocumentScores, Family

#: Changes that a comparison names, the largest first.
MOST_CHANGES: Final = 20


@dataclass(frozen=True, slots=True)
class Catastrophe:
    """A page that is of no use: ``lost``, ``loop`` or ``garbage``; ``page`` counts from 0."""

    document: str
    page: int
    why: str
    #: Whether the baseline lacks it.
    new: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A score that differs from the baseline's."""

    document: str
    family: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A document without outputs, and the reason."""

    document: str
    state: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What can be said of a measurement without any baseline."""

    unparsed: tuple[Unparsed, ...] = ()
    catastrophes: tuple[Catastrophe, ...] = ()

    @property
    def new_catastrophes(self) -> tuple[Catastrophe, ...]:
        """Catastrophic pages that the baseline does not have; without a baseline all of them."""
        return tuple(each for each in self.catastrophes if each.new)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measurement against a baseline."""

    baseline: str
    baseline_revision: str
    revision: str
    corpus: str
    #: ``all`` or ``sample-2``.
    selection: str
    documents: int
    #: What must stand beside the figures; "" where they are a model's.
    remark: str
    judgement: Judgement
    findings: Findings
    #: Documents with a score that is lower, and with any that differs.
    lower: int = 0
    different: int = 0
    changes: tuple[Change, ...] = field(default=())
    #: Whether nobody is told of single documents.
    held_back: bool = False

    @property
    def decision(self) -> Decision:
        """What the gates say; a document without a parse or a new catastrophic page is a *reject* in any case."""
        return Decision.REJECT if self.objections else self.judgement.decision

    @property
    def objections(self) -> list[str]:
        """What is against the candidate whatever its means are, a sentence each."""
        found = []
        if unparsed := self.findings.unparsed:
            named = "" if self.held_back else f": {_names(self.findings)}"
            found.append(f"{len(unparsed)} documents have not been parsed{named}.")
        if new := self.findings.new_catastrophes:
            named = "" if self.held_back else f": {_pages(new)}"
            found.append(f"{len(new)} pages are catastrophic that are not in the baseline{named}.")
        return found

    @property
    def reason(self) -> str:
        """Why, in one paragraph."""
        return " ".join([*self.objections, f"The gates say {self.judgement.decision}: {self.judgement.reason}."])

    def to_values(self) -> dict[str, Any]:
        """Return it as plain values, decision and reason included."""
        return {"decision": self.decision, "reason": self.reason, **asdict(self)}

    def to_json(self) -> str:
        """Return it as JSON, the same bytes for the same comparison."""
        return dumped(self.to_values())


def compare(baseline: Baseline, measurement: Measurement, scores: Sequence[DocumentScores]) -> Comparison:
    """Compare the scores of a measurement with a baseline, on the documents that were measured.

    Raises:
        QualityError: they are of different corpora, scorers or lines, or the extra is missing.
    """
    _check_fit(baseline, measurement)
    with needs_extra():
        from mineru_pipeline.quality.gates.corpus import CorpusGate  # workers do not have the extra
        from mineru_pipeline.quality.gates.judge import judge
    paired = [_paired(baseline, scores, family) for family in Family]
    changes = [
        Change(name, one.family, before, after)
        for one in paired
        for name, before, after in zip(one.documents, one.baseline, one.candidate, strict=True)
        if before != after
    ]
    return Comparison(
        baseline=baseline.name,
        baseline_revision=baseline.parser_revision,
        revision=measurement.parser_revision,
        corpus=measurement.corpus,
        selection=measurement.selection.name,
        documents=len(scores),
        remark=remark_on(measurement.model),
        judgement=judge(CorpusGate(), paired),
        findings=find(measurement, scores, baseline),
        lower=len({each.document for each in changes if each.after < each.before}),
        different=len({each.document for each in changes}),
        changes=tuple(sorted(changes, key=lambda c: (c.after - c.before, c.document, c.family))[:MOST_CHANGES]),
        held_back=measurement.selection.seed == HELD_BACK,
    )


def find(measurement: Measurement, scores: Sequence[DocumentScores], baseline: Baseline | None) -> Findings:
    """Return the documents without a parse and the catastrophic pages, new where the baseline lacks them."""
    known = baseline.documents if baseline else {}
    return Findings(
        tuple(Unparsed(each.name, each.state, each.reason, each.message) for each in measurement.unparsed),
        tuple(
            Catastrophe(
                each.name,
                page.page,
                page.catastrophe,
                new=each.name not in known or page.page not in known[each.name].catastrophic,
            )
            for each in scores
            for page in each.pages
            if page.catastrophe
        ),
    )


def no_baseline(measurement: Measurement, known: Sequence[Baseline]) -> str:
    """Say that there is nothing to compare with, and what to do about it."""
    line = line_of(measurement.model)
    of_line = [each for each in known if each.line == line]
    other = sorted({each.corpus for each in of_line})
    more = f" There are some for {', '.join(other)}, which are other documents and say nothing here." if other else ""
    return (
        f"No baseline has been accepted for the corpus {measurement.corpus} and {_called(line)}.{more} If this "
        "measurement is good enough, accept it: mineru-pipeline baseline accept --why '…'"
    )


def _check_fit(baseline: Baseline, measurement: Measurement) -> None:
    if baseline.corpus != measurement.corpus:
        raise QualityError(
            f"The baseline {baseline.name} was measured on the corpus {baseline.corpus}, the candidate on "
            f"{measurement.corpus}: scores of different documents are not compared. Measure and accept a new baseline."
        )
    if baseline.line != line_of(measurement.model):
        raise QualityError(
            f"The baseline {baseline.name} is of {_called(baseline.line)}, the candidate of "
            f"{_called(line_of(measurement.model))}: a stand-in is compared with itself alone."
        )
    if baseline.scores_version != SCORES_VERSION:
        raise QualityError(
            f"The baseline {baseline.name} has scores of version {baseline.scores_version}, this is version "
            f"{SCORES_VERSION}. Measure the accepted system again, and accept what comes out as a new baseline."
        )
    missing = [each.name for each in measurement.documents if each.name not in baseline.documents]
    if missing:
        raise QualityError(f"The baseline {baseline.name} lacks documents of its corpus: {', '.join(missing[:5])}.")
    if left_out := _left_out(baseline, measurement):
        raise QualityError(
            f"The measurement {measurement.name} ({measurement.selection.name}) lacks documents that the baseline "
            f"{baseline.name} has: {_some(left_out)}. The index of its corpus is not whole: remove it, and measure "
            "again."
        )


def _left_out(baseline: Baseline, measurement: Measurement) -> list[str]:
    """What a measurement lacks of what it should have: a gate must not be passed by leaving documents out.

    Documents by name; of a sample, which only the generator knows by name, how many of a stratum.
    """
    sample = measurement.selection.sample
    if sample is None:
        return sorted(baseline.documents.keys() - {each.name for each in measurement.documents})
    measured = Counter(each.stratum for each in measurement.documents)
    wanted = Counter(each.stratum for each in baseline.documents.values())
    return [
        f"{least - measured[stratum]} of the stratum {stratum}"
        for stratum, count in sorted(wanted.items())
        if measured[stratum] < (least := min(count, sample))
    ]


def _paired(baseline: Baseline, scores: Sequence[DocumentScores], family: Family) -> PairedScores:
    return PairedScores.of(
        family.value,
        {each.name: baseline.documents[each.name].families.get(family.value) for each in scores},
        {each.name: each.families[family] for each in scores},
    )


def _called(line: str) -> str:
    return "models" if line == "model" else f"the stand-in {line}"


def _names(findings: Findings) -> str:
    return _some([f"{each.document} ({each.reason or each.state})" for each in findings.unparsed])


def _pages(found: Sequence[Catastrophe]) -> str:
    return _some([f"{each.document} page {each.page + 1} ({each.why})" for each in found])


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
