"""The child's side of the sandbox by itself: the loop, the outbox, the messages."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mineru_pipeline.documents import child, wire
from mineru_pipeline.documents.child import Answer, Outbox
from mineru_pipeline.errors import RejectedDocumentError, RenderFailedError


class Scripted:
    """A service whose operation says what it does."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        raised = {
            "memory": MemoryError(),
            "no-memory-from-the-system": OSError(12, "Cannot allocate memory"),
            "reject": RejectedDocumentError("empty", "It is empty."),
            "fail": RenderFailedError("No."),
            "stumble": KeyError("x"),
        }
        if operation in raised:
            raise raised[operation]
        if operation == "too-long":
            return {"text": "x" * (wire.MAX_HEADER_BYTES + 1)}, []
        if operation == "in-place":
            view = self.outbox.reserve(4)
            view[:] = b"wxyz"
            return {}, [view, b"tail"]
        return dict(values), blobs


@pytest.fixture
def shared() -> Iterator[int]:
    descriptor = os.memfd_create("test") if hasattr(os, "memfd_create") else pytest.skip("no memfd here")
    os.truncate(descriptor, 1 << 20)
    yield descriptor
    os.close(descriptor)


class Conversation:
    """The child's loop in a thread, and the parent's end of it."""

    def __init__(self, shared: int) -> None:
        self.shared = shared
        self.allowed: list[float] = []
        self.ours, self.theirs = socket.socketpair()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with self.theirs:
            name = f"{__name__}:Scripted"
            child.serve(self.theirs, self.shared, name, memory_bytes=1 << 20, limit_cpu=self.allowed.append)

    def ask(self, operation: str, values: dict[str, Any] | None = None, *blobs: bytes) -> tuple[Any, list[bytes]]:
        body = {"operation": operation, "values": values or {}, "seconds": 7.0}
        wire.send(self.ours, body, [len(blob) for blob in blobs])
        for blob in blobs:
            self.ours.sendall(blob)
        length = wire.header_length(self.ours.recv(4, socket.MSG_WAITALL))
        answer, sizes = wire.parse_header(self.ours.recv(length, socket.MSG_WAITALL), 1 << 20)
        offsets = [sum(sizes[:place]) for place in range(len(sizes))]
        return answer, [os.pread(self.shared, size, place) for size, place in zip(sizes, offsets, strict=True)]

    def end(self) -> None:
        self.ours.close()
        self.thread.join()


@pytest.fixture
def conversation(shared: int) -> Iterator[Conversation]:
    talk = Conversation(shared)
    yield talk
    talk.end()


def test_values_and_blobs_are_answered(conversation: Conversation) -> None:
    """What a service returns arrives, request after request, each with its own processor time."""
    assert conversation.ask("echo", {"a": [1, None]}, b"one", b"", b"three") == (
        {"done": {"a": [1, None]}},
        [b"one", b"", b"three"],
    )
    assert conversation.ask("echo") == ({"done": {}}, [])
    assert conversation.allowed == [7.0, 7.0]


def test_blobs_made_in_place_keep_their_place(conversation: Conversation) -> None:
    """A blob that lies in the shared memory already may be followed by others."""
    assert conversation.ask("in-place") == ({"done": {}}, [b"wxyz", b"tail"])


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("reject", {"rejected": "It is empty.", "reason": "empty"}),
        ("fail", {"failed": "No."}),
        ("stumble", {"failed": "KeyError: 'x'"}),
    ],
)
def test_errors_are_answers(conversation: Conversation, operation: str, answer: dict[str, str]) -> None:
    """Whatever a service raises is told, and the loop goes on."""
    assert conversation.ask(operation) == (answer, [])
    assert conversation.ask("echo") == ({"done": {}}, [])


def test_an_answer_that_is_too_long_is_an_error(conversation: Conversation) -> None:
    """Values beyond what a message may hold cost that request; nothing is cut off."""
    answer, _ = conversation.ask("too-long")
    assert "more than" in answer["failed"]
    assert conversation.ask("echo") == ({"done": {}}, [])


@pytest.mark.parametrize("operation", ["memory", "no-memory-from-the-system"])
def test_the_loop_ends_when_memory_does(conversation: Conversation, operation: str) -> None:
    """After memory ran out nothing more is tried; the parent hears why."""
    assert conversation.ask(operation) == ({"memory": True}, [])
    conversation.thread.join()


def test_a_message_that_is_cut_off_ends_the_loop(conversation: Conversation) -> None:
    """When the parent dies in the middle of a message, the child ends instead of guessing."""
    conversation.ours.sendall(wire.pack_header({"operation": "echo", "values": {}, "seconds": 1}, [100]) + b"only some")
    conversation.end()
    assert conversation.allowed == []


def test_sizes_are_checked_before_they_are_believed() -> None:
    """Headers that are too large, malformed, or announce too much are refused."""
    with pytest.raises(wire.WireError, match="more than"):
        wire.header_length(b"\xff\xff\xff\xff")
    for raw in (b"", b"[]", b"{}", b'{"body":1,"blobs":[]}', b'{"body":{},"blobs":[true]}', b"[" * 100_000):
        with pytest.raises(wire.WireError):
            wire.parse_header(raw, 100)
    with pytest.raises(wire.WireError, match="101 bytes"):
        wire.parse_header(b'{"body":{},"blobs":[100,1]}', 100)
    with pytest.raises(wire.WireError, match="header has"):
        wire.pack_header({"text": "x" * (wire.MAX_HEADER_BYTES + 1)}, [])
