"""What people see while a batch is parsed: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mineru_pipeline.parsing.progress import ProgressEvent, ProgressListener

#: Between two lines of a log.
LINE_SECONDS = 15.0


@dataclass(slots=True)
class Lines:
    """Tells how far a batch is, at most every so many seconds: a log shows no bars, or thousands of them."""

    console: Console
    label: str
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def __call__(self, event: ProgressEvent) -> None:
        """Print a line if it is time."""
        now = self.clock()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        states = "".join(f", {count} {state}" for state, count in sorted(event.states.items()))
        done = f"{event.documents_done} of {event.documents}, {event.pages_done} of {event.pages} pages"
        self.console.print(f"{self.label}: {done}{states}", soft_wrap=True)


def plain_bars(console: Console) -> Progress:
    """Bars that count steps, and are gone at the end."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True)


@contextmanager
def progress_bars(console: Console, label: str) -> Iterator[ProgressListener]:
    """Bars for documents and pages, moved by whatever listens to an engine; lines where nobody sees bars."""
    if not console.is_terminal:
        yield Lines(console, label)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        documents = bars.add_task(label, total=None, note="reading and probing")
        pages = bars.add_task("pages", total=None, note="")

        def listener(event: ProgressEvent) -> None:
            states = ", ".join(f"{count} {state}" for state, count in sorted(event.states.items()))
            bars.update(documents, total=event.documents, completed=event.documents_done, note=states)
            bars.update(pages, total=event.pages, completed=event.pages_done)

        yield listener
