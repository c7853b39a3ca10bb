"""Takes out of an image's virtual environment what nothing in it ever reads.

Those are libraries' own tests, C headers, source maps, and the few large parts in ``PARTS``. What a part is for is said
there, so that whoever comes to need it finds out here why it is missing.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

#: Files for whoever compiles against a library, checks its types, or debugs its JavaScript.
SUFFIXES = frozenset({".c", ".cc", ".cpp", ".h", ".hpp", ".map", ".pxd", ".pxi", ".pyi", ".pyx"})
PARTS = (
    # The asynchronous twin of the client; dagster-k8s has the other one.
    "kubernetes/aio",
    # Arrow's network service. (Its query plans look as superfluous, but its core is linked to them.)
    "pyarrow/*flight*",
)
#: Of the descriptions of all services of AWS, those that compute logs in a bucket need.
SERVICES = frozenset({"s3", "sso", "sso-oidc", "sts"})


def unneeded(packages: Path) -> Iterator[Path]:
    """Yield files and folders of ``packages``; what lies in a folder may come after it."""
    for pattern in PARTS:
        yield from sorted(packages.glob(pattern))
    for path in sorted(packages.glob("botocore/data/*/")):
        if path.is_dir() and path.name not in SERVICES:
            yield path
    for path in sorted(packages.rglob("*")):
        if path.suffix in SUFFIXES or (path.name == "tests" and (path / "__init__.py").is_file()):
            yield path


def trim(environment: Path) -> int:
    """Remove it all from a virtual environment; returns the number of bytes."""
    freed = 0
    for packages in environment.glob("lib/python3.*/site-packages"):
        for path in unneeded(packages):
            if path.is_dir():
                freed += size_of(path)
                shutil.rmtree(path)
            elif path.exists():
                freed += path.stat().st_size
                path.unlink()
    return freed


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    sys.stdout.write(f"{trim(Path(sys.argv[1])) / 1e6:.0f} MB left out\n")
