"""The contract of the object store, run against every adapter in ``conftest.STORES``."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.errors import InvalidKeyError, ObjectNotFoundError
from mineru_pipeline.storage import ObjectStore, validate_key, validate_prefix

BAD_KEYS = {
    "": "empty",
    "/etc/passwd": "absolute",
    "a//b": "empty segment",
    "a/": "empty segment",
    "..": "leave its folder",
    "a/../b": "leave its folder",
    "./a": "leave its folder",
    "a\\b": "backslash",
    "a\0b": "control character",
    "a\nb": "control character",
    "a\x7fb": "control character",
    "\ud800": "not valid Unicode",
    "a/.tmp-1": "reserved",
    "x" * 256: "more than 255",
    "ä" * 128: "more than 255",
    "/".join(["x" * 200] * 6): "more than 1024",
}


def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    """What is put under a key is what is got, down to no bytes at all."""
    store.put("a/b.bin", b"\0\xff" * 1000)
    store.put("a/empty", b"")
    assert store.get("a/b.bin") == b"\0\xff" * 1000
    assert store.get("a/empty") == b""


ODD_KEYS = [
    "with space/and  two",
    "50%/100%25.pdf",
    "a+b",
    "question?x=1&y=2",
    "hash#1",
    "semi;colon/comma,colon:at@quote'\"<>|*",
    "..two/dots../a..b/.hidden",
    "Übergröße/日本語/🙂.json",
    "e\u0301 is not \u00e9",
    "~tilde-_.!()[]{}^`",
    "/".join(["é" * 100] * 4),
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_is_taken_as_it_is(store: ObjectStore, key: str) -> None:
    """No character means more than itself, to any method, on the way to the store or back in its listings."""
    assert store.put_if_absent(key, b"1")
    store.put(key, b"22")
    assert store.get(key) == b"22"
    assert store.exists(key)
    assert [info.key for info in store.list()] == [key]
    assert [info.key for info in store.list(key)] == [key]
    store.delete(key)
    assert not store.exists(key)


def test_an_address_tells_the_store(store: ObjectStore) -> None:
    """Its address is a text for people, and the addresses of its objects begin with it, as URIs."""
    assert store.address
    assert unquote(store.uri("k")).removeprefix("file://") == unquote(f"{store.address}/k")


def test_put_replaces(store: ObjectStore) -> None:
    """A second put under a key wins, even when it is shorter."""
    store.put("k", b"long long")
    store.put("k", b"short")
    assert store.get("k") == b"short"


def test_put_if_absent_keeps_the_first(store: ObjectStore) -> None:
    """The first gets True; later ones get False and change nothing."""
    assert store.put_if_absent("m/k", b"first") is True
    assert store.put_if_absent("m/k", b"second") is False
    assert store.get("m/k") == b"first"


def test_a_missing_object_is_an_error_that_names_it(store: ObjectStore) -> None:
    """Getting what is not there raises ObjectNotFoundError with the key; folders are no objects."""
    store.put("a/b", b"x")
    for key in ("nothing", "a", "a/b2"):
        with pytest.raises(ObjectNotFoundError, match=key):
            store.get(key)
        assert not store.exists(key)
    assert store.exists("a/b")


def test_delete_is_idempotent(store: ObjectStore) -> None:
    """Deleting removes the object, and deleting nothing is fine."""
    store.put("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was")
    assert not store.exists("a/b")


def test_a_listing_is_sorted_by_key_and_matches_by_string_prefix(store: ObjectStore) -> None:
    """Keys come in the order of their characters, as in S3, with "/" taking part in it."""
    keys = ["a/b/c", "a/b", "a/b-1", "a.x", "a0", "z", "a/b.d/e", "ä/ö"]
    keys.remove("a/b")  # on a file system a key cannot lie below another object
    for key in keys:
        store.put(key, key.encode())
    assert [info.key for info in store.list("")] == sorted(keys)
    assert [info.key for info in store.list("a/b")] == ["a/b-1", "a/b.d/e", "a/b/c"]
    assert [info.key for info in store.list("a/b/")] == ["a/b/c"]
    assert list(store.list("q/w/")) == []


def test_a_listing_tells_size_change_and_time(store: ObjectStore) -> None:
    """Each entry has the size in bytes, an etag that changes with the object, and when it was stored."""
    store.put("k", b"12345")
    (before,) = store.list("k")
    store.put("k", b"1234567")
    (after,) = store.list("k")
    assert (before.size, after.size) == (5, 7)
    assert before.etag != after.etag
    assert before.modified_at is not None
    assert after.modified_at is not None
    # By the store's own clock, which some tell to the second.
    assert abs(after.modified_at - time.time()) < 3600
    assert after.modified_at >= before.modified_at


def test_nothing_can_be_listed_in_a_store_that_was_never_written(store: ObjectStore) -> None:
    """A fresh store is an empty one, not an error."""
    assert list(store.list("")) == []
    assert not store.exists("a")


@pytest.mark.parametrize(("key", "why"), BAD_KEYS.items(), ids=[ascii(key)[:20] for key in BAD_KEYS])
def test_a_bad_key_is_refused_with_its_reason(store: ObjectStore, key: str, why: str) -> None:
    """Every method refuses a key that could leave the store or that some store cannot hold."""
    operations = (store.get, store.exists, store.delete, store.uri, lambda k: store.put(k, b""))
    for operation in (*operations, lambda k: store.put_if_absent(k, b"")):
        with pytest.raises(InvalidKeyError, match=why):
            operation(key)


def test_a_listing_refuses_prefixes_that_leave_the_store(store: ObjectStore) -> None:
    """Prefixes obey the rules of keys, one trailing slash aside."""
    for prefix in ("/", "/etc", "../", "a/../", "a//"):
        with pytest.raises(InvalidKeyError):
            list(store.list(prefix))
    assert validate_prefix("") == ""
    assert validate_prefix("a/") == "a/"


@given(st.text(min_size=1, max_size=40))
def test_a_valid_key_never_climbs(key: str) -> None:
    """Whatever is taken as a key has no segment that a file system would treat specially."""
    try:
        validate_key(key)
    except InvalidKeyError:
        return
    assert not key.startswith("/")
    assert not {"", ".", ".."} & set(key.split("/"))
    assert "\0" not in key


def test_of_many_rivals_exactly_one_wins(store: ObjectStore) -> None:
    """Threads that put the same absent key at once: one True, and its bytes are the ones stored."""
    rivals = 16
    barrier = threading.Barrier(rivals)

    def rival(number: int) -> bool:
        barrier.wait()
        return store.put_if_absent("manifests/one.jsonl", b"%d" % number * 10_000)

    with ThreadPoolExecutor(rivals) as pool:
        won = list(pool.map(rival, range(rivals)))
    assert won.count(True) == 1
    assert store.get("manifests/one.jsonl") == b"%d" % won.index(True) * 10_000


def test_readers_never_see_half_an_object(store: ObjectStore) -> None:
    """While an object is replaced again and again, every read gives one of the versions, whole."""
    versions = [bytes([n]) * 200_000 for n in range(8)]
    store.put("k", versions[0])
    done = threading.Event()

    def write() -> None:
        for version in versions * 3:
            store.put("k", version)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not done.is_set():
            assert store.get("k") in versions
        writing.result()


def test_an_address_is_for_people(store: ObjectStore) -> None:
    """The address is a URI that ends in the key, percent-encoded where needed."""
    assert store.uri("a b/c.json").endswith("/a%20b/c.json")
