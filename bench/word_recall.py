"""Says how many words of the PDFs' own text layers a finished run found, and whether every file ended as expected.

``python bench/word_recall.py PDFS OUT [--json] [--explain] [--minimum 0.93]``, where ``OUT`` is the
store of ``mineru-pipeline run PDFS --out OUT``. Exit code 1 when the mean over the born-digital
Latin-script files is below the minimum, or a state is not the one that ``PDFS/manifest.csv`` expects.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from rich.console import Console
from rich.table import Table

from bench.words import Recall, WordBag, compare, latin_share, output_words, text_layer_words

#: What ``document.md`` leaves out by design and ``structured_content.json`` keeps.
AUXILIARY_TYPES = frozenset({"header", "footer", "page_number"})
BORN_DIGITAL, HIDDEN = "born-digital", "scan with hidden text"
_BORN_DIGITAL_WORDS = 10
_BORN_DIGITAL_LATIN = 0.8
_SCAN_COVERAGE = 0.8
_SHOWN_LOST = 12


@dataclass(frozen=True, slots=True)
class TextLayer:
    """The text layer of one PDF: its words by page, and what kind of file it says this is."""

    pages: tuple[WordBag, ...]
    words: WordBag
    kind: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """One line of the table."""

    name: str
    state: str
    reason: str
    expected: str | None
    kind: str
    recall: Recall | None
    #: Numbers, from 1, of pages with words of which the output has none.
    empty_pages: tuple[int, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the file takes part in the mean."""
        return self.kind == BORN_DIGITAL and self.recall is not None

    @property
    def as_expected(self) -> bool:
        """Whether the end state is the one that the manifest names, or final and not a failure if it names none."""
        if self.expected is None:
            return self.state in {"parsed", "degraded", "rejected"}
        return state_fits(self.expected, self.state, self.reason)


def state_fits(expected: str, state: str, reason: str) -> bool:
    """Compare an end state with ``parsed`` or ``rejected: reason or reason``; ``degraded`` counts as parsed."""
    wanted, _, reasons = expected.partition(":")
    if wanted.strip() == "parsed":
        return state in {"parsed", "degraded"}
    accepted = {_spelling(text) for text in reasons.split(" or ") if text.strip()}
    return state == wanted.strip() and (not accepted or _spelling(reason.partition(":")[0]) in accepted)


def _spelling(reason: str) -> str:
    return reason.strip().casefold().replace("-", " ").replace("_", " ")


def read_text_layer(path: Path) -> TextLayer:
    """Read the text layer with PDFium; a file that it cannot open has none and is of kind ``unreadable``."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError:
        return TextLayer((), WordBag(Counter()), "unreadable")
    with document:
        texts = [page.get_textpage().get_text_range() for page in document]
        scanned = [_is_scan(page) for page in document]
    return _classified(texts, scanned)


def _classified(texts: Sequence[str], scanned: Sequence[bool]) -> TextLayer:
    pages = tuple(text_layer_words(text) for text in texts)
    words = WordBag(
        sum((page.words for page in pages), Counter[str]()), tuple(pair for page in pages for pair in page.broken)
    )
    if words.total < _BORN_DIGITAL_WORDS:
        kind = "no text layer"
    elif scanned and all(scanned):
        kind = HIDDEN
    else:
        kind = BORN_DIGITAL if latin_share("".join(texts)) >= _BORN_DIGITAL_LATIN else "other script"
    return TextLayer(pages, words, kind)


def _is_scan(page: Any) -> bool:
    """Whether a picture covers the page and all text on it is invisible: then the text is some OCR's."""
    area = page.get_width() * page.get_height()
    covered, visible = 0.0, False
    for item in page.get_objects(max_depth=4):
        if item.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            covered = max(covered, (right - left) * (top - bottom) / area)
        elif item.type == pdfium_c.FPDF_PAGEOBJ_TEXT:
            mode = pdfium_c.FPDFTextObj_GetTextRenderMode(item.raw)
            visible = visible or mode != pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE
    return covered >= _SCAN_COVERAGE and not visible


