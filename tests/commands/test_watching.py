"""How far a batch is, told where nobody sees bars."""

from __future__ import annotations

import io

from rich.console import Console

from mineru_pipeline.commands.watching import LINE_SECONDS, Lines, progress_bars
from mineru_pipeline.parsing.progress import ProgressEvent


def test_a_log_has_a_line_now_and_then() -> None:
    """Not one for each page, and the first only when it has taken a while."""
    file, times = io.StringIO(), iter([0.0, 1.0, LINE_SECONDS, LINE_SECONDS + 1, 3 * LINE_SECONDS])
    lines = Lines(Console(file=file, width=80), "documents", lambda: next(times))
    for done in range(4):
        lines(ProgressEvent(done, 9, 2 * done, 20, {"parsed": done}))
    assert file.getvalue().splitlines() == [
        "documents: 1 of 9, 2 of 20 pages, 1 parsed",
        "documents: 3 of 9, 6 of 20 pages, 3 parsed",
    ]


def test_bars_are_for_terminals_alone() -> None:
    """Whatever the console writes to decides."""
    for terminal in (True, False):
        file = io.StringIO()
        with progress_bars(Console(file=file, force_terminal=terminal, width=80), "documents") as listener:
            listener(ProgressEvent(1, 2, 3, 4, {"parsed": 1}))
        assert isinstance(listener, Lines) is not terminal
        assert bool(file.getvalue()) is terminal
