"""The seam between the HTTP server and whatever produces answers: requests in, answers out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """One chat completion, already checked for form.

    ``image`` holds the encoded bytes (PNG, JPEG …) of the single image, as base64 if ``in_base64`` says so, or nothing
    for a request of text alone; ``image_size`` is its width and height in pixels.
    """

    prompt: str
    image: bytes = b""
    image_size: tuple[int, int] = (0, 0)
    max_tokens: int | None = None
    in_base64: bool = False

    def image_bytes(self) -> bytes:
        """The bytes of the image file; decoding waits until somebody wants to see the picture."""
        return base64.b64decode(self.image) if self.in_base64 else self.image


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer and why it ended (``stop``, ``length`` or ``abort``).

    A responder that keeps to a timetable adds the seconds spent decoding, and when the work was due to end.
    """

    text: str
    finish_reason: str = "stop"
    decode_seconds: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """How a responder appears in ``/v1/models``."""

    model_id: str
    description: str


class Work(Protocol):
    """What one request takes, before anything is done about it."""

    @property
    def kv_tokens(self) -> int:
        """Tokens of KV cache that it holds while it runs."""
        ...

    async def run(self, since: float) -> Answer:
        """Do it, as if begun at ``since`` on the loop's clock; cancelled when nobody waits for it any more.

        Raises :class:`UnusableImageError` for an image that cannot be read.
        """
        ...

    def so_far(self, seconds: float) -> Answer:
        """What there is of the answer after running for ``seconds``, with finish reason ``abort``."""
        ...


class Responder(Protocol):
    """Produces answers."""

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        ...

    @property
    def slots(self) -> int:
        """How many requests may run at once; the rest waits in the server's queue."""
        ...

    @property
    def kv_cache_tokens(self) -> int | None:
        """How many tokens the running requests may hold together; no limit: ``None``."""
        ...

    def plan(self, request: PromptRequest) -> Work:
        """What answering ``request`` takes."""
        ...

    def close(self) -> None:
        """Release threads and models."""
        ...


class UnusableImageError(Exception):
    """The image of a request cannot be decoded or used; its text goes into the 400 answer."""
