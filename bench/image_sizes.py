"""Lists what a virtual environment holds by package, as the images' file trees are made of it.

For example: ``python -m bench.image_sizes /opt/venv --top 15``
"""

from __future__ import annotations

import argparse
from collections import Counter
from importlib.metadata import distributions
from pathlib import Path


def sizes(packages: Path) -> Counter[str]:
    """Bytes by distribution of what is recorded and still there; ``bytecode`` and ``other`` are not recorded."""
    found: Counter[str] = Counter()
    for each in distributions(path=[str(packages)]):
        files = (Path(str(file.locate())) for file in each.files or ())
        found[each.name] = sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")
    found["bytecode"] = sum(file.stat().st_size for file in packages.rglob("*.pyc"))
    return found


def main() -> None:
    """Print the largest, and the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--top", type=int, default=15)
    given = parser.parse_args()
    (packages,) = given.environment.glob("lib/python3.*/site-packages")
    found = sizes(packages)
    for name, size in found.most_common(given.top):
        print(f"{size / 1e6:8.1f} MB  {name}")
    everything = sum(path.lstat().st_size for path in given.environment.rglob("*") if not path.is_dir())
    print(f"{everything / 1e6:8.1f} MB  in all, {len(found) - 1} packages")


if __name__ == "__main__":
    main()
