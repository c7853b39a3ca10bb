"""Local files as documents: their addresses and what tells one state of a file from the next."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

from mineru_pipeline.documents.refs import public_uri, utc_text
from mineru_pipeline.errors import SourceError

UNREADABLE = "source-unreadable"
MISSING = "source-missing"
CHANGED = "source-changed"


def file_etag(stat: os.stat_result) -> str:
    """Return size and time of modification in nanoseconds, which change with the file's bytes."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def modified_at(stat: os.stat_result) -> str:
    """Return the time of modification in UTC."""
    return utc_text(datetime.fromtimestamp(stat.st_mtime, UTC))


def path_of(uri: str) -> Path:
    """Return the path a ``file://`` address means, whatever bytes its name is made of."""
    scheme, _, rest = uri.partition("://")
    if scheme.lower() != "file":
        raise SourceError(UNREADABLE, f"{public_uri(uri)} cannot be read: only local files (file:///…) can.")
    raw = unquote_to_bytes(rest.removeprefix("localhost"))
    if b"\0" in raw or not raw.startswith(b"/"):
        raise SourceError(UNREADABLE, f"{public_uri(uri)} is not the address of a file on this machine.")
    return Path(os.fsdecode(raw))


def source_failure(error: OSError, place: str) -> SourceError:
    """Return the typed error for what the system said of ``place``."""
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    reason = MISSING if gone else UNREADABLE
    advice = "Check the path." if gone else "Check its permissions, and that its disk is well."
    return SourceError(reason, f"{place} cannot be read: {error.strerror or error}. {advice}")
