"""The figures of ``bench/gates.json`` as the tables of docs/quality.md, which a test compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
#: Size of the baseline corpus.
CORPUS = 90


def tables(results: Mapping[str, Any]) -> tuple[str, ...]:
    """All tables, in the order in which the document has them."""
    return (
        decisions([row for row in results["corpus"] if row["documents"] == CORPUS]),
        power(results["corpus"]),
        together(results["overall"]),
        stream(results["sequential"]),
        drift(results["drift"]),
    )


def decisions(rows: Sequence[Row]) -> str:
    """Accepted and rejected, by shape of scores and loss."""
    return _crossed(rows, "scores", "worse", lambda row: f"{row['accept']:.1%} / {row['reject']:.1%}")


def power(rows: Sequence[Row]) -> str:
    """How often an equal candidate is accepted, and how often one at the margin is, by number of documents."""
    kept = [row for row in rows if row["worse"] in {0, 5}]
    named = [{**row, "size": f"{row['documents']} documents"} for row in kept]
    at_margin = {(row["scores"], row["size"]): row["accept"] for row in named if row["worse"]}
    return _crossed(
        [row for row in named if not row["worse"]],
        "scores",
        "size",
        lambda row: f"{row['accept']:.1%} / {at_margin[row['scores'], row['size']]:.1%}",
    )


def together(rows: Sequence[Row]) -> str:
    """The same over all families; a candidate that is no worse at all stands once."""
    named = [{**row, "case": "equal" if not row["worse"] else f"{row['which']}, {row['worse']} %"} for row in rows]
    kept = [row for row in named if row["worse"] in {0, 2, 5, 7}]
    ordered = sorted(kept, key=lambda row: (row["worse"] > 0, row["which"], row["worse"]))
    return _crossed(ordered, "case", "scores", lambda row: f"{row['accept']:.0%} / {row['reject']:.0%}")


def stream(rows: Sequence[Row]) -> str:
    """Accepted and rejected by the sequential gate, and the median of documents that it took."""
    return _crossed(
        rows, "scores", "worse", lambda row: f"{row['accept']:.1%} / {row['reject']:.1%} · {row['median']:.0f}"
    )


def drift(rows: Sequence[Row]) -> str:
    """Documents until a warning."""
    head = ("change", "one false warning in", "warned", "within", "median", "mean, at least")
    lines = [
        (
            row["change"],
            f"{row['every']:,}",
            f"{row['warned']:.0%}",
            f"{row['horizon']:,}",
            "–" if row["median"] > row["horizon"] else f"{row['median']:,.0f}",
            f"{row['mean, at least']:,.0f}",
        )
        for row in rows
    ]
    return _table(head, lines)


def _crossed(rows: Sequence[Row], down: str, across: str, shown: Any) -> str:
    columns = list(dict.fromkeys(row[across] for row in rows))
    cells = {(row[down], row[across]): shown(row) for row in rows}
    head = [f"{column} % worse" if isinstance(column, int) else str(column) for column in columns]
    lines = [
        (name, *(cells.get((name, column), "") for column in columns)) for name in dict.fromkeys(r[down] for r in rows)
    ]
    return _table(("", *head), lines)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    ruler = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([f"| {' | '.join(head)} |", ruler, *(f"| {' | '.join(line)} |" for line in lines)])
