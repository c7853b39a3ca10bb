"""The figures of ``bench/results.json`` as a table: what was wanted, ours, and the peer's beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

#: From here on decimals say nothing.
_WHOLE_FROM = 10


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and what is wanted of it; ``path`` leads to it from the top of the results."""

    label: str
    path: tuple[str, ...]
    least: float | None = None
    most: float | None = None
    #: Where the peer's is; None where the figure compares both already.
    peer_path: tuple[str, ...] | None = None

    @property
    def wanted(self) -> str:
        """In words."""
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"

    def is_met(self, value: float) -> bool:
        """Whether ``value`` is as wanted."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def _beside(label: str, *path: str, least: float | None = None, most: float | None = None) -> Goal:
    return Goal(label, path, least, most, ("peer", *path))


#: What the project wants to reach, in the order of the parts.
GOALS = (
    Goal("similarity to the peer's text", ("conformance_mean",), least=0.98),
    Goal("CPU a page, share of the peer's", ("client_cpu_ratio",), most=0.4),
    *(
        goal
        for slots in ("4", "40", "400")
        for goal in (
            _beside(f"{slots} slots: of capacity", "throughput_of_capacity", slots, least=0.95),
            _beside(f"{slots} slots: of the best fixed number", "throughput_of_best_static", slots, least=0.98),
        )
    ),
    _beside("8 workers: shed after 10 s", "workers8", "shed_after_10s", most=0),
    _beside("8 workers: waiting over running", "workers8", "waiting_over_running", most=0.2),
    _beside("8 workers: of capacity", "workers8", "of_capacity", least=0.93),
    _beside("8 workers: slowest over fastest", "workers8", "slowest_over_fastest", least=0.7),
    Goal(
        "peak memory, MiB (1,000 pages; peer: 130)",
        ("peak_rss_mib", "ours"),
        most=800,
        peer_path=("peak_rss_mib", "peer"),
    ),
)


def of(results: Mapping[str, Any]) -> Table:
    """Return the table; what was not measured is left out."""
    table = Table(header_style="bold", box=None)
    table.add_column("figure")
    for name in ("wanted", "ours", "peer"):
        table.add_column(name, justify="right")
    table.add_column("")
    for goal in GOALS:
        value = _at(results, goal.path)
        if value is None:
            continue
        peer = _at(results, goal.peer_path) if goal.peer_path else None
        verdict = "[green]met[/]" if goal.is_met(value) else "[red]missed[/]"
        table.add_row(goal.label, goal.wanted, _shown(value), "" if peer is None else _shown(peer), verdict)
    return table


def _at(results: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = results
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def _shown(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= _WHOLE_FROM else f"{value:.3f}"
