"""What people look at of a measurement: the HTML report, and a small picture of it for the UI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.baselines import Baseline
from mineru_pipeline.quality.examination import Examination, write_report
from mineru_pipeline.quality.extra import needs_extra
from mineru_pipeline.quality.measurements import MeasuredModel
from mineru_pipeline.quality.report.model import Compared, Head, Side
from mineru_pipeline.quality.scores.model import DocumentScores, Family, Score
from mineru_pipeline.storage import layout
from mineru_pipeline.storage.store import ObjectStore

T = TypeVar("T")

COMPARISON, REPORT_JSON, REPORT_HTML = "comparison.json", "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class _Read(Mapping[str, T], Generic[T]):
    """Values that are read when they are asked for, so that no more than one document is in memory."""

    names: Sequence[str]
    read: Callable[[str], T]

    def __getitem__(self, name: str) -> T:
        if name not in self.names:
            raise KeyError(name)
        return self.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def write(store: ObjectStore, found: Examination) -> dict[str, str]:
    """Store the reports of an examination, unless they are there; return their keys by kind.

    ``comparison`` is what was decided and on which figures, ``report_json`` every document and block besides, and
    ``report`` the page for people. Of the seed that is held back they hold nothing of single documents.
    """
    return {
        "comparison": write_report(store, found, COMPARISON, found.to_json().encode),
        "report_json": write_report(store, found, REPORT_JSON, lambda: report_values(store, found).encode()),
        "report": write_report(store, found, REPORT_HTML, lambda: report_html(store, found).encode()),
    }


def report_html(store: ObjectStore, found: Examination) -> str:
    """Return the report as one page of HTML; pages, truths and parses are read from the store.

    Raises:
        QualityError: the extra is missing, or something of the measurement is not in the store any more.
    """
    with needs_extra():
        from mineru_pipeline.quality.report.pictures import corpus_pictures  # workers do not have the extra
        from mineru_pipeline.quality.report.render import render_report
    corpus = found.measurement.corpus
    picture = corpus_pictures(lambda name: store.get(layout.corpus_key(corpus, f"{name}.pdf")))
    return render_report(head_of(found), compared_of(store, found), picture)


def report_values(store: ObjectStore, found: Examination) -> str:
    """Return the report as JSON. It holds no dates, so that it is the same for the same parse, byte by byte."""
    with needs_extra():
        from mineru_pipeline.quality.report.machine import report_json  # workers do not have the extra
    head = head_of(found)
    made = replace(head.candidate, name=head.candidate.parser_revision, measured_at="")
    return report_json(replace(head, candidate=made), compared_of(store, found))


def preview(store: ObjectStore, found: Examination) -> str:
    """Return the report in small, as Markdown with a picture."""
    with needs_extra():
        from mineru_pipeline.quality.report.preview import preview_markdown  # workers do not have the extra
    return preview_markdown(head_of(found), compared_of(store, found))


def head_of(found: Examination) -> Head:
    """Return who is compared with whom."""
    made, model = found.measurement, found.measurement.model
    candidate = Side(
        made.name,
        made.parser_revision,
        _called(model),
        stand_in=model.is_stand_in,
        extraction_revision=made.extraction_revision,
        measured_at=made.ended_at,
        facts={"servers": ", ".join(model.servers)} if model.servers else {},
    )
    baseline = _accepted_side(found.baseline)
    return Head(made.corpus, candidate, baseline, selection=made.selection.name, held_back=found.is_held_back)


def compared_of(store: ObjectStore, found: Examination) -> Compared:
    """Return the scores of both sides, with what can be shown of the candidate."""
    made = found.measurement
    documents = {document.name: document for document in made.documents}
    names = sorted(documents)
    return Compared(
        found.scores,
        baseline_scores(store, found.baseline, names) if found.baseline else (),
        found.comparison.judgement if found.comparison else None,
        truths=_Read(names, lambda name: measurements.truth_of(store, made, documents[name])),
        parses=_Read(names, lambda name: measurements.content_list_of(store, documents[name])),
        objections=found.comparison.objections if found.comparison else (),
    )


def baseline_scores(store: ObjectStore, baseline: Baseline, names: Sequence[str]) -> list[DocumentScores]:
    """Return the scores of a baseline: with pages and blocks if its measurement is in this store, else of families."""
    key = layout.measurement_key(baseline.corpus, baseline.parser_revision, baseline.measurement)
    if store.exists(key) and measurements.is_scored(store, made := measurements.read(store, key)):
        return [each for each in measurements.scores_of(store, made) if each.name in names]
    return [
        DocumentScores(
            name=name,
            stratum=baseline.documents[name].stratum,
            languages=(),
            scores={family: Score(baseline.documents[name].families[family.value]) for family in Family},
            pages=(),
            blocks=(),
        )
        for name in names
    ]


def _called(model: MeasuredModel) -> str:
    return f"{model.name} {model.revision or ''}".strip()


def _accepted_side(baseline: Baseline | None) -> Side | None:
    if baseline is None:
        return None
    accepted = baseline.accepted
    return Side(
        baseline.name,
        baseline.parser_revision,
        _called(baseline.model),
        stand_in=baseline.model.is_stand_in,
        extraction_revision=baseline.extraction_revision,
        measured_at=baseline.measured_at,
        accepted_by=accepted.by,
        accepted_at=accepted.at,
        why=f"{accepted.why} (despite: {accepted.despite})" if accepted.despite else accepted.why,
    )
