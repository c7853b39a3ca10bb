"""CloudEvents: both modes are read as the specification says, and understood by its own SDK."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.v1.event import CloudEvent as SdkEvent

from mineru_pipeline.errors import RefusedMessageError
from mineru_pipeline.messaging import cloudevents
from mineru_pipeline.messaging.broker import Headers
from mineru_pipeline.messaging.cloudevents import CloudEvent, from_binary, from_structured, to_structured

ATTRIBUTES = {"specversion": "1.0", "id": "7", "source": "/me", "type": "t"}
DATA = {"uri": "s3://b/ä", "n": [1, None]}


def sdk_event() -> SdkEvent:
    attributes = {"id": "7", "source": "/me", "type": "t", "subject": "s", "traceparent": "00-1"}
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return SdkEvent({**attributes, "time": time, "datacontenttype": "application/json"}, DATA)


EXPECTED = CloudEvent("7", "/me", "t", DATA, "s", "2026-01-02T03:04:05Z", {"traceparent": "00-1"})


def test_structured_events_of_the_sdk_are_read() -> None:
    """Attributes, data and extensions arrive."""
    message = sdk.to_structured_event(sdk_event())
    headers = tuple(message.headers.items())
    value = json.loads(message.value)
    assert cloudevents.is_structured(headers, value)
    assert not cloudevents.is_binary(headers)
    assert from_structured(value) == EXPECTED


def test_binary_events_of_the_sdk_are_read() -> None:
    """The attributes are in the headers, the data is the value."""
    message = sdk.to_binary_event(sdk_event())
    headers = tuple(message.headers.items())
    assert cloudevents.is_binary(headers)
    assert from_binary(headers, json.loads(message.value)) == EXPECTED


def test_the_sdk_reads_what_is_written_here() -> None:
    """Our events are events to everybody else."""
    headers, value = to_structured(EXPECTED)
    read = sdk.from_structured_event(sdk.KafkaMessage(dict(headers), None, value))
    assert (read.get_id(), read.get_source(), read.get_type(), read.get_data()) == ("7", "/me", "t", DATA)
    assert (read.get_subject(), read.get_extension("traceparent")) == ("s", "00-1")
    assert from_structured(json.loads(value)) == EXPECTED


@pytest.mark.parametrize(
    ("headers", "structured", "binary"),
    [
        ((("content-type", b"application/cloudevents+json"), ("ce_specversion", b"1.0")), True, False),
        ((("Content-Type", b"application/cloudevents+json; charset=utf-8"),), True, False),
        ((("content-type", b"application/json"), ("ce_specversion", b"1.0")), False, True),
        ((("CE_SpecVersion", b"1.0"),), False, True),
        ((("content-type", b"application/json"),), False, False),
        ((), False, False),
    ],
)
def test_the_content_type_tells_the_modes_apart(headers: Headers, structured: bool, binary: bool) -> None:
    """Structured events may repeat attributes in headers, as the binding allows; they stay structured."""
    assert cloudevents.is_structured(headers, {"no": "event"}) == structured
    assert cloudevents.is_binary(headers) == binary


def test_a_structured_event_without_a_content_type_is_known_by_its_shape() -> None:
    """Many producers set no headers."""
    assert cloudevents.is_structured((), {**ATTRIBUTES})


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_a_required_attribute_is_never_made_up(missing: str) -> None:
    """An id that we invent would differ at the next reading."""
    attributes = {name: value for name, value in ATTRIBUTES.items() if name != missing}
    with pytest.raises(RefusedMessageError, match=missing) as raised:
        from_structured({**attributes, "data": {}})
    assert raised.value.reason == "not-an-event"
    headers = tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())
    with pytest.raises(RefusedMessageError, match=missing):
        from_binary(headers, {})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id is empty"),
        ({"id": 7}, "must be a text"),
        ({"subject": "x" * 3000}, "over 2048"),
        ({"Upper": "x"}, "no name"),
        ({"with_bar": "x"}, "no name"),
        ({"ext": {"a": 1}}, "must be a text"),
        ({"ext": 1.5}, "must be a text"),
        ({"data_base64": "AA=="}, "binary"),
    ],
)
def test_what_the_specification_forbids_is_refused(change: dict[str, Any], text: str) -> None:
    """With a sentence that names what is wrong."""
    with pytest.raises(RefusedMessageError, match=text):
        from_structured({**ATTRIBUTES, "data": {}, **change})


def test_headers_of_no_text_are_refused() -> None:
    """Hostile bytes in a header are an error of the message, not a traceback."""
    headers = (*((f"ce_{name}", value.encode()) for name, value in ATTRIBUTES.items()), ("ce_ext", b"\xff"))
    with pytest.raises(RefusedMessageError, match="UTF-8"):
        from_binary(headers, {})
