"""A reference to a document: where it lies, which version of it is meant, and how it came in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from mineru_pipeline.errors import SourceError
from mineru_pipeline.storage.layout import TENANT_PATTERN

INVALID = "reference-invalid"
#: The origin of what we found in a bucket ourselves.
ORIGIN_LISTING = "minio"
#: The origin of what was found there, too, but only when the bucket was compared with the tables.
ORIGIN_RECONCILIATION = "reconciliation"
#: The origin of what somebody names on the command line, and parses there.
ORIGIN_FOLDER = "folder"
_MAX_URI = 8192
#: Metadata is carried along for whoever announced the document; a manifest of many documents stays small.
MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 32, 64, 256
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")
_USER = re.compile(r"(?<=://)[^/@]*@")
_TENANT = re.compile(TENANT_PATTERN)
_REQUIRED = ("uri", "received_at", "origin")


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """One document as it was announced or found; times are ISO 8601 in UTC.

    ``etag`` and ``version`` tell one state of the object at ``uri`` from the next: for a local file
    the etag is its size and time of modification, for an object store what the store says.
    """

    uri: str
    size: int | None
    etag: str | None
    version: str | None
    received_at: str
    #: Which way it came: ``folder``, ``minio``, ``kafka``, ``reconciliation``.
    origin: str
    modified_at: str | None = None
    #: Whose document it is; None leaves it to the manifest.
    tenant: str | None = None
    #: What whoever announced it wants to find again, as pairs sorted by key.
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise SourceError(INVALID, f"The reference to {public_uri(str(self.uri))!r} is invalid: {problem}.")

    def to_json(self) -> str:
        """Return the reference as one line of JSON; tenant and metadata only where there are any."""
        values = asdict(self)
        if self.tenant is None:
            del values["tenant"]
        metadata = dict(values.pop("metadata"))
        return json.dumps(
            values | ({"metadata": metadata} if metadata else {}), ensure_ascii=False, separators=(",", ":")
        )

    @classmethod
    def from_json(cls, line: str | bytes) -> DocumentRef:
        """Read :meth:`to_json` back; raises :class:`SourceError` that says what is wrong."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(INVALID, f"A document reference is not JSON: {error}.") from error
        return cls.from_values(value)

    @classmethod
    def from_values(cls, value: Any) -> DocumentRef:
        """Build it from decoded JSON; raises :class:`SourceError` that says what is wrong."""
        if not isinstance(value, dict):
            raise SourceError(INVALID, "A document reference must be a JSON object.")
        names = {field.name for field in fields(cls)}
        unknown, missing = sorted(value.keys() - names), sorted(set(_REQUIRED) - value.keys())
        if unknown or missing:
            wrong = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(unknown)} unknown"] * bool(
                unknown
            )
            raise SourceError(INVALID, f"A document reference has the wrong fields: {'; '.join(wrong)}.")
        values: dict[str, Any] = {name: value.get(name) for name in names}
        return cls(**{**values, "metadata": metadata_pairs(value.get("metadata") or {})})

    @property
    def identity(self) -> tuple[str, int | None, str | None, str | None]:
        """What makes two references mean the same state of the same object; not when or how it was seen."""
        return self.uri, self.size, self.etag, self.version


def metadata_pairs(values: Any) -> tuple[tuple[str, str], ...]:
    """Return a mapping of metadata as a reference holds it; raises :class:`SourceError` for anything else."""
    if not isinstance(values, Mapping):
        raise SourceError(INVALID, "The metadata of a document reference must be a JSON object.")
    return tuple(sorted(values.items()))


def public_uri(uri: str) -> str:
    """Return the address as messages may show it: without user, password and query, which can be secrets."""
    return _USER.sub("", uri).partition("?")[0][:500]


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8: escapes in JSON, and file names, can hold halves of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def utc_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, to the second, as ``2026-11-21T22:40:05Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_moment(text: str) -> datetime:
    """Read a moment with its time zone; raises :class:`ValueError` where there is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def _problem(ref: DocumentRef) -> str | None:
    texts = {name: getattr(ref, name) for name in ("uri", "received_at", "origin")}
    optional = {name: getattr(ref, name) for name in ("etag", "version", "modified_at", "tenant")}
    for name, text in (texts | {name: text for name, text in optional.items() if text is not None}).items():
        if not isinstance(text, str) or not text or not is_unicode(text):
            return f"{name} must be a text of valid Unicode that is not empty"
    if len(ref.uri) > _MAX_URI or not _ABSOLUTE.fullmatch(ref.uri):
        return f"uri must be an absolute address of at most {_MAX_URI} characters, such as file:///data/a.pdf"
    if ref.size is not None and (type(ref.size) is not int or ref.size < 0):
        return "size must be a whole number of bytes, or null"
    try:
        [utc_moment(text) for text in (ref.received_at, ref.modified_at) if text is not None]
    except (ValueError, OverflowError) as error:
        return f"a time must be ISO 8601 with a time zone ({error})"
    if ref.tenant is not None and not _TENANT.fullmatch(ref.tenant):
        return "tenant must be 1 to 63 of the characters a–z, 0–9, _ and -, the first a letter or digit"
    return _metadata_problem(ref.metadata)


def _metadata_problem(metadata: tuple[tuple[str, str], ...]) -> str | None:
    texts = [text for pair in metadata for text in pair]
    if len(metadata) > MAX_METADATA or not all(isinstance(text, str) for text in texts):
        return f"metadata must be at most {MAX_METADATA} texts by name"
    if not all(is_unicode(text) for text in texts):
        return "metadata is not valid Unicode"
    if any(not 0 < len(key) <= MAX_METADATA_KEY or len(value) > MAX_METADATA_VALUE for key, value in metadata):
        return f"metadata has a name over {MAX_METADATA_KEY} or a value over {MAX_METADATA_VALUE} characters"
    return None
