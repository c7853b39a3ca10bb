"""How far a batch is, told to whoever listens: the command's progress bar, the run's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mineru_pipeline.parsing.outcome import DocumentOutcome


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """A snapshot of a batch; counts are of the documents that intake accepted."""

    documents_done: int
    documents: int
    pages_done: int
    pages: int
    states: dict[str, int]


ProgressListener = Callable[[ProgressEvent], None]


def ignore_progress(event: ProgressEvent) -> None:
    """A listener for those who do not watch."""
    del event


@dataclass(slots=True)
class Progress:
    """Counts, and tells the listener of every change."""

    listener: ProgressListener
    documents: int
    pages: int
    _pages_done: int = 0
    _states: Counter[str] = field(default_factory=Counter)

    def pages_done(self, count: int) -> None:
        """``count`` more pages are answered, from the model or from a checkpoint."""
        if count:
            self._pages_done += count
            self._tell()

    def document_done(self, outcome: DocumentOutcome) -> None:
        """One more document has its outcome."""
        self._states[outcome.state] += 1
        self._tell()

    def _tell(self) -> None:
        done = sum(self._states.values())
        self.listener(ProgressEvent(done, self.documents, self._pages_done, self.pages, dict(self._states)))
