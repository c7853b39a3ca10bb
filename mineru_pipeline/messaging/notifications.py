"""Bucket notifications in the S3 event format, as MinIO sends them to Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mineru_pipeline.documents.refs import DocumentRef, utc_moment, utc_text
from mineru_pipeline.errors import SourceError
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.messaging.refusal import Reason, refused, schema_refusal
from mineru_pipeline.messaging.requests import MAX_OBJECT_BYTES, ORIGIN

#: S3 sends one record a message today; its format allows more.
MAX_RECORDS = 1000
CREATED, REMOVED = "ObjectCreated:", "ObjectRemoved:"
#: MinIO's names for changes around an object whose bytes stay the same.
_SAME_BYTES = frozenset(
    f"{CREATED}{change}" for change in ("PutRetention", "PutLegalHold", "PutTagging", "DeleteTagging")
)


@dataclass(frozen=True, slots=True)
class Removed:
    """An object that was removed from its bucket; what was parsed of it stays."""

    uri: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that is in order and announces nothing: a reading access, a change of tags, a folder."""


class _Bucket(BaseModel):
    model_config = ConfigDict(strict=True)
    name: Annotated[str, Field(min_length=1, max_length=255)]


class _Object(BaseModel):
    model_config = ConfigDict(strict=True)
    #: URL-encoded, with + for a space; up to 1024 bytes before encoding.
    key: Annotated[str, Field(min_length=1, max_length=3072)]
    size: Annotated[int, Field(ge=0, le=MAX_OBJECT_BYTES)] | None = None
    eTag: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815  the format's own name
    versionId: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815  the format's own name
    sequencer: Annotated[str, Field(max_length=256)] | None = None


class _S3(BaseModel):
    model_config = ConfigDict(strict=True)
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    """The fields that are read; the format has more, which are not checked, for they change with its versions."""

    model_config = ConfigDict(strict=True)
    eventName: Annotated[str, Field(max_length=256)]  # noqa: N815  the format's own name
    eventTime: Annotated[str, Field(max_length=64)] | None = None  # noqa: N815  the format's own name
    s3: _S3


def is_notification(value: Any) -> bool:
    """Whether decoded JSON has the shape of a notification."""
    return isinstance(value, dict) and "Records" in value


def records_of(value: dict[str, Any]) -> list[Any]:
    """Return the records of a notification; raises :class:`RefusedMessageError`."""
    records = value["Records"]
    if not isinstance(records, list) or not records:
        raise refused(Reason.WRONG_SCHEMA, "Records must be a list that is not empty.")
    if len(records) > MAX_RECORDS:
        raise refused(Reason.TOO_MANY_RECORDS, f"A message may hold {MAX_RECORDS} records; it holds {len(records)}.")
    return records


def notified(record: Any, policy: Policy, received_at: str) -> DocumentRef | Removed | Ignored:
    """Return what one record says; raises :class:`RefusedMessageError`."""
    try:
        found = _Record.model_validate(record)
    except ValidationError as error:
        raise schema_refusal("record of the notification", error) from None
    event = found.eventName.removeprefix("s3:")
    if not event.startswith((CREATED, REMOVED)) or event in _SAME_BYTES:
        return Ignored()
    key = _decoded(found.s3.object.key)
    uri = policy.admitted_object(found.s3.bucket.name, key)
    if event.startswith(REMOVED):
        return Removed(uri)
    if key.endswith("/") and not found.s3.object.size:
        return Ignored()
    return _reference(uri, found, received_at)


def _decoded(key: str) -> str:
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise refused(Reason.INVALID_URI, "The key of the object is not URL-encoded UTF-8.") from None


def _reference(uri: str, record: _Record, received_at: str) -> DocumentRef:
    item = record.s3.object
    try:
        return DocumentRef(
            uri=uri,
            size=item.size,
            etag=item.eTag or None,
            version=item.versionId or None,
            received_at=received_at,
            origin=ORIGIN,
            modified_at=utc_text(utc_moment(record.eventTime)) if record.eventTime else None,
            # Tells which of two notifications of one key is the later one.
            metadata=(("sequencer", item.sequencer),) if item.sequencer else (),
        )
    except (SourceError, ValueError, OverflowError) as error:
        reason = Reason.INVALID_URI if isinstance(error, SourceError) else Reason.WRONG_SCHEMA
        raise refused(reason, f"The record of the notification names no document: {error}") from None
