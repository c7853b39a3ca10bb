"""From paths on the command line to references: every PDF below the folders, and every file named."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mineru_pipeline.documents.local import file_etag, modified_at, source_failure
from mineru_pipeline.documents.refs import ORIGIN_FOLDER, DocumentRef, utc_text

#: How the names of documents end, in whatever case.
SUFFIX = ".pdf"


def discover(
    paths: Sequence[Path], *, received_at: datetime, origin: str = ORIGIN_FOLDER, exclude: Collection[Path] = ()
) -> list[DocumentRef]:
    """Return one reference per file, sorted by address: ``*.pdf`` below folders, named files whatever their name.

    Folders in ``exclude`` are passed over with all below them: the store, above all, whose overlays
    are PDFs too. A path that is itself named, or lies below such a folder, is taken.

    A file that cannot be read becomes a reference all the same, so that it ends up in the table with
    its reason. Raises :class:`SourceError` for a path that is missing and a folder that cannot be
    listed, for nobody could tell what is missed.
    """
    left_out = {path.resolve() for path in exclude}
    found = {file for path in paths for file in _files(path, left_out)}
    refs = [_reference(file, utc_text(received_at), origin) for file in found]
    return sorted(refs, key=lambda ref: ref.uri)


def _files(path: Path, left_out: Collection[Path]) -> Iterator[Path]:
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_dir():
            yield resolved
            return
        yield from _pdfs_below(resolved, set(), left_out)
    # A loop of symbolic links is a RuntimeError up to Python 3.12.
    except (OSError, RuntimeError) as error:
        system = error if isinstance(error, OSError) else OSError(0, str(error))
        raise source_failure(system, str(system.filename or path)) from error


def _pdfs_below(folder: Path, seen: set[tuple[int, int]], left_out: Collection[Path]) -> Iterator[Path]:
    stat = folder.stat()
    if (stat.st_dev, stat.st_ino) in seen:
        return
    seen.add((stat.st_dev, stat.st_ino))
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if _is_folder(entry):
            if Path(entry.path).resolve() not in left_out:
                yield from _pdfs_below(Path(entry.path), seen, left_out)
        elif entry.name.lower().endswith(SUFFIX):
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads in a circle is no folder; if it is called *.pdf it becomes an entry.
        return False


def _reference(file: Path, received_at: str, origin: str) -> DocumentRef:
    try:
        stat = file.stat()
    except (OSError, RuntimeError):
        return DocumentRef(file.as_uri(), None, None, None, received_at, origin)
    return DocumentRef(file.as_uri(), stat.st_size, file_etag(stat), None, received_at, origin, modified_at(stat))
