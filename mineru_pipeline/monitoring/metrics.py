"""What is known of the whole pipeline, as Prometheus metrics.

All names, their labels and what to do about them stand in ``docs/metrics.md``. Values are those of the latest look:
a scrape reads nothing. What could not be looked at is left out, for an old value would look like a present one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mineru_pipeline.monitoring.deadlines import BUCKETS, VERDICTS
from mineru_pipeline.monitoring.survey import Drift, StoreView

STORE, DAGSTER = "store", "dagster"
#: Values of the state of a check, as those of a circuit breaker: the higher, the worse.
CHECK_STATES: Final = {"passed": 0, "warn": 1, "error": 2}


class Pulse(Protocol):
    """How the Dagster instance does; see ``runs.Pulse``."""

    @property
    def queued(self) -> int: ...  # noqa: D102  as there
    @property
    def started(self) -> int: ...  # noqa: D102
    @property
    def ended(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def heartbeats(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def failing(self) -> Mapping[str, bool]: ...  # noqa: D102
    @property
    def checks(self) -> Mapping[str, tuple[str, float]]: ...  # noqa: D102


Seen = TypeVar("Seen")
#: One value, or several by label; None where it is not known.
Values = Mapping[str, float] | float | None


@dataclass(frozen=True, slots=True)
class _Row(Generic[Seen]):
    """A gauge or, with ``counter``, a counter: its name after the prefix, its help, its values, and their label."""

    name: str
    text: str
    values: Callable[[Seen], Values]
    label: str = ""
    counter: bool = False

    def family(self, seen: Seen | None) -> Metric:
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        family = kind(f"mineru_pipeline_{self.name}", self.text, labels=[self.label] if self.label else [])
        values = None if seen is None else self.values(seen)
        if isinstance(values, Mapping):
            for label, value in values.items():
                family.add_metric([label], value)
        elif values is not None:
            family.add_metric([], values)
        return family


@dataclass(frozen=True, slots=True)
class Look:
    """How one look at a source went."""

    up: bool
    seconds: float
    #: When it ended, in seconds since 1970.
    at: float


_OF_LOOKS: Final[Sequence[_Row[Mapping[str, Look]]]] = (
    _Row("source_up", "Whether the latest look succeeded.", lambda s: {n: float(k.up) for n, k in s.items()}, "source"),
    _Row("look_duration_seconds", "Time of the latest look.", lambda s: {n: k.seconds for n, k in s.items()}, "source"),
    _Row("look_timestamp_seconds", "When the latest look ended.", lambda s: {n: k.at for n, k in s.items()}, "source"),
)
_OF_STORE: Final[Sequence[_Row[StoreView]]] = (
    _Row("documents", "Manifest entries by how they ended.", lambda v: v.documents, "state"),
    _Row("documents_by_band", "Parsed documents by band of quality.", lambda v: v.bands, "band"),
    _Row(
        "batches",
        "Batches with and without a table of the present revision.",
        lambda v: {"done": v.batches_done, "open": len(v.open)},
        "state",
    ),
    _Row("documents_waiting", "Entries of batches without any table.", lambda v: v.waiting),
    _Row("oldest_arrival_timestamp_seconds", "When the oldest of these arrived; 0: none.", lambda v: v.oldest or 0.0),
    _Row("quarantined_documents", "Documents in the quarantine.", lambda v: v.quarantined, "waits_for"),
    _Row("outbox_batches", "Batches whose results wait to be told.", lambda v: v.outbox),
    _Row("unreadable_tables", "Tables that are damaged.", lambda v: v.unreadable),
    _Row(
        "documents_due",
        "Documents whose hour has been decided.",
        lambda v: {name: v.verdicts.get(name, 0) for name in VERDICTS},
        "verdict",
        counter=True,
    ),
)
_OF_DRIFT: Final[Sequence[_Row[Drift]]] = (
    _Row("drift_alarm", "Whether documents look other than before.", lambda d: float(d.alarm)),
    _Row("drift_evidence", "Evidence of it; at 10,000 it is an alarm.", lambda d: d.evidence),
    _Row("drift_documents", "Documents that the detector has seen.", lambda d: d.documents),
    _Row("drift_batches_waiting", "Batches that it has not seen.", lambda d: d.waiting),
)
_OF_DAGSTER: Final[Sequence[_Row[Pulse]]] = (
    _Row("runs", "Runs that wait or go on.", lambda p: {"queued": p.queued, "started": p.started}, "status"),
    _Row("runs_ended", "Runs that ended.", lambda p: p.ended, "status", counter=True),
    _Row("daemon_heartbeat_timestamp_seconds", "When a daemon was alive.", lambda p: p.heartbeats, "daemon"),
    _Row("automation_failing", "Whether the latest evaluation failed.", lambda p: p.failing, "name"),
    _Row(
        "quality_gate_state",
        "0 passed, 1 in doubt, 2 failed.",
        lambda p: {name: float(CHECK_STATES[state]) for name, (state, _) in p.checks.items()},
        "check",
    ),
    _Row(
        "quality_gate_timestamp_seconds",
        "When the gate was evaluated.",
        lambda p: {name: at for name, (_, at) in p.checks.items()},
        "check",
    ),
)
_OF_STUCK: Final[Sequence[_Row[int]]] = (
    _Row("batches_waiting_for_somebody", "Open batches that nothing starts again.", lambda stuck: stuck),
)


class PipelineMetrics(Collector):
    """Gives out what it was last told; nothing of a source that it was told nothing of."""

    def __init__(self) -> None:
        self._looks: dict[str, Look] = {}
        self._store: StoreView | None = None
        self._pulse: Pulse | None = None
        self._stuck: int | None = None

    def saw_store(self, look: Look, view: StoreView | None) -> None:
        """Replace what is known of the store."""
        self._looks[STORE], self._store = look, view

    def saw_dagster(self, look: Look, pulse: Pulse | None, stuck: int | None) -> None:
        """Replace what is known of the instance; ``stuck`` are batches that wait for somebody."""
        self._looks[DAGSTER], self._pulse, self._stuck = look, pulse, stuck

    def describe(self) -> Iterable[Metric]:
        """Every metric there is, without values."""
        return _families(None, None, None, None)

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        families = _families(dict(self._looks), self._store, self._pulse, self._stuck)
        return [family for family in families if family.samples]


def _families(
    looks: Mapping[str, Look] | None, view: StoreView | None, pulse: Pulse | None, stuck: int | None
) -> list[Metric]:
    return [
        *(row.family(looks) for row in _OF_LOOKS),
        *(row.family(view) for row in _OF_STORE),
        _ages(view),
        *(row.family(view.drift if view is not None else None) for row in _OF_DRIFT),
        *(row.family(pulse) for row in _OF_DAGSTER),
        *(row.family(stuck) for row in _OF_STUCK),
    ]


def _ages(view: StoreView | None) -> Metric:
    family = HistogramMetricFamily("mineru_pipeline_document_age_seconds", "Arrival to result.", labels=[])
    if view is not None:
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], view.seconds, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([], buckets, view.sum_seconds)
    return family
