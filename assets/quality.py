"""The quality of the present settings on the corpus as assets, and the checks that can hold up a release."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import dagster as dg

from mineru_pipeline.launch import explained_failures
from mineru_pipeline.parsing.progress import ProgressListener
from mineru_pipeline.quality import bands, baselines, holding, measurements, presentation
from mineru_pipeline.quality.baselines import Baseline, remark_on
from mineru_pipeline.quality.comparison import no_baseline
from mineru_pipeline.quality.examination import Examination, examine
from mineru_pipeline.quality.extra import require_extra
from mineru_pipeline.quality.gates.model import Decision, Verdict
from mineru_pipeline.quality.holding import Holding
from mineru_pipeline.quality.measurements import HELD_BACK, Corpus, Measurement
from mineru_pipeline.quality.scores.model import Family
from mineru_pipeline.quality.scores.summary import Summary
from resources.documents import DocumentStore
from resources.measuring import QualityMeter, name_of

GROUP = "quality"
ROWS_SHOWN = 200

_Metadata = dict[str, dg.MetadataValue]
_Record = Mapping[str, str | int | float]


@dg.asset(group_name=GROUP, kinds={"pdf"})
def baseline_corpus(meter: QualityMeter) -> dg.MaterializeResult[None]:
    """Documents of which it is known what they say; made by a script of ours, the same bytes every time."""
    with explained_failures():
        require_extra()
        corpus = meter.corpus()
    return dg.MaterializeResult(metadata=corpus_metadata(corpus))


@dg.asset(deps=[baseline_corpus], group_name=GROUP, kinds={"markdown"}, pool="vllm")
def baseline_parse(
    context: dg.AssetExecutionContext, meter: QualityMeter, progress: dg.ResourceParam[ProgressListener]
) -> dg.MaterializeResult[None]:
    """The corpus as the present settings parse it; the model is asked anew in each run, and once in its retries."""
    with explained_failures():
        require_extra()
        name, started = _measurement_of(context)
        made = meter.parse(name, started, f"run {context.run.run_id}", progress)
    return dg.MaterializeResult(metadata=parse_metadata(made, meter.figures()))


@dg.asset(deps=[baseline_parse], group_name=GROUP, kinds={"json"})
def quality_scores(
    context: dg.AssetExecutionContext, meter: QualityMeter, store: DocumentStore
) -> dg.MaterializeResult[None]:
    """How close the parse comes to what the documents say, by family, document and stratum."""
    with explained_failures():
        require_extra()
        made = meter.latest(_measurement_of(context)[0])
        scores = measurements.score(store.open(), made)
    return dg.MaterializeResult(metadata=scores_metadata(made, measurements.summary_of(scores)))


@dg.asset(deps=[quality_scores], group_name=GROUP, kinds={"html"})
def quality_report(
    context: dg.AssetExecutionContext, meter: QualityMeter, store: DocumentStore
) -> dg.MaterializeResult[None]:
    """The measurement beside the accepted baseline: verdicts with their intervals, and what changed most."""
    with explained_failures():
        require_extra()
        found, known = _examined(context, meter, store)
        opened = store.open()
        places = presentation.write(opened, found)
        shown = presentation.preview(opened, found)
    addresses = {name: opened.uri(key) for name, key in places.items()}
    return dg.MaterializeResult(metadata=report_metadata(found, known, addresses, shown))


#: Both look at one judgement. They are no part of the asset, so that they can be run again by themselves, as after a
#: new baseline was accepted.
REPORT_CHECKS = [
    dg.AssetCheckSpec(
        "quality_not_below_baseline",
        asset=quality_report,
        blocking=True,
        description="At least 95 % of the accepted baseline is kept in every family; a *reject* blocks, doubt warns.",
    ),
    dg.AssetCheckSpec(
        "no_catastrophic_pages",
        asset=quality_report,
        blocking=True,
        description="Every document is parsed, and no page is lost, looping or garbage that is not so in the baseline.",
    ),
]


@dg.multi_asset_check(specs=REPORT_CHECKS, can_subset=True)
def quality_report_checks(
    context: dg.AssetCheckExecutionContext, meter: QualityMeter, store: DocumentStore
) -> Iterator[dg.AssetCheckResult]:
    """Judges the measurement once, for both checks that can hold up a release."""
    with explained_failures():
        require_extra()
        found, known = _examined(context, meter, store)
    wanted = {key.name for key in context.selected_asset_check_keys}
    for spec, result in zip(REPORT_CHECKS, (not_below(found, known), no_new_catastrophes(found)), strict=True):
        if spec.name in wanted:
            yield result._replace(check_name=spec.name)


@dg.asset_check(asset=quality_scores)
def thresholds_calibrated(
    context: dg.AssetCheckExecutionContext, meter: QualityMeter, store: DocumentStore
) -> dg.AssetCheckResult:
    """The bands of live documents are not more often wrong than they were at their calibration."""
    with explained_failures():
        require_extra()
        opened, made, thresholds = store.open(), meter.latest(_measurement_of(context)[0]), bands.shipped()
        scores = measurements.scores_of(opened, made)
        found = holding.hold(holding.judged_of(opened, made, scores, thresholds), thresholds)
    return calibrated(found, holding.foreign(made, thresholds))


ASSETS = [baseline_corpus, baseline_parse, quality_scores, quality_report]
CHECKS = [quality_report_checks, thresholds_calibrated]


def calibrated(found: Holding, foreign: str) -> dg.AssetCheckResult:
    """Whether the bands hold; a warning, for no document is worse because its band is wrong."""
    return dg.AssetCheckResult(
        passed=found.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.reason} ({foreign})" if foreign else found.reason,
        metadata={
            "wrong_bands": dg.MetadataValue.float(round(found.found.share, 4)),
            "at_calibration": dg.MetadataValue.float(round(found.stated.share, 4)),
            "figures": dg.MetadataValue.json({"found": asdict(found.found), "stated": asdict(found.stated)}),
        },
    )


def not_below(found: Examination, known: Sequence[Baseline]) -> dg.AssetCheckResult:
    """What the gates say; only a *reject* is an error, but only an *accept* passes."""
    comparison = found.comparison
    if comparison is None:
        text = no_baseline(found.measurement, known)
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=text)
    judgement = comparison.judgement
    rejected = judgement.decision is Decision.REJECT
    return dg.AssetCheckResult(
        passed=judgement.decision is Decision.ACCEPT,
        severity=dg.AssetCheckSeverity.ERROR if rejected else dg.AssetCheckSeverity.WARN,
        description=f"{judgement.decision} against {comparison.baseline}: {judgement.reason}. {comparison.remark}",
        metadata={
            **_verdicts(judgement.verdicts),
            "figures": dg.MetadataValue.json(json.loads(judgement.to_json())),
        },
    )


def no_new_catastrophes(found: Examination) -> dg.AssetCheckResult:
    """Lost documents and new catastrophic pages are errors; those that the baseline has, too, are only told."""
    new, findings = found.findings.new_catastrophes, found.findings
    old = len(findings.catastrophes) - len(new)
    parts = [
        f"{len(findings.unparsed)} documents without a parse",
        f"{len(new)} new catastrophic pages",
        f"{old} that the baseline has, too",
    ]
    rows: list[_Record]
    rows = [{"document": each.document, "page": each.page + 1, "why": each.why, "new": str(each.new)}
            for each in findings.catastrophes]  # fmt: skip
    rows += [{"document": each.document, "page": 0, "why": f"{each.state}: {each.reason} {each.message}", "new": ""}
             for each in findings.unparsed]  # fmt: skip
    shown = rows[:ROWS_SHOWN] if not found.is_held_back else []
    return dg.AssetCheckResult(
        passed=not new and not findings.unparsed,
        description=", ".join(parts),
        metadata={
            "new": dg.MetadataValue.int(len(new)),
            "known": dg.MetadataValue.int(old),
            "unparsed": dg.MetadataValue.int(len(findings.unparsed)),
            **({"pages": _table(shown)} if shown else {}),
        },
    )


def corpus_metadata(corpus: Corpus) -> _Metadata:
    """What the UI shows of a corpus: its version, and how much there is in each stratum."""
    documents, pages = Counter[str](), Counter[str]()
    for entry in corpus.entries:
        documents[entry.stratum] += 1
        pages[entry.stratum] += entry.pages
    rows: list[_Record] = [
        {"stratum": name, "documents": count, "pages": pages[name]} for name, count in documents.items()
    ]
    return {
        "version": dg.MetadataValue.text(corpus.version),
        "documents": dg.MetadataValue.int(len(corpus.entries)),
        "pages": dg.MetadataValue.int(corpus.pages),
        "seed": dg.MetadataValue.text(f"{corpus.selection.seed}, {corpus.selection.name}"),
        "strata": _table(rows),
    }


def parse_metadata(made: Measurement, figures: Mapping[str, dict[str, object]]) -> _Metadata:
    """What the UI shows of a parse of the corpus: who answered, and what became of the documents."""
    states = Counter(document.state for document in made.documents)
    rows: list[_Record] = [
        {
            "document": each.name,
            "stratum": each.stratum,
            "state": each.state,
            "reason": f"{each.reason} {each.message}".strip(),
            "pages": each.pages,
            "degraded_pages": each.degraded_pages,
            "seconds": each.seconds,
        }
        for each in made.documents
    ]
    return {
        **_identity(made),
        **{state: dg.MetadataValue.int(count) for state, count in sorted(states.items())},
        "unparsed": dg.MetadataValue.int(len(made.unparsed)),
        "pages": dg.MetadataValue.int(sum(each.pages for each in made.documents)),
        "requests": dg.MetadataValue.int(sum(each.requests for each in made.documents)),
        **({"documents": _table(rows[:ROWS_SHOWN])} if made.selection.seed != HELD_BACK else {}),
        **{name: dg.MetadataValue.json(values) for name, values in figures.items()},
    }


def scores_metadata(made: Measurement, summary: Summary) -> _Metadata:
    """What the UI shows of scores: a number a family, and a table of them by stratum."""
    rows: list[_Record] = [
        {"stratum": name, **{str(family): _shown(means[family].mean) for family in Family}}
        for name, means in [*summary.strata.items(), ("all", summary.overall)]
    ]
    overall = {family: summary.overall[family].mean for family in Family}
    return {
        **{str(family): dg.MetadataValue.float(round(mean, 4)) for family, mean in overall.items() if mean is not None},
        "strata": _table(rows),
        **_identity(made),
    }


def report_metadata(found: Examination, known: Sequence[Baseline], reports: Mapping[str, str], shown: str) -> _Metadata:
    """What the UI shows of a report: the decision, a small picture, the verdicts, and the documents that lost most."""
    comparison = found.comparison
    metadata: _Metadata = {
        "decision": dg.MetadataValue.text(str(comparison.decision) if comparison else "no baseline"),
        "reason": dg.MetadataValue.text(comparison.reason if comparison else no_baseline(found.measurement, known)),
        "preview": dg.MetadataValue.md(shown),
        **{name: dg.MetadataValue.text(address) for name, address in reports.items()},
    }
    if comparison is not None:
        metadata |= _verdicts(comparison.judgement.verdicts)
        metadata["baseline"] = dg.MetadataValue.text(comparison.baseline)
        metadata["different_documents"] = dg.MetadataValue.int(comparison.different)
        if comparison.changes and not found.is_held_back:
            metadata["changes"] = _table([asdict(change) for change in comparison.changes])
    return {**metadata, **_identity(found.measurement)}


def _measurement_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[str, datetime]:
    """The name of the measurement that belongs to this run and to its retries, and when the first of them was made."""
    root = context.run.root_run_id or context.run.run_id
    record = context.instance.get_run_record_by_id(root) or context.instance.get_run_record_by_id(context.run.run_id)
    made = record.create_timestamp if record is not None else datetime.now(UTC)
    started = made if made.tzinfo else made.replace(tzinfo=UTC)
    return name_of(started, root), started


def _examined(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, meter: QualityMeter, store: DocumentStore
) -> tuple[Examination, list[Baseline]]:
    opened = store.open()
    known = baselines.accepted(opened)
    return examine(opened, meter.latest(_measurement_of(context)[0]), known), known


def _identity(made: Measurement) -> _Metadata:
    return {
        "measurement": dg.MetadataValue.text(made.name),
        "parser_revision": dg.MetadataValue.text(made.parser_revision),
        "model": dg.MetadataValue.text(f"{made.model.name} {made.model.revision or ''}".strip()),
        # Where it is a stand-in's, beside every figure.
        **({"remark": dg.MetadataValue.text(remark)} if (remark := remark_on(made.model)) else {}),
        "corpus": dg.MetadataValue.text(f"{made.corpus} ({made.selection.seed}, {made.selection.name})"),
    }


def _verdicts(verdicts: Sequence[Verdict]) -> _Metadata:
    """A table of the figures, and the reasons apart from it: in a column of a table the UI gives a sentence no room."""
    return {
        "verdicts": _table([_verdict(each) for each in verdicts]),
        "reasons": dg.MetadataValue.md("\n".join(f"- **{each.family}**: {each.reason}" for each in verdicts)),
    }


def _verdict(verdict: Verdict) -> _Record:
    return {
        "family": verdict.family,
        "decision": str(verdict.decision),
        "estimate": _shown(verdict.estimate),
        "lower": _shown(verdict.lower),
        "upper": _shown(verdict.upper),
        "margin": verdict.margin,
        "documents": verdict.documents,
    }


def _shown(value: float | None) -> str | float:
    return "" if value is None else round(value, 4)


def _table(rows: Sequence[_Record]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])
