"""Checks a parse against assertions that people wrote: ``python -m bench.olmocr_assertions PDFS [--out STORE]``.

``PDFS`` is a folder with the files and with ``reference/olmocr_tests.jsonl``, the assertions in the format of
olmOCR-Bench. The files are parsed as ``mineru-pipeline run`` does with the settings in effect, so by the
development server where no other is set, and pass rates by kind are printed as one JSON object. ``--out`` takes
a store, which is reused: what has been parsed is not parsed again. Where the folder or the assertions are
missing, it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.word_recall import find_outputs, find_row, read_rows
from mineru_pipeline.quality.assertions import Claim, Verdict, check, pass_rates, read_claims
from mineru_pipeline.quality.scores.parsed import ParsedBlock, read_content_list


def find_file(folder: Path, name: str) -> Path | None:
    """The PDF that an assertion names; files may carry the name of their collection before two underscores."""
    wanted = name.rpartition("/")[2]
    found = [path for path in sorted(folder.glob("*.pdf")) if path.name.rpartition("__")[2] == wanted]
    return found[0] if found else None


def parse(files: Sequence[Path], store: Path) -> int:
    """Parse files with the product's own command; return its exit code."""
    command = [str(Path(sys.executable).with_name("mineru-pipeline")), "run", *map(str, files), "--out", str(store)]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode


def measure(claims: Sequence[Claim], folder: Path, store: Path) -> dict[str, Any]:
    """Check every claim whose file is there; a file without a parse passes nothing but what asserts absence."""
    rows = read_rows(store)
    parses: dict[str, list[ParsedBlock]] = {}
    verdicts: list[Verdict] = []
    missing: set[str] = set()
    for claim in claims:
        path = find_file(folder, claim.pdf)
        if path is None:
            missing.add(claim.pdf)
            continue
        if claim.pdf not in parses:
            row = find_row(path, rows)
            outputs = find_outputs(store, row) if row else None
            text = (outputs / "content_list.json").read_text(encoding="utf-8") if outputs else "[]"
            parses[claim.pdf] = list(read_content_list(json.loads(text)))
        verdicts.append(check(claim, parses[claim.pdf]))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    return {
        "rates": pass_rates(verdicts),
        "missing_files": sorted(missing),
        "unparsed_files": sorted(name for name, blocks in parses.items() if not blocks),
        "failed": [
            {"id": verdict.claim.id, "kind": verdict.claim.kind.value, "why": verdict.why}
            | dict(verdict.claim.texts)
            | dict(verdict.claim.relations)
            for verdict in failed
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.olmocr_assertions", description=(__doc__ or "").split(":")[0]
    )
    parser.add_argument("pdfs", type=Path, help="folder with the PDFs and reference/olmocr_tests.jsonl")
    parser.add_argument("--out", type=Path, help="store of the parses, kept and reused; a temporary one by default")
    parser.add_argument("--tests", type=Path, help="the assertions, if they lie elsewhere")
    options = parser.parse_args(arguments)
    tests: Path = options.tests or options.pdfs / "reference" / "olmocr_tests.jsonl"
    if not tests.is_file():
        print(json.dumps({"skipped": f"There are no assertions at {tests}."}))
        return 0
    claims = read_claims(tests.read_text(encoding="utf-8").splitlines())
    files = sorted({path for claim in claims if (path := find_file(options.pdfs, claim.pdf))})
    with tempfile.TemporaryDirectory() as temporary:
        store: Path = options.out or Path(temporary)
        code = parse(files, store) if files else 0
        print(json.dumps(measure(claims, options.pdfs, store), ensure_ascii=False, indent=1, sort_keys=True))
    return code


if __name__ == "__main__":
    sys.exit(main())
