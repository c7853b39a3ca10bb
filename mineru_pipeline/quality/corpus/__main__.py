"""Writes the corpus into a folder: ``python -m mineru_pipeline.quality.corpus --out DIR``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mineru_pipeline.errors import CorpusError
from mineru_pipeline.quality.corpus import SEEDS, STRATA, corpus_version, generate
from mineru_pipeline.quality.corpus.contact import write_contact_sheet

_HELD_BACK = "held-back"


def main(arguments: list[str] | None = None) -> int:
    """Write PDFs, truths and a contact sheet; return 2 for what cannot be asked for."""
    options = _parser().parse_args(arguments)
    started, version = time.monotonic(), corpus_version(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    documents = []
    try:
        for document in generate(options.seed, strata=options.stratum, sample=options.sample):
            (options.out / f"{document.name}.pdf").write_bytes(document.pdf)
            (options.out / f"{document.name}.truth.json").write_text(document.truth.to_json(), encoding="utf-8")
            documents.append(document)
    except (CorpusError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    pages = sum(document.truth.pages for document in documents)
    size = sum(len(document.pdf) for document in documents) / 1e6
    seconds = time.monotonic() - started
    sys.stdout.write(f"{version}: {len(documents)} documents, {pages} pages, {size:.1f} MB in {seconds:.0f} s\n")
    if options.seed != SEEDS[_HELD_BACK]:
        sys.stdout.write(f"Look at {write_contact_sheet(options.out, documents, version).resolve().as_uri()}\n")
    else:
        sys.stdout.write("No contact sheet: the pages of the seed that is held back are not looked at.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mineru_pipeline.quality.corpus", description="Writes the baseline corpus into a folder."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where PDFs, truths and pictures go")
    parser.add_argument(
        "--seed", type=_seed, default="baseline", help=f"{' or '.join(SEEDS)} (default: baseline), or a number of yours"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="only the first N documents of each stratum")
    parser.add_argument("--stratum", action="append", choices=[each.name for each in STRATA], help="only these strata")
    return parser


def _seed(text: str) -> int:
    return SEEDS[text] if text in SEEDS else int(text)


if __name__ == "__main__":
    sys.exit(main())
