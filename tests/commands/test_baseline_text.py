"""What the tables of ``mineru-pipeline baseline`` say in terminals of any width."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from measured import measurement, store_corpus, truth
from rich.console import Console

from mineru_pipeline.commands import baseline_text as text
from mineru_pipeline.quality import baselines, examination, measurements
from mineru_pipeline.quality.baselines import Acceptance, Baseline
from mineru_pipeline.quality.measurements import Measurement
from mineru_pipeline.quality.scores.model import DocumentScores, Family
from mineru_pipeline.storage import FilesystemStore

WIDTHS = pytest.mark.parametrize("width", [80, 120])


def console(width: int) -> tuple[Console, StringIO]:
    """A console, and what it has said."""
    said = StringIO()
    return Console(file=said, width=width), said


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


@pytest.fixture
def made(store: FilesystemStore) -> Measurement:
    found = measurement(store, store_corpus(store, [truth(number) for number in range(3)]))
    measurements.score(store, found)
    return found


def accepted(made: Measurement, scores: list[DocumentScores]) -> Baseline:
    """The measurement as a baseline."""
    return baselines.record("2026-01-02-0123456789ab", made, scores, Acceptance("me", "why", "2026-01-02T03:04:05Z"))


@WIDTHS
def test_no_figure_is_cut_off(store: FilesystemStore, made: Measurement, width: int) -> None:
    """Every family has its name and its mean, and every stratum its name, also in 80 columns."""
    scores = [replace(each, stratum="tables-across-pages") for each in measurements.scores_of(store, made)]
    shown, said = console(width)
    text.show_measured(shown, made, scores)
    assert "…" not in said.getvalue()
    assert [name for name in (*Family, "tables-across-pages") if name not in said.getvalue()] == []
    figures = [each.families[family] for each in scores[:1] for family in Family]
    rows = [line for line in said.getvalue().splitlines() if "tables-across-pages" in line]
    assert sum(row.count("1.000") for row in rows) == figures.count(1.0) > 0


@WIDTHS
def test_names_can_be_copied(store: FilesystemStore, made: Measurement, width: int) -> None:
    """Names of baselines and measurements, which other commands take, stand in one line."""
    record = accepted(made, measurements.scores_of(store, made))
    shown, said = console(width)
    text.show_baselines(shown, [record])
    text.show_measurements(shown, [made], unfinished=1)
    assert f"{record.name}*" in said.getvalue()
    assert made.name in said.getvalue()
    assert "unparsed" in said.getvalue()


def test_reasons_have_lines_of_their_own_where_there_is_no_room(store: FilesystemStore, made: Measurement) -> None:
    """In 80 columns a reason beside the figures would be a column of single words."""
    record = accepted(made, measurements.scores_of(store, made))
    shown, said = console(80)
    text.show_comparison(shown, examination.examine(store, made, [record]))
    assert "  digits: 3 documents have scores of this family" in said.getvalue()


def test_degraded_pages_are_told(store: FilesystemStore, made: Measurement) -> None:
    """A server that failed at some blocks is no matter of the model, and the figures do not show it."""
    whole, said = console(120)
    text.show_measured(whole, made, measurements.scores_of(store, made))
    assert "Degraded" not in said.getvalue()
    first, *others = made.documents
    degraded = replace(made, documents=(replace(first, state="degraded", degraded_pages=1), *others))
    text.show_measured(whole, degraded, measurements.scores_of(store, made))
    assert "Degraded: 1 of 3 pages" in said.getvalue()
    assert text.measurement_values(degraded)["degraded_pages"] == 1
