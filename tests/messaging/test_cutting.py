"""Cutting a log into batches, as a function of what is there."""

from __future__ import annotations

from typing import Any

from announcements import AT, P0, POLICY, event, message, notification
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.messaging.broker import Message
from mineru_pipeline.messaging.cursor import Position
from mineru_pipeline.messaging.cutting import Piece, cut


def document(offset: int, key: str = "") -> Message:
    return message(event({"uri": f"s3://inbox/{key or offset}"}), offset)


def first(messages: list[Message], start: int = 0, *, low: int = 0, size: int = 3) -> Piece:
    piece = cut(P0, Position(start), messages, low=low, size=size, policy=POLICY)
    assert piece is not None
    return piece


def uris(piece: Piece) -> list[str]:
    return [ref.uri.rsplit("/", 1)[1] for ref in piece.refs]


def test_a_batch_holds_at_most_as_many_documents_as_allowed() -> None:
    """It ends with the last message that fits, in order."""
    piece = first([document(n) for n in range(5)])
    assert (uris(piece), piece.next_offset, piece.messages) == (["0", "1", "2"], 3, 3)


def test_fewer_documents_make_a_smaller_batch() -> None:
    """Nobody waits for a batch to fill."""
    assert first([document(0)]).next_offset == 1


def test_a_message_is_never_divided() -> None:
    """The records of one message stay together, even if they are more than a batch should hold."""
    three = message(notification(*({"key": f"r{n}"} for n in range(3))), 1)
    piece = first([document(0), three], size=3)
    assert (uris(piece), piece.next_offset) == (["0"], 1)
    assert len(first([three, document(2)], 1, size=2).refs) == 3


def test_poison_goes_with_the_stretch_it_lies_in() -> None:
    """It takes no place in the batch, and the batch goes on behind it."""
    piece = first([message(b"{", 0), document(1), message(None, 2), document(3), message(b"x", 4)])
    assert (uris(piece), piece.next_offset) == (["1", "3"], 5)
    assert [(refused.offset, refusal.reason) for refused, refusal in piece.refusals] == [
        (0, "not-json"),
        (2, "empty"),
        (4, "not-json"),
    ]


def test_duplicates_stay_entries() -> None:
    """Each announcement ends in a row of its own; that the bytes are the same is found where they are read."""
    assert uris(first([document(0, "same"), document(1, "same")])) == ["same", "same"]


def test_gaps_between_offsets_are_in_order() -> None:
    """Compaction and transactions leave some; only what is before the oldest offset kept was lost."""
    piece = first([document(4), document(9)], start=2, low=0)
    assert (piece.next_offset, piece.lost, piece.is_whole) == (10, 0, False)
    piece = first([document(4), document(9)], start=2, low=4)
    assert (piece.next_offset, piece.lost) == (10, 2)


def test_a_log_that_lost_all_that_was_unread_is_passed() -> None:
    """There is nothing to read, and the position moves to where the log goes on."""
    piece = first([], start=2, low=8)
    assert (piece.refs, piece.next_offset, piece.lost) == ((), 8, 6)
    assert cut(P0, Position(8), [], low=8, size=3, policy=POLICY) is None


def test_the_start_is_where_the_cursor_is() -> None:
    """Earlier messages are not taken again, and the time is that of the first one taken."""
    piece = first([document(0), message(event({"uri": "s3://inbox/b"}), 1, at=AT + 60_000)], start=1)
    assert (uris(piece), piece.first_at.minute, piece.is_whole) == (["b"], 14, True)


@given(
    st.lists(st.sampled_from(["document", "poison", "records", "gap", "removed"]), max_size=30),
    st.integers(1, 5),
)
def test_pieces_make_up_the_log(kinds: list[str], size: int) -> None:
    """Cut after cut, every message is in exactly one piece and every document in exactly one batch, in order."""
    values: dict[str, Any] = {
        "document": event({"uri": "s3://inbox/d"}),
        "poison": b"{",
        "records": notification({"key": "a"}, {"key": "b"}),
        "removed": notification({"key": "a"}, name="s3:ObjectRemoved:Delete"),
    }
    log = [message(values[kind], n) for n, kind in enumerate(kinds) if kind != "gap"]
    position, taken, documents, refused = 0, 0, 0, 0
    while (piece := cut(P0, Position(position), log, low=0, size=size, policy=POLICY)) is not None:
        assert piece.next_offset > position
        assert len(piece.refs) <= max(size, 2)
        position, taken = piece.next_offset, taken + piece.messages
        documents, refused = documents + len(piece.refs), refused + len(piece.refusals)
    assert taken == len(log)
    assert documents == kinds.count("document") + 2 * kinds.count("records")
    assert refused == kinds.count("poison")
