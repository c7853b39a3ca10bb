"""The seam between the HTTP server and whatever produces answers: requests in, answers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """One chat completion, already checked for form.

    ``image`` holds the encoded bytes (PNG, JPEG …) of the single image, or nothing for a request of text alone;
    ``image_size`` is its width and height in pixels.
    """

    prompt: str
    image: bytes = b""
    image_size: tuple[int, int] = (0, 0)
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer and why it ended (``stop``, ``length`` or ``abort``)."""

    text: str
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """How a responder appears in ``/v1/models``."""

    model_id: str
    description: str


class Responder(Protocol):
    """Produces answers; ``concurrency`` says how many at once are useful, the rest waits in the server's queue."""

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        ...

    @property
    def concurrency(self) -> int:
        """How many requests may run at once."""
        ...

    async def answer(self, request: PromptRequest) -> Answer:
        """Answer one request; raises :class:`UnusableImageError` for an image that cannot be read."""
        ...

    def close(self) -> None:
        """Release threads and models."""
        ...


class UnusableImageError(Exception):
    """The image of a request cannot be decoded or used; its text goes into the 400 answer."""
