"""References to documents: what one holds, and that nothing malformed becomes one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.documents.refs import DocumentRef, public_uri, utc_moment, utc_text
from mineru_pipeline.errors import SourceError

GOOD: dict[str, Any] = {
    "uri": "file:///data/a.pdf",
    "size": 10,
    "etag": "10-1",
    "version": None,
    "received_at": "2026-01-02T03:04:05Z",
    "origin": "folder",
    "modified_at": "2026-01-01T00:00:00Z",
}


@given(
    st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()),
    st.none() | st.integers(0, 10**15),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_a_reference_survives_json(name: str, size: int | None, etag: str | None) -> None:
    """One line out, the same reference in, whatever the name."""
    ref = DocumentRef("s3://bucket/" + name, size, etag, None, "2026-01-02T03:04:05+00:00", "minio")
    line = ref.to_json()
    assert "\n" not in line
    assert DocumentRef.from_json(line) == ref


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"uri": ""}, "uri"),
        ({"uri": "a.pdf"}, "absolute address"),
        ({"uri": "file:///" + "x" * 9000}, "at most"),
        ({"uri": 5}, "uri"),
        ({"size": -1}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": True}, "size"),
        ({"etag": 5}, "etag"),
        ({"version": ""}, "version"),
        ({"received_at": "yesterday"}, "ISO 8601"),
        ({"received_at": "2026-01-02T03:04:05"}, "time zone"),
        ({"modified_at": "2026-13-02T03:04:05Z"}, "ISO 8601"),
        ({"origin": None}, "origin"),
        ({"uri": "s3://inbox/a\ud800.pdf"}, "uri must be a text of valid Unicode"),
        ({"etag": "\udfff"}, "etag must be a text of valid Unicode"),
        ({"version": "\udc80"}, "version must be a text of valid Unicode"),
        ({"metadata": {"a": "\ud800"}}, "metadata is not valid Unicode"),
        ({"metadata": {"\ud800": "a"}}, "metadata is not valid Unicode"),
        ({"colour": "red"}, "colour unknown"),
        ({"tenant": "../up"}, "tenant must be"),
        ({"tenant": ""}, "tenant must be"),
        ({"metadata": ["a"]}, "metadata .* must be a JSON object"),
        ({"metadata": {"a": 1}}, "texts by name"),
        ({"metadata": {"": "x"}}, "metadata has a name"),
        ({"metadata": {"a": "x" * 257}}, "metadata has a name"),
        ({"metadata": {str(n): "x" for n in range(33)}}, "at most 32"),
    ],
)
def test_a_malformed_reference_is_refused_with_what_is_wrong(change: dict[str, Any], text: str) -> None:
    """Every field is checked, and unknown fields are not silently lost."""
    with pytest.raises(SourceError, match=text) as raised:
        DocumentRef.from_values(GOOD | change)
    assert raised.value.reason == "reference-invalid"


@pytest.mark.parametrize(("line", "text"), [("{", "not JSON"), ("[]", "JSON object"), ("{}", "missing"), ("1", "JSON")])
def test_what_is_no_reference_is_refused(line: str, text: str) -> None:
    """Anything but an object with the required fields is an error, not a traceback."""
    with pytest.raises(SourceError, match=text):
        DocumentRef.from_json(line)


def test_identity_leaves_out_when_it_was_seen() -> None:
    """The same state of the same object is the same, whenever it is received."""
    later = GOOD | {"received_at": "2027-01-01T00:00:00Z"}
    assert DocumentRef.from_values(GOOD).identity == DocumentRef.from_values(later).identity
    assert DocumentRef.from_values(GOOD).identity != DocumentRef.from_values(GOOD | {"etag": "x"}).identity


def test_messages_never_show_credentials() -> None:
    """User, password and signed query of an address are left out of what people and logs see."""
    assert public_uri("s3://key:secret@host/b/k.pdf?X-Signature=abc") == "s3://host/b/k.pdf"
    with pytest.raises(SourceError) as raised:
        DocumentRef.from_values(GOOD | {"uri": "http://me:secret@host/?sig=abc", "size": -1})
    assert "secret" not in str(raised.value)
    assert "abc" not in str(raised.value)


def test_times_are_utc_to_the_second() -> None:
    """A moment in any zone is written in UTC, and read back as the same moment."""
    moment = datetime(2026, 1, 1, 12, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(moment) == "2026-01-01T10:00:00Z"
    assert utc_moment("2026-01-01T12:00:00+02:00") == datetime(2026, 1, 1, 10, tzinfo=UTC)


def test_a_reference_is_one_plain_object() -> None:
    """Other programs can read the line: the fields are named as in the class."""
    assert json.loads(DocumentRef.from_values(GOOD).to_json()) == GOOD


def test_tenant_and_metadata_are_written_only_where_there_are_any() -> None:
    """They survive the line, and a reference without them is spelt as before there were any."""
    more = GOOD | {"tenant": "acme", "metadata": {"b": "2", "a": "1"}}
    ref = DocumentRef.from_values(more)
    assert json.loads(ref.to_json()) == more
    assert DocumentRef.from_json(ref.to_json()) == ref
    assert ref.metadata == (("a", "1"), ("b", "2"))
    assert "tenant" not in DocumentRef.from_values(GOOD).to_json()
    assert "metadata" not in DocumentRef.from_values(GOOD).to_json()
