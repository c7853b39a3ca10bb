"""Replies become answers or errors of the right kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mineru_pipeline.errors import (
    AbortedAnswerError,
    ClientSideError,
    InferenceError,
    InvalidAnswerError,
    ServerError,
    ServerOverloadedError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.wire import EXCERPT_LENGTH, PICTURE, ChatRequest, Reply, Usage, read_answer

Body = Callable[..., dict[str, Any]]


def reply(body: Any, status: int = 200, secret: str = "") -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply("http://gpu", "id-1", status, raw, secret)


def test_a_whole_answer_is_read(reply_with: Body) -> None:
    """Text, reason, tokens and origin arrive."""
    answer = read_answer(reply(reply_with("words")), 1.5)
    assert (answer.text, answer.finish_reason, answer.usage) == ("words", "stop", Usage(11, 7))
    assert (answer.request_id, answer.endpoint, answer.seconds) == ("id-1", "http://gpu", 1.5)


def test_no_content_is_an_empty_text(reply_with: Body) -> None:
    """``content: null`` is what servers send for an empty answer."""
    body = reply_with()
    body["choices"][0]["message"]["content"] = None
    assert read_answer(reply(body), 0).text == ""


def test_missing_usage_counts_nothing(reply_with: Body) -> None:
    """Tokens are a courtesy of the server."""
    body = reply_with()
    body["usage"] = None
    assert read_answer(reply(body), 0).usage == Usage(0, 0)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("length", TruncatedAnswerError),
        ("abort", AbortedAnswerError),
        ("content_filter", InvalidAnswerError),
        (None, InvalidAnswerError),
    ],
)
def test_only_stop_is_whole(reply_with: Body, reason: str | None, error: type[InferenceError]) -> None:
    """Every other ``finish_reason`` is an error that keeps the text."""
    with pytest.raises(error) as caught:
        read_answer(reply(reply_with("half an ans", reason)), 0)
    assert caught.value.text == "half an ans"  # type: ignore[attr-defined]  # an AnswerError


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "BadRequestError", ClientSideError),
        (404, "NotFoundError", ClientSideError),
        (413, "", ClientSideError),
        (422, "", ClientSideError),
        (307, "", ServerError),
        (204, "", ServerError),
        (408, "", ServerError),
        (500, "InternalServerError", ServerError),
        (502, "", ServerError),
        (503, "", ServerError),
        (599, "", ServerError),
        (429, "", ServerOverloadedError),
        (503, "Service Unavailable", ServerOverloadedError),
        (503, "ServiceUnavailableError", ServerOverloadedError),
    ],
)
def test_statuses_are_classified(error_body: Body, status: int, kind: str, error: type[InferenceError]) -> None:
    """Ours, theirs, or shed; the server's words and the ids are kept."""
    with pytest.raises(InferenceError) as caught:
        read_answer(reply(error_body(kind, "because so"), status), 0)
    assert type(caught.value) is error
    assert "because so" in str(caught.value)
    assert (caught.value.status, caught.value.endpoint, caught.value.request_id) == (status, "http://gpu", "id-1")


def test_an_error_may_be_a_plain_string() -> None:
    """A vLLM server words 401 as ``{"error": "Unauthorized"}``."""
    with pytest.raises(ClientSideError, match="401 Unauthorized: Unauthorized"):
        read_answer(reply({"error": "Unauthorized"}, 401), 0)


@pytest.mark.parametrize("body", [b"<html>nginx</html>", b"", b"[1]", b'{"error": [2]}', b"\xff\xfe", b"[" * 100_000])
def test_any_body_of_an_error_is_survived(body: bytes) -> None:
    """Proxies answer with HTML, nothing, or worse."""
    with pytest.raises(ServerError):
        read_answer(reply(body, 502), 0)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}',
        b'{"object": "error", "message": "x"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_completion_is_invalid(body: bytes) -> None:
    """A 200 alone proves nothing."""
    with pytest.raises(InvalidAnswerError):
        read_answer(reply(body), 0)


@pytest.mark.parametrize("status", [200, 500])
def test_quotes_are_short_and_hold_no_secret(status: int) -> None:
    """A server that echoes our headers at length does not get them into our messages."""
    with pytest.raises(InferenceError) as caught:
        read_answer(reply(b"Bearer hush-hush " + b"x" * 100_000, status, secret="hush-hush"), 0)
    assert len(str(caught.value)) < EXCERPT_LENGTH + 200
    assert "hush" not in str(caught.value)


def test_the_body_is_compact_json_with_the_model_first() -> None:
    """Non-ASCII text travels as UTF-8, and options keep their order."""
    request = ChatRequest([{"role": "user", "content": "é"}], {"b": 1, "a": None})
    expected = '{"model":"m","messages":[{"role":"user","content":"é"}],"b":1,"a":null}'
    assert bytes(request.encode("m")) == expected.encode()


def test_pictures_take_their_places_in_the_body() -> None:
    """Each in its order, as base64, around which nothing changes; the length is known before it is made."""
    messages = [{"content": [f"data:image/png;base64,{PICTURE}", 'text with "quotes"', f"x{PICTURE}y"]}]
    body = ChatRequest(messages, {"b": 1}, pictures=[b"first", b"second!"]).encode("m")
    content = ["data:image/png;base64,Zmlyc3Q=", 'text with "quotes"', "xc2Vjb25kIQ==y"]
    assert json.loads(bytes(body)) == {"model": "m", "messages": [{"content": content}], "b": 1}
    assert len(body) == len(bytes(body))


@pytest.mark.parametrize("pictures", [[], [b"1", b"2"]])
def test_a_picture_without_a_place_is_a_defect(pictures: list[bytes]) -> None:
    """Nothing is sent that is not what was meant."""
    with pytest.raises(ValueError, match="places"):
        ChatRequest([{"content": PICTURE}], pictures=pictures).encode("m")


def test_tokens_beyond_belief_are_not_counted(reply_with: Body) -> None:
    """A number of tokens that no counter can hold says nothing, and does no harm."""
    body = reply_with("x", "stop") | {"usage": {"prompt_tokens": 10**400, "completion_tokens": 3}}
    assert read_answer(reply(body), 0).usage == Usage(0, 3)


def test_an_endless_finish_reason_is_quoted_short_and_without_the_secret(reply_with: Body) -> None:
    """What the server says is never quoted whole, wherever it says it."""
    answered = reply(reply_with("x", "sesame" + "a" * 10_000), secret="sesame")
    with pytest.raises(InvalidAnswerError) as caught:
        read_answer(answered, 0)
    assert len(str(caught.value)) < 1000
    assert "sesame" not in str(caught.value)
