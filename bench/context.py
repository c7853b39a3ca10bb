"""What every part of the benchmark is given: files, the peer, how much to do, and where to say what goes on."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from bench import make_long_pdf

#: Share of the machine's processors that the offered pages may need, so that the server's limits are
#: measured and not the machine's.
CPU_SHARE = 0.4


@dataclass(slots=True)
class Context:
    """One run of the benchmark; parts leave in ``known`` what others can use."""

    #: Born-digital PDFs.
    files: Sequence[Path]
    #: Python of the peer's environment.
    peer: Path
    #: For files that are made for the run.
    folder: Path
    repetitions: int
    #: 1 for the real thing; less for a trial of the benchmark itself.
    scale: float
    say: Callable[[str], None]
    known: dict[str, Any] = field(default_factory=dict)

    def long_pdf(self, pages: int, seed: int = 7) -> Path:
        """Return a PDF of text and tables with so many pages; another seed, another text."""
        path = self.folder / f"{pages}-pages-{seed}.pdf"
        if not path.exists():
            make_long_pdf.write(pages, path, seed=seed)
        return path

    def mixed_pdfs(self, pages: int, seed: int = 100) -> list[Path]:
        """Return files with so many pages in all: two thirds in long files of 20 pages, the others one by one."""
        long = pages * 2 // 3 // 20
        single = pages - 20 * long
        found = [self.long_pdf(20, seed + number) for number in range(long)]
        ones = [self.long_pdf(1, seed + 1000 + number) for number in range(single)]
        # Spread evenly: neither kind is left for the end.
        return [path for _, path in sorted(_spread(found) + _spread(ones), key=lambda item: item[0])]

    def page_cost(self) -> float:
        """CPU seconds that a page costs whoever needs more, ours or the peer; measured once."""
        return float(self.known["cpu_seconds_per_page"])


def _spread(paths: Sequence[Path]) -> list[tuple[float, Path]]:
    return [((number + 0.5) / len(paths), path) for number, path in enumerate(paths)]


def born_digital(folder: Path) -> list[Path]:
    """Return the PDFs of ``folder`` that open and have text: as its ``manifest.csv`` says, or as they turn out."""
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return [path for path in sorted(folder.glob("*.pdf")) if _has_text(path)]
    with manifest.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [folder / row["file"] for row in rows if row["text_layer"] == "yes" and row["expected"] == "parsed"]


def _has_text(path: Path) -> bool:
    try:
        with pdfium.PdfDocument(path) as document:
            return any(page.get_textpage().get_text_range().strip() for page in document)
    except pdfium.PdfiumError:
        return False


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
