"""The values of the chat protocol, and how a server's reply becomes an answer or an error."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from mineru_pipeline.errors import (
    AbortedAnswerError,
    ClientSideError,
    InferenceError,
    InvalidAnswerError,
    NotACompletionError,
    ServerError,
    ServerOverloadedError,
    TruncatedAnswerError,
)

#: Most characters of a server's own words that a message quotes.
EXCERPT_LENGTH = 300
#: Stands for the base64 of a picture; prompts are printable.
PICTURE = "\x00picture\x00"
#: Bytes that become base64 at once; a multiple of three, so that the pieces join without padding.
_BASE64_STEP = 48 * 1024
#: What claims more tokens for one answer has not counted.
MOST_TOKENS = 10**9
#: ``type`` of vLLM's 503 when ``--max-num-queued-reqs`` is reached, spelt as letters only.
_QUEUE_FULL_TYPES = ("serviceunavailable", "serviceunavailableerror")


@dataclass(frozen=True, slots=True)
class Body:
    """The JSON of a request. Iterating gives its bytes in pieces, and only then do pictures become base64.

    A request that waits for its turn keeps the pictures as they are, and nothing in it is ever copied whole.
    """

    #: What stands around the pictures, one more than there are of them.
    around: tuple[bytes, ...]
    pictures: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        """Return the length in bytes once it is sent."""
        return sum(map(len, self.around)) + sum((len(picture) + 2) // 3 * 4 for picture in self.pictures)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes to send."""
        yield self.around[0]
        for picture, after in zip(self.pictures, self.around[1:], strict=True):
            view = memoryview(picture)
            for start in range(0, len(view), _BASE64_STEP):
                yield b2a_base64(view[start : start + _BASE64_STEP], newline=False)
            yield after

    def __bytes__(self) -> bytes:
        """Return the whole body."""
        return b"".join(self)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion: the messages, and the other fields of the body in the order they are sent.

    ``options`` must not hold ``model``, which the client adds, nor ``stream``. Where the base64 of a
    picture belongs, the messages hold ``PICTURE``.
    """

    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    #: What is asked for, in a word; requests of a kind take alike long. Not sent.
    kind: str = "other"
    #: Image files; the base64 of each replaces one ``PICTURE``.
    pictures: Sequence[bytes] = ()
    #: Whether it is given more time than usual, for it was not answered in time before. Not sent.
    is_patient: bool = False

    def encode(self, model: str) -> Body:
        """Return the JSON body, compact UTF-8.

        Raises:
            ValueError: there are more pictures than places for them, or fewer.
        """
        body = {"model": model, "messages": self.messages, **self.options}
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        around = text.split(json.dumps(PICTURE)[1:-1].encode())
        if len(around) != len(self.pictures) + 1:
            raise ValueError(f"{len(self.pictures)} pictures do not fit {len(around) - 1} places")
        return Body(tuple(around), tuple(self.pictures))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, before anybody judged it."""

    endpoint: str
    request_id: str
    status: int
    body: bytes
    #: What must not be quoted: something that is no model server may echo our own headers.
    secret: str = field(default="", repr=False)
    #: What its ``Retry-After`` asks for.
    retry_after_seconds: float = 0.0

    def json_or_none(self) -> Any:
        """Return the body as JSON, or None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def quote(self, words: str | None = None) -> str:
        """Return ``words``, by default the whole body, short enough for a message and without the secret."""
        words = self.body.decode(errors="replace") if words is None else words
        return excerpt(words.replace(self.secret, "***") if self.secret else words)


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A whole answer: ``finish_reason`` is always ``stop``; ``seconds`` is the successful attempt's time."""

    text: str
    finish_reason: str
    usage: Usage
    request_id: str
    endpoint: str
    seconds: float


