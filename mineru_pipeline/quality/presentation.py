"""What people look at of a measurement: the HTML report, and a small picture of it for the UI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.baselines import Baseline
from mineru_pipeline.quality.examination import Examination, write_report
from mineru_pipeline.quality.extra import needs_extra
from mineru_pipeline.quality.measurements import MeasuredModel
from mineru_pipeline.quality.report.model import Compared, Head, Picture, Side
from mineru_pipeline.quality.scores.model import DocumentScores, Family, Score
from mineru_pipeline.storage import layout
from mineru_pipeline.storage.store import ObjectStore

T = TypeVar("T")

REPORT_JSON, REPORT_HTML = "report.json", "report.html"


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

    Of the seed that is held back there is no page to look at.
    """
    keys = {"report_json": write_report(store, found, REPORT_JSON, found.to_json().encode())}
    if not found.is_held_back:
        key = found.folder + REPORT_HTML
        if not store.exists(key):
            write_report(store, found, REPORT_HTML, report_html(store, found).encode())
        keys["report"] = key
    return keys


def report_html(store: ObjectStore, found: Examination) -> str:
    """Return the report as one page of HTML; pages, truths and parses are read from the store.

    Raises:
        QualityError: the extra is missing, or something of the measurement is not in the store any more.
    """
    with needs_extra():
        from mineru_pipeline.quality.report.pictures import corpus_pictures  # workers do not have the extra
        from mineru_pipeline.quality.report.render import render_report
    picture: Picture = corpus_pictures(
        lambda name: store.get(layout.corpus_key(found.measurement.corpus, f"{name}.pdf"))
    )
    return render_report(head_of(found), compared_of(store, found), picture)


def preview(store: ObjectStore, found: Examination) -> str:
    """Return the report in small, as Markdown with a picture."""
    with needs_extra():
        from mineru_pipeline.quality.report.preview import preview_markdown  # workers do not have the extra
    return preview_markdown(head_of(found), compared_of(store, found))


def head_of(found: Examination) -> Head:
    """Return who is compared with whom."""
    made, comparison = found.measurement, found.comparison
    facts = {"measured on": f"{len(made.documents)} documents"}
    if comparison is not None and comparison.objections:
        facts["rejected in any case"] = " ".join(comparison.objections)
    candidate = _side(made.name, made.parser_revision, made.extraction_revision, made.model, made.ended_at, facts)
    return Head(made.corpus, candidate, _accepted_side(found.baseline), selection=made.selection.name)


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


def _side(  # the fields of a side, in their order
    name: str, revision: str, extraction: str, model: MeasuredModel, at: str, facts: Mapping[str, str]
) -> Side:
    called = f"{model.name} {model.revision or ''}".strip()
    return Side(
        name,
        revision,
        called,
        stand_in=model.is_stand_in,
        extraction_revision=extraction,
        measured_at=at,
        facts={**facts, **({"servers": ", ".join(model.servers)} if model.servers else {})},
    )


def _accepted_side(baseline: Baseline | None) -> Side | None:
    if baseline is None:
        return None
    accepted, model = baseline.accepted, baseline.model
    return Side(
        baseline.name,
        baseline.parser_revision,
        f"{model.name} {model.revision or ''}".strip(),
        stand_in=model.is_stand_in,
        extraction_revision=baseline.extraction_revision,
        measured_at=baseline.measured_at,
        accepted_by=accepted.by,
        accepted_at=accepted.at,
        why=f"{accepted.why} (despite: {accepted.despite})" if accepted.despite else accepted.why,
    )
