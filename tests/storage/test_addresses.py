"""The addresses of objects in buckets."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.settings_storage import is_bucket
from mineru_pipeline.storage.addresses import is_bucket_name, object_uri, parse_object_uri

KEYS = {
    "plain/key.pdf": "s3://papers/plain/key.pdf",
    "a b.pdf": "s3://papers/a%20b.pdf",
    "50%.pdf": "s3://papers/50%25.pdf",
    "a%20b": "s3://papers/a%2520b",
    "a+b": "s3://papers/a%2Bb",
    "a#1": "s3://papers/a%231",
    "a?x=1": "s3://papers/a%3Fx%3D1",
    "../up/./here": "s3://papers/../up/./here",
    "a//b/": "s3://papers/a//b/",
    "/rooted": "s3://papers//rooted",
    "Größe": "s3://papers/Gr%C3%B6%C3%9Fe",
    "a\nb": "s3://papers/a%0Ab",
    "k" * 900: f"s3://papers/{'k' * 900}",
}


@pytest.mark.parametrize(("key", "uri"), KEYS.items(), ids=[ascii(key)[:20] for key in KEYS])
def test_a_key_and_its_address(key: str, uri: str) -> None:
    """What could mean something in a URI is encoded; the address leads back to exactly the key."""
    assert object_uri("papers", key) == uri
    assert parse_object_uri(uri) == ("papers", key)


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=300))
def test_every_key_has_an_address_and_every_address_its_key(key: str) -> None:
    """Reading undoes writing, whatever the key, and the address is one for every reader of URIs, too."""
    uri = object_uri("papers", key)
    assert parse_object_uri(uri) == ("papers", key)
    assert uri.isascii()
    assert (urlsplit(uri).netloc, urlsplit(uri).query, urlsplit(uri).fragment) == ("papers", "", "")


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://papers/a b ö.pdf", "a b ö.pdf"),
        ("S3://papers/a+b", "a+b"),
        ("s3://papers/%e2%82%ac", "€"),
    ],
)
def test_what_is_clear_is_read(uri: str, key: str) -> None:
    """Others write addresses less strictly; what can only mean one key is taken for it."""
    assert parse_object_uri(uri) == ("papers", key)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("https://papers/a", "s3://"),
        ("s3:papers/a", "s3://"),
        ("s3://papers", "no key"),
        ("s3://papers/", "no key"),
        ("s3:///a", "name of a bucket"),
        ("s3://Papers/a", "name of a bucket"),
        ("s3://user:secret@papers/a", "name of a bucket"),
        ("s3://127.0.0.1:9000/papers/a", "name of a bucket"),
        ("s3://../a", "name of a bucket"),
        ("s3://papers/what?", "%3F"),
        ("s3://papers/a?versionId=1", "%3F"),
        ("s3://papers/a#1", "%23"),
        ("s3://papers/50%.pdf", "%25"),
        ("s3://papers/%zz", "%25"),
        ("s3://papers/%ff", "UTF-8"),
    ],
)
def test_what_is_not_clear_is_refused(uri: str, why: str) -> None:
    """Nobody guesses which object is meant; the reason says how to write it, and repeats nothing."""
    with pytest.raises(ValueError, match=why) as caught:
        parse_object_uri(uri)
    assert "secret" not in str(caught.value)


@given(st.one_of(st.text("ab0.-_A:/@", max_size=66), st.text("ab0.-", max_size=66)))
def test_settings_and_addresses_agree_on_names(name: str) -> None:
    """A bucket that a setting may name can be addressed, and the other way round."""
    assert is_bucket(name) == is_bucket_name(name)