def excerpt(text: str) -> str:
    """Return ``text`` on one line, cut to what a message may quote."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_LENGTH else line[: EXCERPT_LENGTH - 1] + "…"


def read_answer(reply: Reply, seconds: float) -> ChatAnswer:
    """Return the answer that ``reply`` holds.

    Raises:
        ClientSideError, ServerError, ServerOverloadedError: by status.
        TruncatedAnswerError, AbortedAnswerError: by ``finish_reason``, with the text so far.
        NotACompletionError: if the body is not a chat completion.
        InvalidAnswerError: by any other ``finish_reason``.
    """
    if reply.status != HTTPStatus.OK:
        raise status_error(reply)
    document = _json_object(reply)
    choice, text = _first_choice(reply, document)
    reason = choice.get("finish_reason")
    where = {"text": text, "endpoint": reply.endpoint, "request_id": reply.request_id}
    if reason == "length":
        raise TruncatedAnswerError(f"{_who(reply)} ran out of tokens after {len(text)} characters.", **where)
    if reason == "abort":
        raise AbortedAnswerError(f"{_who(reply)} stopped in the middle of its answer (finish_reason abort).", **where)
    if reason != "stop":
        ended = f"ended its answer with finish_reason {reply.quote(repr(reason))}, not 'stop'."
        raise InvalidAnswerError(f"{_who(reply)} {ended}", **where)
    return ChatAnswer(text, reason, _usage(document), reply.request_id, reply.endpoint, seconds)


def status_error(reply: Reply) -> InferenceError:
    """Return the error that the status of ``reply`` stands for; its message quotes the server."""
    kind, words = _error_words(reply)
    message = f"{_who(reply)} answered {_status_name(reply.status)}"
    message += f": {reply.quote(words)}" if words.strip() else " and nothing else."
    error = _error_class(reply.status, kind)(
        message, endpoint=reply.endpoint, status=reply.status, request_id=reply.request_id
    )
    if isinstance(error, ServerError):
        error.retry_after_seconds = reply.retry_after_seconds
    return error


def _error_class(status: int, kind: str) -> type[InferenceError]:
    letters = "".join(filter(str.isalpha, kind)).lower()
    queue_is_full = status == HTTPStatus.SERVICE_UNAVAILABLE and letters in _QUEUE_FULL_TYPES
    if status == HTTPStatus.TOO_MANY_REQUESTS or queue_is_full:
        return ServerOverloadedError
    if status == HTTPStatus.REQUEST_TIMEOUT or not _is_client_error(status):
        return ServerError
    return ClientSideError


def _is_client_error(status: int) -> bool:
    """A redirect, say, is no matter of the request: a proxy stands where the server should be."""
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _error_words(reply: Reply) -> tuple[str, str]:
    """Return type and message of an error body: vLLM's object, its plain string for 401, or any text."""
    match reply.json_or_none():
        case {"error": {"message": message, **rest}}:
            return str(rest.get("type", "")), str(message)
        case {"error": str() as message}:
            return "", message
    return "", reply.body.decode(errors="replace")


def _json_object(reply: Reply) -> dict[str, Any]:
    document = reply.json_or_none()
    if not isinstance(document, dict):
        raise _invalid(reply, f"sent something that is not a JSON object: {reply.quote()!r}")
    return document


def _first_choice(reply: Reply, document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    match document.get("choices"):
        case [{"message": {"content": str() | None as content}} as choice, *_]:
            return choice, content or ""
    raise _invalid(reply, f"sent JSON without choices[0].message.content: {reply.quote()!r}")


def _usage(document: dict[str, Any]) -> Usage:
    match document.get("usage"):
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            return Usage(*(count if 0 <= count <= MOST_TOKENS else 0 for count in (prompt, completion)))
    return Usage()


def _invalid(reply: Reply, what: str) -> NotACompletionError:
    return NotACompletionError(f"{_who(reply)} {what}", endpoint=reply.endpoint, request_id=reply.request_id)


def _who(reply: Reply) -> str:
    return f"The model server {reply.endpoint} (request {reply.request_id})"


def _status_name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
