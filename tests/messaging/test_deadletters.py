"""Dead letters: enough to know what was wrong, and to send it again."""

from __future__ import annotations

import base64
import json
from typing import Any

from announcements import P0, POLICY, message, notification

from mineru_pipeline.messaging.broker import Message, Outgoing
from mineru_pipeline.messaging.contents import read_message
from mineru_pipeline.messaging.deadletters import MAX_PAYLOAD_BYTES, lost_letter, refused_letter


def letter(refused: Message) -> Outgoing:
    (refusal,) = read_message(refused, POLICY).refusals
    return refused_letter("dead", refused, refusal)


def decoded(outgoing: Outgoing) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(outgoing.value)
    return value


def test_a_dead_letter_says_what_why_and_whence() -> None:
    """Reason, sentence, place, and the bytes as they were."""
    found = decoded(letter(message(b"\xff{", 7, headers=(("a", b"\x00"),))))
    assert found["type"] == "mineru-pipeline.message.refused.v1"
    assert found["subject"] == "documents[0]@7"
    assert found["data"]["reason"] == "not-json"
    assert found["data"]["origin"] == {"topic": "documents", "partition": 0, "offset": 7, "record": None}
    assert base64.b64decode(found["data"]["payload_base64"]) == b"\xff{"
    assert found["data"]["headers"] == [{"name": "a", "value_base64": "AA=="}]
    assert (found["data"]["payload_bytes"], found["data"]["truncated"]) == (2, False)


def test_the_same_message_gives_the_same_letter() -> None:
    """Byte for byte, so whoever reads the topic can tell a repetition by its id."""
    assert letter(message(b"{", 7)) == letter(message(b"{", 7))
    assert decoded(letter(message(b"{", 7)))["id"] != decoded(letter(message(b"{", 8)))["id"]


def test_each_bad_record_has_a_letter_of_its_own() -> None:
    """Two records of one message differ in their ids and name their numbers."""
    refused = message(notification({"key": "%ff"}, {"key": "%fe"}))
    letters = [refused_letter("dead", refused, each) for each in read_message(refused, POLICY).refusals]
    assert [decoded(each)["data"]["origin"]["record"] for each in letters] == [0, 1]
    assert len({decoded(each)["id"] for each in letters}) == 2


def test_a_letter_is_bounded() -> None:
    """Of a huge message, and of huge or countless headers, the beginning is kept, and it says so."""
    headers = (("long", b"x" * 100_000), *((str(n), b"v") for n in range(100)))
    found = letter(message(b"x" * 900_000, headers=headers))
    data = decoded(found)["data"]
    assert len(found.value) < 200_000
    assert (data["payload_bytes"], data["truncated"]) == (900_000, True)
    assert base64.b64decode(data["payload_base64"]) == b"x" * MAX_PAYLOAD_BYTES


def test_lost_offsets_are_told_with_what_to_do() -> None:
    """From where to where, and how to prevent it."""
    found = decoded(lost_letter("dead", P0, 5, 9))
    assert found["type"] == "mineru-pipeline.messages.lost.v1"
    assert found["data"]["origin"] == {"topic": "documents", "partition": 0, "first_offset": 5, "next_offset": 9}
    assert "retention" in found["data"]["message"]