def read_rows(store: Path) -> list[dict[str, Any]]:
    """Return the rows of all tables of ``parsed_documents`` in the store, those of the newest run last."""
    tables = store.glob("tables/parsed_documents/revision=*/batch=*/part-0.parquet")
    rows: list[dict[str, Any]] = []
    for table in sorted(tables, key=lambda path: (path.stat().st_mtime_ns, str(path))):
        # Not read_table: it would add the folders' revision= and batch= as columns.
        rows.extend(pq.ParquetFile(table).read().to_pylist())
    return rows


def find_row(path: Path, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the newest row of a file, by its name, or where it was renamed by its bytes."""
    found = [row for row in rows if unquote(str(row["uri"])).replace("\\", "/").rpartition("/")[2] == path.name]
    if not found:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found = [row for row in rows if row["sha256"] == sha256]
    return found[-1] if found else None


def find_outputs(store: Path, row: Mapping[str, Any]) -> Path | None:
    """Return the folder with a document's outputs; a duplicate has those of the first one with its bytes."""
    if row.get("outputs"):
        folder = store / str(row["outputs"])
        return folder if (folder / "document.md").is_file() else None
    sha256 = str(row["sha256"])
    finished = list(store.glob(f"parsed/*/*/{sha256[:2]}/{sha256}/result.json"))
    return max(finished, key=lambda path: path.stat().st_mtime_ns).parent if finished else None


def strings_of(block: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text in a block of ``structured_content.json``, with captions, footnotes and nested blocks."""
    for key, value in block.items():
        if key == "content" and isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    yield from strings_of(item)


def measure(layer: TextLayer, markdown: str, structured: Mapping[str, Any]) -> tuple[Recall, tuple[int, ...]]:
    """Compare a text layer with a document's outputs; also name the pages (from 1) that came out empty.

    A page that was merged into the one before it, such as the end of a table, has no blocks of its
    own. It counts as empty only when most of its words are missing from the whole document as well.
    """
    output = output_words(markdown)
    by_page: dict[int, Counter[str]] = {}
    for page in structured["pages"]:
        blocks = page["blocks"]
        by_page[page["page_idx"]] = output_words("\n".join(text for block in blocks for text in strings_of(block)))
        auxiliary = [text for block in blocks if block["type"] in AUXILIARY_TYPES for text in strings_of(block)]
        output += output_words("\n".join(auxiliary))
    empty = tuple(
        index + 1
        for index, words in enumerate(layer.pages)
        if words.total and not by_page.get(index) and compare(words, output).share < 1 / 2
    )
    return compare(layer.words, output), empty


def report(path: Path, store: Path, rows: Sequence[Mapping[str, Any]], expected: str | None) -> FileReport:
    """Measure one file."""
    layer = read_text_layer(path)
    row = find_row(path, rows)
    if row is None:
        return FileReport(path.name, "missing", "no row in the run's table", expected, layer.kind, None)
    state, reason = str(row["state"]), str(row.get("reason") or "")
    if state not in {"parsed", "degraded"}:
        return FileReport(path.name, state, reason, expected, layer.kind, None)
    outputs = find_outputs(store, row)
    if outputs is None:
        return FileReport(path.name, "outputs missing", reason, expected, layer.kind, compare(layer.words, Counter()))
    if not layer.words.total:
        return FileReport(path.name, state, reason, expected, layer.kind, None)
    markdown = (outputs / "document.md").read_text(encoding="utf-8")
    structured = json.loads((outputs / "structured_content.json").read_text(encoding="utf-8"))
    recall, empty = measure(layer, markdown, structured)
    return FileReport(path.name, state, reason, expected, layer.kind, recall, empty)


def read_expectations(folder: Path) -> dict[str, str]:
    """Return what ``manifest.csv`` in the folder expects of each file; nothing where there is no manifest."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: row["expected"] for row in csv.DictReader(lines)}


def mean_share(reports: Sequence[FileReport], kinds: Collection[str] = (BORN_DIGITAL,)) -> float | None:
    """Return the mean recall (0-1) over the files of these kinds; None when there is none."""
    shares = [entry.recall.share for entry in reports if entry.kind in kinds and entry.recall is not None]
    return sum(shares) / len(shares) if shares else None


def as_json(reports: Sequence[FileReport], minimum: float) -> dict[str, Any]:
    """Return everything that was measured as one object."""
    return {
        "mean": mean_share(reports),
        "mean_with_hidden_text": mean_share(reports, (BORN_DIGITAL, HIDDEN)),
        "minimum": minimum,
        "counted": sum(entry.counts for entry in reports),
        "unexpected_states": [entry.name for entry in reports if not entry.as_expected],
        "empty_pages": {entry.name: list(entry.empty_pages) for entry in reports if entry.empty_pages},
        "files": [
            {
                "file": entry.name,
                "state": entry.state,
                "reason": entry.reason,
                "expected": entry.expected,
                "kind": entry.kind,
                "recall": entry.recall.share if entry.recall else None,
                "words": entry.recall.total if entry.recall else 0,
                "lost": dict(entry.recall.lost.most_common(_SHOWN_LOST)) if entry.recall else {},
            }
            for entry in reports
        ],
    }


def show(reports: Sequence[FileReport], console: Console, *, explain: bool) -> None:
    """Print the table by file, the worst first, and with ``explain`` the words that were lost most often."""
    table = Table("file", "kind", "state", "words", "recall", "empty pages", "remark")
    for entry in sorted(
        reports, key=lambda item: (not item.counts, item.recall.share if item.recall else 2.0, item.name)
    ):
        recall = entry.recall
        table.add_row(
            entry.name,
            entry.kind,
            entry.state,
            str(recall.total) if recall else "",
            f"{recall.share:.3f}" if recall else "",
            ", ".join(map(str, entry.empty_pages)),
            entry.reason if entry.as_expected else f"expected {entry.expected or 'a final state'}; {entry.reason}",
        )
    console.print(table)
    for entry in reports if explain else ():
        if entry.recall and entry.recall.lost:
            lost = ", ".join(f"{word} ({count})" for word, count in entry.recall.lost.most_common(_SHOWN_LOST))
            console.print(
                f"{entry.name}: {entry.recall.lost.total()} words lost: {lost}", markup=False, highlight=False
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every PDF of a folder; return 1 when a state differs or the mean is below the minimum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pdfs", type=Path, help="folder of PDFs, with or without a manifest.csv")
    parser.add_argument("store", type=Path, help="the --out folder of the finished run")
    parser.add_argument("--json", action="store_true", help="print one JSON object after the table")
    parser.add_argument("--explain", action="store_true", help="list the words that each file lost most often")
    parser.add_argument("--minimum", type=float, default=0.93, help="least accepted mean recall (default: 0.93)")
    options = parser.parse_args(arguments)
    rows, expectations = read_rows(options.store), read_expectations(options.pdfs)
    files = sorted(path for path in options.pdfs.rglob("*") if path.suffix.lower() == ".pdf")
    reports = [report(path, options.store, rows, expectations.get(path.name)) for path in files]
    show(reports, Console(width=None if sys.stdout.isatty() else 200), explain=options.explain)
    mean = mean_share(reports)
    unexpected = [entry.name for entry in reports if not entry.as_expected]
    print(f"mean recall {mean:.4f}" if mean is not None else "no born-digital Latin-script file with outputs")
    print(f"{len(unexpected)} of {len(reports)} files in an unexpected state")
    if options.json:
        print(json.dumps(as_json(reports, options.minimum), ensure_ascii=False))
    return 1 if unexpected or (mean is not None and mean < options.minimum) else 0


if __name__ == "__main__":
    sys.exit(main())
