"""What is new in a listing, decided without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.documents.seen import NOTHING, Seen, digest
from mineru_pipeline.documents.sweep import PAGE, Sweep, sweep
from mineru_pipeline.errors import StoreError


@dataclass(frozen=True)
class Item:
    """An object of a listing."""

    object_name: str
    etag: str | None = "e"
    size: int = 1


def swept(
    listing: Iterable[Item], before: Seen = NOTHING, so_far: Seen = NOTHING, most: int = 10**9, pages: int = 10**9
) -> Sweep[Item]:
    times = iter([True] * (pages - 1)) if pages < 10**9 else None
    return sweep(
        listing, before, so_far, wanted=lambda key: key.endswith(".pdf"), most=most,
        in_time=lambda: True if times is None else next(times, False),
    )  # fmt: skip


def test_new_and_overwritten_objects_are_found_once() -> None:
    """Everything is new at first, nothing the second time, and then what came or changed, whatever else is there."""
    one = [Item("a.pdf"), Item("b.pdf"), Item("c.txt")]
    first = swept(one)
    assert [each.object_name for each in first.found] == ["a.pdf", "b.pdf"]
    assert (first.position, first.listed, first.gone) == ("", 3, 0)
    assert swept(one, first.seen).found == ()
    two = [Item("a.pdf", "other"), Item("aa.pdf"), Item("c.txt")]
    second = swept(two, first.seen)
    assert [each.object_name for each in second.found] == ["a.pdf", "aa.pdf"]
    assert second.gone == 1
    assert swept(two, second.seen).seen.to_bytes() == second.seen.to_bytes()


def test_a_state_that_comes_back_is_found_again() -> None:
    """Only the last pass counts: A, then B, then A again are three states."""
    a, b = [Item("a.pdf", "A")], [Item("a.pdf", "B")]
    seen = swept(a).seen
    for state in (b, a, b):
        result = swept(state, seen)
        assert list(result.found) == state
        seen = result.seen


def test_a_pass_stops_exactly_behind_the_last_that_may_be_found() -> None:
    """The limit on documents cuts within a page, and the rest of the page is looked at next time."""
    items = [Item(f"{n:04d}.pdf") for n in range(10)]
    first = swept(items, most=4)
    assert (len(first.found), first.position, first.listed, len(first.seen)) == (4, "0003.pdf", 4, 4)
    second = swept(items[4:], so_far=first.seen, most=100)
    assert (len(second.found), second.position, len(second.seen)) == (6, "", 10)


def test_a_pass_stops_between_pages_when_its_time_is_over() -> None:
    """Time is asked for after each page, and a page is always looked at, so that every tick gets on."""
    items = [Item(f"{n:06d}.pdf") for n in range(3 * PAGE)]
    result = swept(items, pages=1)
    assert (result.listed, result.position) == (PAGE, items[PAGE - 1].object_name)
    assert swept(items, pages=2).listed == 2 * PAGE


@pytest.mark.parametrize("data", [b"", b"seen/1\nxyz", b"other" + b"x" * 16])
def test_what_was_seen_is_checked_when_it_is_read(data: bytes) -> None:
    """A damaged record is an error and never an empty one, which would bring in everything again."""
    with pytest.raises(StoreError, match="damaged"):
        Seen.from_bytes(data)


def test_a_record_takes_sixteen_bytes_an_object() -> None:
    """It comes back as it was written, and its size is known beforehand."""
    seen = digest([Item(f"{n}.pdf") for n in range(1000)])
    data = seen.to_bytes()
    assert len(data) == 7 + 16 * 1000
    assert Seen.from_bytes(data).to_bytes() == data


@dataclass
class Bucket:
    """A bucket as hypothesis changes it, and everything that was ever in it."""

    objects: dict[str, str]
    ever: set[tuple[str, str]]

    def put(self, key: str, state: str) -> None:
        self.objects[key] = state
        self.ever.add((key, state))

    def listing(self, behind: str) -> list[Item]:
        return [Item(key, state) for key, state in sorted(self.objects.items()) if key > behind]


KEYS = st.sampled_from([f"{letter}{number}.pdf" for letter in "abc" for number in range(4)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from("xyz")),
        st.tuples(st.just("delete"), KEYS, st.just("")),
        st.tuples(st.just("tick"), st.integers(1, 5).map(str), st.just("")),
        # A tick whose cursor is lost, as in a crash before it was kept.
        st.tuples(st.just("lost tick"), st.integers(1, 5).map(str), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, str, str]]) -> None:
    """Two passes over a calm bucket have found its every object in its last state, whatever went before.

    Things are stored, overwritten and deleted between and during passes, ticks are lost and passes cut
    anywhere; still no pass finds the same state of an object twice.
    """
    bucket = Bucket({}, set())
    before, so_far, position = NOTHING, NOTHING, ""
    found_now: list[tuple[str, str]] = []
    found: set[tuple[str, str]] = set()

    def tick(most: int, *, kept: bool) -> bool:
        nonlocal before, so_far, position
        result = swept(bucket.listing(position), before, so_far, most=most)
        if not kept:
            return False
        found_now.extend((each.object_name, str(each.etag)) for each in result.found)
        found.update(found_now)
        assert len(found_now) == len(set(found_now))
        so_far, position = result.seen, result.position
        if not position:
            before, so_far = result.seen, NOTHING
            found_now.clear()
        return not position

    for what, first, second in steps:
        if what == "put":
            bucket.put(first, second)
        elif what == "delete":
            bucket.objects.pop(first, None)
        else:
            tick(int(first), kept=what == "tick")
    for _ in range(2):
        while not tick(3, kept=True):
            pass
    assert set(bucket.objects.items()) <= found <= bucket.ever
    assert swept(bucket.listing(""), before).found == ()
