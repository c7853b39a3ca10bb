"""What parsing counts: pages by outcome, documents by state, and where the time goes.

All names, their labels and what to do about them stand in ``docs/metrics.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter

from mineru_pipeline.parsing.outcome import DocumentOutcome, PageSummary, State

Stage: TypeAlias = Literal["render", "layout", "blocks", "assemble", "store"]
Source: TypeAlias = Literal["model", "checkpoint"]

#: Seconds that stages inside the present one took; they are theirs alone.
_inner: ContextVar[list[float] | None] = ContextVar("stage_inner", default=None)


class ParsingMetrics:
    """The counters of one run; ``registry`` must not hold those of another, ``clock`` gives seconds."""

    def __init__(self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry or CollectorRegistry()
        self._clock = clock
        self._pages = cache(self._counter("pages", "Pages of documents that ended.", "outcome").labels)
        self._answered = cache(self._counter("pages_answered", "Pages with all their answers.", "source").labels)
        self._documents = cache(self._counter("documents", "Distinct documents that ended.", "state").labels)
        self._seconds = cache(self._counter("stage_seconds", "Time in a stage, summed over all pages.", "stage").labels)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"mineru_{name}", text, [label], registry=self.registry)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Book the time of the body; of a stage within a stage, only to the inner one."""
        started, outer, inner = self._clock(), _inner.get(), [0.0]
        token = _inner.set(inner)
        try:
            yield
        finally:
            _inner.reset(token)
            seconds = self._clock() - started
            if outer is not None:
                outer[0] += seconds
            self.spent(name, seconds - inner[0])

    def spent(self, name: Stage, seconds: float) -> None:
        """Book time that was measured elsewhere."""
        self._seconds(name).inc(max(0.0, seconds))

    def answered(self, source: Source, pages: int = 1) -> None:
        """Count pages whose answers are there, from the model or from an earlier run."""
        self._answered(source).inc(pages)

    def rejected(self, documents: int) -> None:
        """Count documents that intake refused."""
        self._documents(State.REJECTED.value).inc(documents)

    def ended(self, outcome: DocumentOutcome) -> None:
        """Count a document and its pages by how they ended."""
        self._documents(outcome.state.value).inc()
        if outcome.reused:
            self._pages("reused").inc(outcome.pages)
        elif outcome.state is State.FAILED:
            self._pages("failed").inc(outcome.pages)
        else:
            for page in outcome.page_summaries:
                self._pages(_how_it_ended(page)).inc()


def _how_it_ended(page: PageSummary) -> str:
    if not page.degradations:
        return "read"
    return "gap" if any(item["ending"] == "gap" for item in page.degradations) else "degraded"


def figures(registry: CollectorRegistry) -> dict[str, Any]:
    """The counters of a :class:`ParsingMetrics` in ``registry``, for the run's own record."""
    samples = [sample for metric in registry.collect() for sample in metric.samples]

    def by(name: str, label: str) -> dict[str, float]:
        return {one.labels[label]: round(one.value, 3) for one in samples if one.name == f"mineru_{name}_total"}

    return {
        "pages_by_outcome": by("pages", "outcome"),
        "pages_answered_by_source": by("pages_answered", "source"),
        "documents_by_state": by("documents", "state"),
        "seconds_by_stage": by("stage_seconds", "stage"),
    }
