"""Makes the sample PDFs beside this script, the same bytes every time: ``python samples/make_samples.py [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from samples import article, bakes, formulas, scan, sealed, turned

FOLDER = Path(__file__).resolve().parent
MAKERS: Mapping[str, Callable[[], bytes]] = {
    "01-two-column-article.pdf": article.make,
    "02-table-across-pages.pdf": bakes.make,
    "03-formulas.pdf": formulas.make,
    "04-scan.pdf": scan.make,
    "05-rotated.pdf": turned.make,
    "06-encrypted.pdf": sealed.make,
}


def write(folder: Path) -> None:
    """Write every sample into ``folder``."""
    for name, make in MAKERS.items():
        (folder / name).write_bytes(make())


def differing(folder: Path) -> list[str]:
    """Return the names of the samples in ``folder`` that are missing or not what their maker gives now."""
    return [
        name for name, make in MAKERS.items() if not (folder / name).is_file() or (folder / name).read_bytes() != make()
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the samples, or with ``--check`` compare them; return 1 when one differs."""
    parser = argparse.ArgumentParser(description="Makes the sample PDFs.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which committed files differ")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where the samples lie (default: beside this script)"
    )
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.folder)
        print(f"wrote {len(MAKERS)} samples to {options.folder}")
        return 0
    names = differing(options.folder)
    for name in names:
        print(f"{name} differs from what its maker gives; run samples/make_samples.py and commit the result")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
