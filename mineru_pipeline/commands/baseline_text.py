"""What ``mineru-pipeline baseline`` prints: tables of baselines, measurements, scores and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline.commands.text import printable
from mineru_pipeline.quality import baselines
from mineru_pipeline.quality.baselines import Baseline, remark_on
from mineru_pipeline.quality.comparison import Comparison, no_baseline
from mineru_pipeline.quality.examination import Examination
from mineru_pipeline.quality.gates.model import Decision, Kind, Verdict
from mineru_pipeline.quality.measurements import HELD_BACK, Measurement
from mineru_pipeline.quality.scores.model import DocumentScores, Family
from mineru_pipeline.quality.scores.summary import FamilyMean, summarise

MEASUREMENTS_SHOWN = 20
CHANGES_SHOWN = 8
DOCUMENTS_SHOWN = 10
#: A terminal of so many columns has room for all families beside each other, a narrower one for the first of them.
WIDE, NARROW_FAMILIES = 118, 5
NAME_WIDTH = 32
_STYLES = {Decision.ACCEPT: "green", Decision.REJECT: "red", Decision.INCONCLUSIVE: "yellow"}


def baseline_values(baseline: Baseline, known: Sequence[Baseline]) -> dict[str, Any]:
    """A baseline for programs, without its documents; ``current`` is whether it is the one to compare with."""
    values = asdict(baseline)
    values["documents"] = len(baseline.documents)
    values["accepted"].pop("comparison")
    is_current = baselines.current(known, baseline.corpus, baseline.model) is baseline
    return values | {"means": baseline.means, "remark": baseline.remark, "current": is_current}


def measurement_values(made: Measurement) -> dict[str, Any]:
    """A measurement for programs, without its documents."""
    values = asdict(made)
    values["documents"] = len(made.documents)
    # Of the seed that is held back, nobody is told of single documents.
    unparsed: object = len(made.unparsed) if made.selection.seed == HELD_BACK else [each.name for each in made.unparsed]
    told = {"unparsed": unparsed, "degraded_pages": degraded_pages(made)}
    return values | told | {"remark": remark_on(made.model), "folder": made.prefix}


def degraded_pages(made: Measurement) -> int:
    """Pages of which something could not be read as it should be: each is scored as it came out."""
    return sum(document.degraded_pages for document in made.documents)


def show_baselines(console: Console, known: Sequence[Baseline]) -> None:
    """One row a baseline; the current ones are marked."""
    if not known:
        console.print("No baseline has been accepted yet: mineru-pipeline baseline measure, then … baseline accept")
        return
    table = _listed("baseline", [f"{each.name}*" for each in known])
    for name in ("corpus", "revision", "model", "accepted", "by", "why"):
        table.add_column(name, overflow="fold")
    for each in known:
        mark = "*" if baselines.current(known, each.corpus, each.model) is each else ""
        why = f"{each.accepted.why} (despite: {each.accepted.despite})" if each.accepted.despite else each.accepted.why
        cells = (
            f"{each.name}{mark}", each.corpus, each.parser_revision, each.model.name, each.accepted.at,
            each.accepted.by, why,
        )  # fmt: skip
        table.add_row(*(escape(printable(cell)) for cell in cells))
    table.caption = "* is what a measurement on its corpus is compared with"
    console.print(table)


def show_measurements(console: Console, made: Sequence[Measurement], *, unfinished: int) -> None:
    """One row a measurement, the newest last."""
    if made:
        table = _listed("measurement", [each.name for each in made])
        for name in ("corpus", "documents", "revision", "model"):
            table.add_column(name, overflow="fold")
        table.add_column("unparsed", justify="right", no_wrap=True)
        for each in made[-MEASUREMENTS_SHOWN:]:
            selection = f"{len(each.documents)} ({each.selection.seed}, {each.selection.name})"
            cells = each.name, each.corpus, selection, each.parser_revision, each.model.name
            table.add_row(*(escape(printable(cell)) for cell in cells), str(len(each.unparsed) or ""))
        console.print(table)
    hidden = max(0, len(made) - MEASUREMENTS_SHOWN)
    more = f"; the {hidden} oldest are not shown, --json has them" if hidden else ""
    console.print(f"complete measurements: {len(made)}, begun and not finished: {unfinished}{more}")


def show_measured(console: Console, made: Measurement, scores: Sequence[DocumentScores]) -> None:
    """Means by stratum, and which documents were not parsed."""
    summary = summarise(scores)
    families = list(Family)
    # Figures that are cut off say nothing: in a narrow terminal there are two tables.
    for shown in [families] if console.width >= WIDE else [families[:NARROW_FAMILIES], families[NARROW_FAMILIES:]]:
        table = Table(header_style="bold", box=SIMPLE, pad_edge=False)
        table.add_column("stratum", no_wrap=True)
        for name in ("documents", *shown):
            table.add_column(str(name), justify="right", no_wrap=True)
        for stratum, means in summary.strata.items():
            count = sum(each.stratum == stratum for each in scores)
            table.add_row(escape(stratum), str(count), *_means(means, shown))
        table.add_row("all", str(summary.documents), *_means(summary.overall, shown), style="bold")
        console.print(table)
    seconds = sum(document.seconds for document in made.documents)
    pages = sum(document.pages for document in made.documents)
    console.print(
        f"[bold]{made.name}[/]: {len(made.documents)} documents, {pages} pages, revision {made.parser_revision}, "
        f"{sum(document.requests for document in made.documents)} requests, {seconds:.0f} s of documents",
        soft_wrap=True,
    )
    _remark(console, remark_on(made.model))
    _show_degraded(console, made)
    if made.unparsed:
        told = [f"{each.name}: {each.state}, {each.reason} {each.message}" for each in made.unparsed]
        if made.selection.seed == HELD_BACK:
            told = [f"{len(made.unparsed)} documents"]
        console.print(f"[red]Not parsed:[/] {escape(printable('; '.join(told[:DOCUMENTS_SHOWN])))}", soft_wrap=True)


def show_comparison(console: Console, found: Examination) -> None:
    """The verdict of each family, what is against the candidate, and what changed most."""
    comparison = found.comparison
    if comparison is None:
        return
    table = Table(header_style="bold", box=SIMPLE)
    for name in ("family", "verdict"):
        table.add_column(name)
    table.add_column("kept", justify="right")
    table.add_column("interval", justify="right")
    table.add_column("of", justify="right")
    is_wide = console.width >= WIDE
    if is_wide:
        table.add_column("why", ratio=1)
    for verdict in comparison.judgement.verdicts:
        style = _STYLES[verdict.decision]
        kept = _figure(verdict, verdict.estimate)
        interval = f"{_figure(verdict, verdict.lower)} … {_figure(verdict, verdict.upper)}" if kept else ""
        cells = kept, interval, str(verdict.documents), *([verdict.reason] if is_wide else [])
        table.add_row(verdict.family, f"[{style}]{verdict.decision}[/]", *map(escape, cells))
    console.print(table)
    for verdict in () if is_wide else comparison.judgement.verdicts:
        console.print(f"  [bold]{verdict.family}[/]: {escape(verdict.reason)}", highlight=False)
    _remark(console, comparison.remark)
    _show_degraded(console, found.measurement)
    if not found.is_held_back:
        _show_changes(console, comparison)
    style = _STYLES[comparison.decision]
    console.print(
        f"[bold {style}]{comparison.decision}[/] {escape(found.measurement.name)} against {escape(comparison.baseline)}"
        f" on {comparison.documents} documents ({comparison.selection}): {escape(comparison.reason)}",
        soft_wrap=True,
    )
    if comparison.decision is Decision.INCONCLUSIVE and comparison.selection != "all":
        console.print("A sample seldom proves anything: it catches what is clearly broken. All documents can decide.")


def nothing_to_compare(found: Examination, known: Sequence[Baseline]) -> str:
    """Why there is no comparison."""
    return no_baseline(found.measurement, known)


def objection(found: Examination) -> str:
    """Why a measurement must not become the baseline by itself; "" where nothing is against it."""
    compared = found.comparison
    if compared is not None:
        # Doubt counts, too: a line of baselines that are each a little worse than the last would slide down unseen.
        said = {Decision.REJECT: "is rejected", Decision.INCONCLUSIVE: "is inconclusive"}.get(compared.decision)
        return f"It {said} against {compared.baseline}: {compared.reason}" if said else ""
    if found.findings.unparsed:
        return f"{len(found.findings.unparsed)} documents have not been parsed."
    return ""


def _show_changes(console: Console, comparison: Comparison) -> None:
    console.print(
        f"{comparison.different} of {comparison.documents} documents have other scores than in the baseline, "
        f"{comparison.lower} a lower one"
    )
    for change in comparison.changes[:CHANGES_SHOWN]:
        console.print(
            f"  {escape(change.document)} {change.family}: {change.before:.3f} → {change.after:.3f}", highlight=False
        )


def _show_degraded(console: Console, made: Measurement) -> None:
    # The text layer stands in for what a failing server did not read, and can score better than the model.
    if degraded := degraded_pages(made):
        pages = sum(document.pages for document in made.documents)
        console.print(
            f"[yellow]Degraded:[/] {degraded} of {pages} pages are not all that the model was asked for. Where its "
            "server failed and not the model, measure anew before you judge by these figures.",
            soft_wrap=True,
        )


def _remark(console: Console, remark: str) -> None:
    if remark:
        console.print(f"[yellow]{escape(remark)}[/]")


def _listed(title: str, names: Sequence[str]) -> Table:
    """A table whose first column has names that can be copied: they are not broken, unless one is very long."""
    table = Table(header_style="bold", box=SIMPLE, pad_edge=False)
    table.add_column(title, overflow="fold", no_wrap=max(map(len, names)) <= NAME_WIDTH)
    return table


def _means(means: Mapping[Family, FamilyMean], shown: Sequence[Family]) -> list[str]:
    return ["" if (mean := means[family].mean) is None else f"{mean:.3f}" for family in shown]


def _figure(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if verdict.kind is Kind.RATIO else f"{100 * value:+.1f} points"
