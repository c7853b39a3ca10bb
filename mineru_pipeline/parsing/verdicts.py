"""Judgements on a parsed batch, as plain functions over its table; the asset checks carry them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import State

#: How many offenders a verdict names; the table has them all.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a batch passes, in words, and with the figures behind it."""

    passed: bool
    message: str
    figures: dict[str, Any] = field(default_factory=dict)


def every_document_accounted_for(rows: Sequence[ParsedRow], manifest_uris: Sequence[str]) -> Verdict:
    """Each manifest entry has exactly one row, in a final state; nothing was dropped or invented."""
    states = Counter(row.state for row in rows)
    entries = Counter(row.entry for row in rows)
    missing = [uri for entry, uri in enumerate(manifest_uris) if entry not in entries]
    repeated = [entry for entry, count in entries.items() if count > 1]
    wrong = [row.uri for row in rows if row.entry >= len(manifest_uris) or manifest_uris[row.entry] != row.uri]
    unknown = sorted(set(states) - {str(state) for state in State})
    passed = not (missing or repeated or wrong or unknown)
    message = (
        f"{len(rows)} rows for {len(manifest_uris)} manifest entries: "
        + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        if passed
        else f"{len(missing)} entries without a row, {len(repeated)} with several, {len(wrong)} rows of no entry"
    )
    figures = {"entries": len(manifest_uris), "rows": len(rows), "states": dict(states)}
    return Verdict(passed, message, figures | {"missing": missing[:NAMED], "unknown_states": unknown})


def failure_rate_within(rows: Sequence[ParsedRow], limit: float) -> Verdict:
    """At most ``limit`` (0–1) of the distinct documents failed; rejected ones are the input's fault."""
    originals = [row for row in rows if row.duplicate_of is None]
    failed = [row for row in originals if row.state == State.FAILED]
    rate = len(failed) / len(originals) if originals else 0.0
    message = f"{len(failed)} of {len(originals)} documents failed ({rate:.1%}, limit {limit:.1%})"
    reasons = dict(Counter(row.reason for row in failed))
    return Verdict(rate <= limit, message, {"rate": rate, "limit": limit, "reasons": reasons})


def page_count_preserved(rows: Sequence[ParsedRow]) -> Verdict:
    """Every parsed document has as many pages in its outputs as in the PDF."""
    parsed = [row for row in rows if row.state in {State.PARSED, State.DEGRADED}]
    short = [f"{row.uri}: {row.parsed_pages} of {row.pages} pages" for row in parsed if row.parsed_pages != row.pages]
    pages = sum(row.pages for row in parsed)
    message = f"all {pages} pages present" if not short else f"{len(short)} documents with another number of pages"
    return Verdict(not short, message, {"pages": pages, "documents": short[:NAMED]})


def agrees_with_text_layer(rows: Sequence[ParsedRow], minimum: float) -> Verdict:
    """The words of the PDFs' own text layers are found in the outputs, document by document."""
    known = [row for row in rows if row.agreement is not None and row.duplicate_of is None]
    low = sorted((row.agreement or 0.0, row.uri) for row in known if (row.agreement or 0.0) < minimum)
    mean = sum(row.agreement or 0.0 for row in known) / len(known) if known else None
    message = (
        "no document of this batch has a text layer"
        if mean is None
        else f"mean agreement {mean:.3f} over {len(known)} documents; {len(low)} below {minimum}"
    )
    worst = [f"{uri}: {share:.3f}" for share, uri in low[:NAMED]]
    return Verdict(not low, message, {"mean": mean, "documents": len(known), "below": worst})


def no_degenerate_output(rows: Sequence[ParsedRow]) -> Verdict:
    """No page loops, and no page that has text or ink came out empty."""
    bad = [f"{row.uri}: {row.degenerate_pages} pages" for row in rows if row.degenerate_pages]
    message = "no loops and no empty pages" if not bad else f"{len(bad)} documents with looping or empty pages"
    return Verdict(not bad, message, {"documents": bad[:NAMED]})


def nothing_missing(figures: Mapping[str, int]) -> Verdict:
    """Every object of the buckets was known before the reconciliation, and every batch accounts for its entries.

    Args:
        figures: :attr:`mineru_pipeline.parsing.difference.Reconciliation.figures`, or none of them before the first.
    """
    if not figures:
        return Verdict(passed=False, message="nothing has been compared yet")
    problems = {
        "objects were in no batch": figures["missing"],
        "objects had changed since": figures["changed"],
        "of them were not requested": figures["missing"] + figures["changed"] - figures["requested"],
        "batches lack rows for entries of their manifests": figures["incomplete"],
        "batches had no partition": figures["stranded"],
        "manifests or tables are damaged": figures.get("damaged", 0),
    }
    named = [f"{count} {text}" for text, count in problems.items() if count]
    return Verdict(not named, "; ".join(named) or "every object of the buckets was known", dict(figures))
