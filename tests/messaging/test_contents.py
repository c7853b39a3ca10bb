"""What a message says, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from announcements import AT, POLICY, event, message, notification
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.messaging.broker import Message
from mineru_pipeline.messaging.contents import MAX_MESSAGE_BYTES, Contents, moment_of, read_message
from mineru_pipeline.messaging.deadletters import refused_letter
from mineru_pipeline.messaging.requests import TYPE
from mineru_pipeline.storage.layout import TENANT_PATTERN

FULL = {
    "uri": "s3://inbox/a%20b.pdf",
    "version": "v1",
    "size": 12,
    "etag": "e",
    "tenant": "acme",
    "metadata": {"case": "42"},
}


def read(value: Any, **more: Any) -> Contents:
    return read_message(message(value, **more), POLICY)


def test_a_request_becomes_a_reference() -> None:
    """Every field arrives, and the time is that of the message."""
    (ref,) = read(event(FULL)).refs
    assert ref == DocumentRef(
        "s3://inbox/a%20b.pdf", 12, "e", "v1", "2026-09-21T14:13:20Z", "kafka", None, "acme", (("case", "42"),)
    )


def test_a_request_in_binary_mode_says_the_same() -> None:
    """Attributes in headers, data as value."""
    headers = tuple((f"ce_{n}", str(v).encode()) for n, v in event(None).items())
    assert read(FULL, headers=headers) == read(event(FULL))


def test_a_request_needs_an_address_alone() -> None:
    """All else may be absent or null."""
    (ref,) = read(event({"uri": "s3://inbox/a", "version": None, "size": None, "tenant": None})).refs
    assert (ref.size, ref.version, ref.etag, ref.tenant, ref.metadata) == (None, None, None, None, ())


def test_one_object_has_one_address() -> None:
    """However a sender encodes the key, the reference has the canonical spelling."""
    uris = {read(event({"uri": uri})).refs[0].uri for uri in ("s3://inbox/a b+c", "s3://inbox/%61%20b%2bc")}
    assert uris == {"s3://inbox/a%20b%2Bc"}


def test_a_notification_becomes_references() -> None:
    """One for each record, keys decoded: + is a space, %2F a slash, %2B a plus."""
    refs = read(notification({"key": "in%2Fa+b%2Bc.pdf", "versionId": "v9"}, {"key": "%C3%A4.pdf", "size": 0})).refs
    assert refs[0] == DocumentRef(
        "s3://inbox/in/a%20b%2Bc.pdf",
        7,
        "0f",
        "v9",
        "2026-09-21T14:13:20Z",
        "kafka",
        "2026-11-20T10:11:12Z",
        None,
        (("sequencer", "16F"),),
    )
    assert (refs[1].uri, refs[1].size, refs[1].version) == ("s3://inbox/%C3%A4.pdf", 0, None)


@pytest.mark.parametrize("name", ["s3:ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"])
def test_a_removal_is_noticed_and_announces_nothing(name: str) -> None:
    """What was parsed of it stays; an operator sees the address."""
    found = read(notification({"key": "a.pdf", "size": None, "eTag": None}, name=name))
    assert (found.removed, found.refs, found.refusals) == (("s3://inbox/a.pdf",), (), ())


@pytest.mark.parametrize(
    "value",
    [
        notification({"key": "a.pdf"}, name="s3:ObjectAccessed:Get"),
        notification({"key": "a.pdf"}, name="s3:ObjectCreated:PutRetention"),
        notification({"key": "a.pdf"}, name="s3:ObjectCreated:PutTagging"),
        notification({"key": "folder%2F", "size": 0}),
    ],
)
def test_what_changes_no_document_is_passed_over(value: Any) -> None:
    """Reading accesses, tags, retention and folders are in order, and announce nothing."""
    found = read(value)
    assert (found.refs, found.removed, found.refusals) == ((), (), ())
    assert len(found.said) == 1


def test_a_bad_record_does_not_cost_its_neighbours() -> None:
    """It is refused under its number; the others are taken."""
    found = read(notification({"key": "a.pdf"}, {"key": "%ff"}, {"key": "b.pdf", "size": -1}, {"key": "c.pdf"}))
    assert [ref.uri for ref in found.refs] == ["s3://inbox/a.pdf", "s3://inbox/c.pdf"]
    assert [(refusal.reason, refusal.record) for refusal in found.refusals] == [("invalid-uri", 1), ("wrong-schema", 2)]


REFUSED: list[tuple[Any, str]] = [
    (None, "empty"),
    (b"", "empty"),
    (b"\xff\xfe\x00", "not-json"),
    (b"{", "not-json"),
    (b"[" * 100_000, "not-json"),
    (b'"' + b"x" * MAX_MESSAGE_BYTES + b'"', "message-too-large"),
    (b"[1]", "not-an-event"),
    ({"hello": "world"}, "not-an-event"),
    (event(FULL, specversion="9"), "not-an-event"),
    (event(FULL, type="other"), "unknown-type"),
    (event(None), "wrong-schema"),
    (event("text"), "wrong-schema"),
    (event({}), "wrong-schema"),
    (event(FULL | {"tennant": "x"}), "wrong-schema"),
    (event(FULL | {"metadata": {"a": {"b": 1}}}), "wrong-schema"),
    (event(FULL | {"metadata": {str(n): "" for n in range(33)}}), "wrong-schema"),
    (event(FULL | {"tenant": "../other"}), "invalid-tenant"),
    (event(FULL | {"tenant": "ACME"}), "invalid-tenant"),
    (event(FULL | {"tenant": "acme\n"}), "invalid-tenant"),
    (event(FULL | {"size": -1}), "invalid-size"),
    (event(FULL | {"size": 10**30}), "invalid-size"),
    (event(FULL | {"size": "12"}), "invalid-size"),
    (event(FULL | {"size": True}), "invalid-size"),
    (event({"uri": "https://inbox/a"}), "forbidden-scheme"),
    (event({"uri": "S3://inbox/a"}), "forbidden-scheme"),
    (event({"uri": "a.pdf"}), "forbidden-scheme"),
    (event({"uri": "s3://other/a"}), "forbidden-bucket"),
    (event({"uri": "s3://inbox"}), "invalid-uri"),
    (event({"uri": "s3://inbox/%ff"}), "invalid-uri"),
    (event({"uri": "file://"}), "invalid-uri"),
    (notification({"key": "a"}, bucket="other"), "forbidden-bucket"),
    ({"Records": []}, "wrong-schema"),
    ({"Records": {"0": 1}}, "wrong-schema"),
    ({"Records": [1] * 1001}, "too-many-records"),
    (notification({"key": "a", "size": "big"}), "wrong-schema"),
    (notification({"key": "\ud800"}), "wrong-schema"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_poison_is_refused_with_its_reason(value: Any, reason: str) -> None:
    """One reason code and one sentence, nothing announced, and no exception."""
    found = read(value)
    (refusal,) = found.refusals
    assert (found.refs, refusal.reason) == ((), reason)
    assert refusal.message.endswith(".")
    assert refusal.message.encode()
    assert len(refusal.message) < 1500


HALVES = [
    (event({"uri": "s3://inbox/a\ud800.pdf"}), "wrong-schema"),
    (event({"uri": "s3://inbox/a%ED%A0%80.pdf"}), "invalid-uri"),
    *((event(FULL | {name: "\udc80"}), "wrong-schema") for name in ("version", "etag")),
    (event(FULL | {"tenant": "\udfff"}), "invalid-tenant"),
    *((event(FULL | {"metadata": pair}), "wrong-schema") for pair in ({"a": "\ud800"}, {"\ud800": "a"})),
    (notification({"key": "a\ud800.pdf"}), "wrong-schema"),
    (notification({"key": "a%ED%A0%80.pdf"}), "invalid-uri"),
    *(
        (notification({"key": "a.pdf", name: "\ud800"}), "wrong-schema")
        for name in ("eTag", "versionId", "sequencer")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason"), HALVES)
def test_half_a_character_is_refused_with_a_reason(value: Any, reason: str) -> None:
    """JSON can say it, and no manifest could: it becomes a dead letter that can be written, and no document."""
    said = read(value)
    assert ([refusal.reason for refusal in said.refusals], said.refs) == ([reason], ())
    letter = refused_letter("dead", message(value), said.refusals[0])
    assert json.loads(letter.value)["data"]["reason"] == reason


def test_refusals_never_quote_what_was_sent() -> None:
    """An address may hold a signature, a field a password."""
    secret = "hunter2"
    values = [
        event({"uri": f"https://me:{secret}@host/?sig={secret}"}),
        event({"uri": "s3://inbox/a", "size": secret}),
        event({"uri": "s3://inbox/a", "tenant": f"-{secret}"}),
        notification({"key": "a", "sequencer": secret * 100}),
    ]
    for value in values:
        assert secret not in read(value).refusals[0].message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_without_an_exception(value: bytes) -> None:
    """Garbage is refused, never raised."""
    assert len(read_message(message(value), POLICY).refusals) == 1


@given(
    st.dictionaries(st.sampled_from([*FULL, "extra"]), json_values), st.dictionaries(st.text(max_size=9), json_values)
)
def test_any_event_is_read_without_an_exception(data: Any, attributes: Any) -> None:
    """So is garbage in the shape of an event."""
    found = read({**attributes, "specversion": "1.0", "id": "1", "source": "s", "type": TYPE, "data": data})
    assert len(found.refusals) + len(found.refs) == 1


@given(json_values, json_values, json_values)
def test_any_notification_is_read_without_an_exception(record: Any, name: Any, item: Any) -> None:
    """So is garbage in the shape of a notification."""
    shaped = {"eventName": name, "s3": {"bucket": {"name": "inbox"}, "object": item}}
    found = read({"Records": [record, shaped, {**shaped, "eventName": "s3:ObjectCreated:Put"}]})
    assert len(found.refusals) + len(found.said) == 3


@pytest.mark.parametrize(("stamp", "year"), [(None, 1970), (-5, 1970), (2**62, 1970), (AT, 2026), (0, 1970)])
def test_a_time_that_no_calendar_has_is_none(stamp: int | None, year: int) -> None:
    """Producers choose the time of their messages, and may choose badly."""
    assert moment_of(Message(message({}).partition, 0, b"", (), stamp)).year == year


def test_tenants_are_what_the_settings_accept() -> None:
    """One pattern decides in messages, settings and references."""
    from mineru_pipeline import settings

    (metadata,) = (info.metadata for name, info in settings.leaves() if name == "tenant")
    assert TENANT_PATTERN in str(metadata)
