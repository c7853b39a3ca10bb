"""What a message says: documents, removals, or why it is refused; never an exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from mineru_pipeline.documents.refs import DocumentRef, utc_text
from mineru_pipeline.errors import RefusedMessageError
from mineru_pipeline.messaging import cloudevents, notifications, requests
from mineru_pipeline.messaging.broker import Message
from mineru_pipeline.messaging.notifications import Ignored, Removed
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.messaging.refusal import Reason, refused

#: The broker's usual limit is 1 MiB; a request needs less than 20 KiB.
MAX_MESSAGE_BYTES = 1024 * 1024
_LAST_MS = 253_402_300_799_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Said = DocumentRef | Removed | Ignored
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is refused, or its record number ``record``, counted from 0."""

    reason: str
    message: str
    record: int | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """All that one message says, in order."""

    said: tuple[Said, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def refs(self) -> tuple[DocumentRef, ...]:
        """The documents it announces."""
        return tuple(item for item in self.said if isinstance(item, DocumentRef))

    @property
    def removed(self) -> tuple[str, ...]:
        """The addresses of objects that were removed."""
        return tuple(item.uri for item in self.said if isinstance(item, Removed))


def moment_of(message: Message) -> datetime:
    """Return when the message was written; 1970 where the log does not say, or says what no calendar has."""
    stamp = message.timestamp_ms
    if stamp is None or not 0 <= stamp <= _LAST_MS:
        return _EPOCH
    return datetime.fromtimestamp(stamp // 1000, UTC)


def read_message(message: Message, policy: Policy) -> Contents:
    """Read a message, whatever is in it."""
    received_at = utc_text(moment_of(message))
    value, refusal = _attempt(lambda: _decode(message))
    if refusal is not None:
        return Contents(refusals=(refusal,))
    if notifications.is_notification(value) and not cloudevents.is_binary(message.headers):
        return _read_notification(value, policy, received_at)
    ref, refusal = _attempt(lambda: requests.requested(_event(message, value), policy, received_at))
    return Contents(refusals=(refusal,)) if refusal is not None else Contents(said=(ref,) if ref else ())


def _read_notification(value: Any, policy: Policy, received_at: str) -> Contents:
    records, refusal = _attempt(lambda: notifications.records_of(value))
    if refusal is not None:
        return Contents(refusals=(refusal,))
    said: list[Said] = []
    refusals: list[Refusal] = []
    for number, record in enumerate(records or ()):
        found, refusal = _attempt(lambda: notifications.notified(record, policy, received_at), number)  # noqa: B023  called at once
        refusals += [refusal] if refusal is not None else []
        said += [found] if found is not None else []
    return Contents(tuple(said), tuple(refusals))


def _attempt(read: Callable[[], _T], record: int | None = None) -> tuple[_T | None, Refusal | None]:
    try:
        return read(), None
    except RefusedMessageError as error:
        return None, Refusal(error.reason, str(error), record)


def _decode(message: Message) -> Any:
    if not message.value:
        raise refused(Reason.EMPTY, "The message has no value.")
    if message.size > MAX_MESSAGE_BYTES:
        raise refused(
            Reason.TOO_LARGE, f"The message has {message.size} bytes; at most {MAX_MESSAGE_BYTES} are accepted."
        )
    try:
        return json.loads(message.value)
    except (ValueError, RecursionError) as error:
        place = f" (character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise refused(Reason.NOT_JSON, f"The message is not JSON{place}.") from None


def _event(message: Message, value: Any) -> cloudevents.CloudEvent:
    if cloudevents.is_binary(message.headers):
        return cloudevents.from_binary(message.headers, value)
    if cloudevents.is_structured(message.headers, value):
        return cloudevents.from_structured(value)
    raise refused(
        Reason.NOT_AN_EVENT,
        "The message is neither a CloudEvent (no specversion) nor a bucket notification (no Records).",
    )
