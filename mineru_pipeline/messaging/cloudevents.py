"""CloudEvents 1.0 on Kafka, in structured and in binary mode.

The rules are those of the specification, its JSON format and its Kafka protocol binding, version 1.0.2. The package
``cloudevents`` is not used to read them: it makes up an id and a time where an event has none, so that a malformed
event passes and reading it twice gives two events, and it tells the modes apart by header names instead of the content
type. The tests use it to see that both understand each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mineru_pipeline.messaging.broker import Headers
from mineru_pipeline.messaging.refusal import Reason, refused

STRUCTURED = "application/cloudevents+json"
SPEC_VERSION = "1.0"
_ANY_STRUCTURED = "application/cloudevents"
_PREFIX = "ce_"
_REQUIRED = ("id", "source", "type", "specversion")
_MAX_ATTRIBUTE = 2048


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event: what it is, where it comes from, and its data as decoded JSON."""

    id: str
    source: str
    type: str
    data: Any
    subject: str | None = None
    #: When it happened, as ISO 8601 in UTC.
    time: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)


def content_type(headers: Headers) -> str:
    """Return the media type that the headers name, in lower case and without parameters; "" for none."""
    values = [value for name, value in headers if name.lower() == "content-type"]
    return values[-1].decode("latin-1").partition(";")[0].strip().lower() if values else ""


def is_structured(headers: Headers, value: Any) -> bool:
    """Whether the message is an event in structured mode, by its content type or else by its shape."""
    named = content_type(headers)
    return named.startswith(_ANY_STRUCTURED) or (isinstance(value, dict) and "specversion" in value)


def is_binary(headers: Headers) -> bool:
    """Whether the headers are those of an event in binary mode."""
    return not content_type(headers).startswith(_ANY_STRUCTURED) and any(
        name.lower() == f"{_PREFIX}specversion" for name, _ in headers
    )


def from_structured(value: Any) -> CloudEvent:
    """Read an event from decoded JSON; raises :class:`RefusedMessageError`."""
    if not isinstance(value, dict):
        raise refused(Reason.NOT_AN_EVENT, "A structured CloudEvent must be a JSON object.")
    if "data_base64" in value:
        raise refused(Reason.NOT_AN_EVENT, "The event's data is binary (data_base64); JSON in data is expected.")
    attributes = {name: given for name, given in value.items() if name != "data" and given is not None}
    return _event(attributes, value.get("data"))


def from_binary(headers: Headers, value: Any) -> CloudEvent:
    """Read an event from headers, with ``value`` as its decoded data; raises :class:`RefusedMessageError`."""
    attributes: dict[str, Any] = {}
    for name, raw in headers:
        if name.lower().startswith(_PREFIX):
            try:
                attributes[name.lower().removeprefix(_PREFIX)] = raw.decode()
            except UnicodeDecodeError:
                raise refused(Reason.NOT_AN_EVENT, f"The header {name[:80]!a} is not UTF-8.") from None
    return _event(attributes, value)


def to_structured(event: CloudEvent) -> tuple[Headers, bytes]:
    """Return headers and value of a message that carries the event in structured mode."""
    body: dict[str, Any] = {"specversion": SPEC_VERSION, "id": event.id, "source": event.source, "type": event.type}
    optional = {"subject": event.subject, "time": event.time}
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= {**event.extensions, "datacontenttype": "application/json", "data": event.data}
    value = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return (("content-type", STRUCTURED.encode()),), value


def _event(attributes: Mapping[str, Any], data: Any) -> CloudEvent:
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise refused(Reason.NOT_AN_EVENT, f"The CloudEvent has no {', '.join(missing)}.")
    for name, value in attributes.items():
        _check(name, value)
    if attributes["specversion"] != SPEC_VERSION:
        raise refused(Reason.NOT_AN_EVENT, f"The CloudEvent's specversion is not {SPEC_VERSION}.")
    known = {*_REQUIRED, "subject", "time", "datacontenttype", "dataschema"}
    extensions = {name: str(value) for name, value in attributes.items() if name not in known}
    return CloudEvent(
        attributes["id"],
        attributes["source"],
        attributes["type"],
        data,
        attributes.get("subject"),
        attributes.get("time"),
        extensions,
    )


def _check(name: str, value: Any) -> None:
    """Attribute names are lower-case letters and digits; values texts, or for extensions numbers and truth values."""
    if not (name.isascii() and name.isalnum() and name == name.lower()):
        raise refused(Reason.NOT_AN_EVENT, f"{name[:80]!a} is no name of a CloudEvents attribute.")
    named = name in {*_REQUIRED, "subject", "time", "datacontenttype", "dataschema"}
    if isinstance(value, str):
        if (named and not value) or len(value) > _MAX_ATTRIBUTE:
            raise refused(Reason.NOT_AN_EVENT, f"The attribute {name} is empty or over {_MAX_ATTRIBUTE} characters.")
    elif named or not isinstance(value, int):
        raise refused(Reason.NOT_AN_EVENT, f"The attribute {name} must be a text.")
