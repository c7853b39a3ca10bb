"""Addresses of objects in buckets: any key survives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.documents.buckets import bucket_uri, parse_bucket_uri
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import SourceError

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(KEYS)
def test_any_key_survives(key: str) -> None:
    """Out and back gives bucket and key, and a reference takes the address whatever is in the key."""
    uri = bucket_uri("inbox", key)
    assert parse_bucket_uri(uri) == ("inbox", key)
    assert DocumentRef(uri, None, None, None, "2026-01-02T03:04:05Z", "kafka").uri == uri


@pytest.mark.parametrize(
    ("key", "uri"),
    [
        ("a/b.pdf", "s3://b/a/b.pdf"),
        ("a b+c.pdf", "s3://b/a%20b%2Bc.pdf"),
        ("50%.pdf", "s3://b/50%25.pdf"),
        ("q?x=1#f", "s3://b/q%3Fx%3D1%23f"),
        ("/lead//twice/", "s3://b//lead//twice/"),
        ("Übergröße.pdf", "s3://b/%C3%9Cbergr%C3%B6%C3%9Fe.pdf"),
    ],
)
def test_the_spelling_is_fixed(key: str, uri: str) -> None:
    """Slashes stay, everything that means something in an address is encoded."""
    assert bucket_uri("b", key) == uri


@pytest.mark.parametrize("uri", ["s3://", "s3://b", "s3://b/", "s3:///k", "file:///a", "S3://b/k", "s3://b/%ff"])
def test_anything_else_is_refused(uri: str) -> None:
    """An address without bucket or key, of another scheme or of bytes that are no text is an error with a reason."""
    with pytest.raises(SourceError) as raised:
        parse_bucket_uri(uri)
    assert raised.value.reason == "reference-invalid"
