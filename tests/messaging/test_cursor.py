"""The cursor: read back as it was, and refused in words where it is none."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import MessagingError
from mineru_pipeline.messaging.broker import Partition
from mineru_pipeline.messaging.cursor import Cursor, Position

A, B = Partition("a.topic", 0), Partition("b", 11)


def test_a_cursor_is_read_back_as_it_was() -> None:
    """Positions and generations of all topics survive, and the text is the same whatever the order."""
    cursor = Cursor({B: Position(2**40, 3), A: Position(0)})
    assert Cursor.from_json(cursor.to_json()) == cursor
    assert cursor.to_json() == '{"version":1,"next":{"a.topic":{"0":[0,0]},"b":{"11":[1099511627776,3]}}}'
    assert Cursor({A: Position(0), B: Position(2**40, 3)}).to_json() == cursor.to_json()


@pytest.mark.parametrize("text", [None, ""])
def test_no_cursor_is_an_empty_one(text: str | None) -> None:
    """As before the first evaluation."""
    assert Cursor.from_json(text) == Cursor()


def test_moving_keeps_the_other_logs() -> None:
    """Also those of topics that are not read at the moment."""
    assert Cursor({A: Position(1), B: Position(2)}).moved({A: Position(9)}) == Cursor({A: Position(9), B: Position(2)})


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "{}", '{"version":2,"next":{}}', '{"version":1,"next":{"a":{"0":5}}}', '{"version":1,"next":[]}'],
)
def test_a_damaged_cursor_says_what_to_do(text: str) -> None:
    """Somebody may have edited it in the UI."""
    with pytest.raises(MessagingError, match="nothing is parsed twice"):
        Cursor.from_json(text)
