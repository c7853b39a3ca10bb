"""What a real vLLM server in good health answers to a request, and what our client makes of it."""

from __future__ import annotations

import httpx
import pytest
from real_vllm_client import (
    CUT,
    Verdict,
    ask,
    data_url,
    exactly,
    giant_png,
    patient_witness,
    png,
    post,
    until,
    witness,
)
from real_vllm_server import KEY, RealServer

from mineru_pipeline.errors import ClientSideError, ModelServerError, ServerError, TruncatedAnswerError
from mineru_pipeline.inference.wire import ChatRequest

#: Any of our own mistakes: never sent again, and neither for nor against the server.
OUR_FAULT = Verdict("client-side", 400, retryable=False, breaker="nothing")

REFUSED: dict[str, ChatRequest] = {
    "prompt too long": ask(text="word " * 30_000),
    "max_tokens beyond the context": ask(max_tokens=10_000_000),
    "no tokens at all": ask(max_tokens=0),
    "bad base64": ask("data:image/png;base64,@@@not-base64@@@"),
    "not an image": ask(data_url(b"this is a text")),
    "truncated PNG": ask(data_url(png()[:60])),
    "extreme aspect": ask(data_url(png(4000, 2))),
    "too many images": ask(*[data_url(png())] * 12),
}
#: Nothing listens on port 9 of this machine.
BLAMED_ON_ITSELF: dict[str, ChatRequest] = {
    "more pixels than anybody opens": ask(data_url(giant_png())),
    "unreachable image": ask("http://127.0.0.1:9/nothing.png"),
}


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version", "/load"])
def test_the_key_guards_v1_alone(server: RealServer, path: str) -> None:
    """Health, metrics and more can be used without the key; so the network has to guard them."""
    assert server.get(path).is_success
    assert server.post("/tokenize", {"prompt": "read"}).json()["count"] > 0
    assert server.get("/v1/models").status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("key", [None, "another"])
async def test_a_missing_or_wrong_key_is_a_matter_of_settings(server: RealServer, key: str | None) -> None:
    """401 comes with a plain string for an error, and ends as a message that names the setting."""
    assert (await post(server, ask(), key, model="any")).json() == {"error": "Unauthorized"}
    async with witness(server, key, model="any") as seen:
        error = await seen.failure(ask())
        with pytest.raises(ModelServerError, match=r"vllm_server\.api_key"):
            await seen.client.verify_model()
    assert isinstance(error, ModelServerError)
    assert "vllm_server.api_key" in str(error)
    assert "Unauthorized" in str(error.__cause__)
    assert seen.metrics.verdicts == [OUR_FAULT._replace(status=401)]


async def test_an_unknown_model_is_a_matter_of_settings(server: RealServer) -> None:
    """404 NotFoundError names the setting to change."""
    reply = await post(server, ask(), model="no/such-model")
    assert reply.json()["error"]["type"] == "NotFoundError"
    async with witness(server, model="no/such-model") as seen:
        error = await seen.failure(ask())
        with pytest.raises(ModelServerError, match=r"vllm_server\.model"):
            await seen.client.verify_model()
    assert isinstance(error, ModelServerError)
    assert "vllm_server.model" in str(error)
    assert seen.metrics.verdicts == [OUR_FAULT._replace(status=404)]


async def test_a_whole_answer(server: RealServer) -> None:
    """``stop`` alone is whole: text and tokens are counted, and nothing as a failure."""
    # Whatever the weights: the only token that is allowed is one that ends the answer.
    request = ask(data_url(png()), allowed_token_ids=[40], stop_token_ids=[40])
    async with witness(server) as seen:
        answer = await seen.client.chat_completion(request)
        (endpoint,) = seen.client._pool.endpoints
        assert [call.failed for call in endpoint.breaker._window] == [False]
    snapshot = seen.metrics.snapshot()
    assert answer.finish_reason == "stop"
    assert (snapshot.answers, snapshot.failures) == (1, {})
    assert (snapshot.prompt_tokens, snapshot.completion_tokens) == (answer.usage.prompt_tokens, 1)
    assert answer.usage.prompt_tokens > 1


async def test_an_answer_that_reached_its_limit_is_not_whole(server: RealServer) -> None:
    """``length`` is never taken for an answer, and is nothing against the server."""
    async with witness(server) as seen:
        error = await seen.failure(exactly(4))
    assert isinstance(error, TruncatedAnswerError)
    assert seen.metrics.verdicts == [CUT]


async def test_more_than_the_context_holds_is_cut_in_silence(server: RealServer) -> None:
    """Prompt and max_tokens together beyond the context: 200 with fewer tokens than asked for, by ``length``."""
    most = server.context(KEY) - 2
    reply = (await post(server, exactly(most))).json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] < most
    assert reply["usage"]["total_tokens"] <= server.context(KEY)
    async with witness(server) as seen:
        assert isinstance(await seen.failure(exactly(most)), TruncatedAnswerError)
    assert seen.metrics.verdicts == [CUT]


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_our_fault_is_never_sent_again(server: RealServer, case: str) -> None:
    """400 with vLLM's error object is a ClientSideError: one request, whatever the patience, and nothing against it."""
    error = (await post(server, REFUSED[case])).json()["error"]
    assert (set(error), error["type"]) == ({"message", "type", "param", "code"}, "BadRequestError")
    async with patient_witness(server) as seen:
        raised = await seen.failure(REFUSED[case])
        assert isinstance(raised, ClientSideError)
        assert error["message"][:40] in str(raised)
        (health,) = await seen.client.health_check()
        assert health.healthy
        assert seen.is_closed()
    assert seen.metrics.verdicts == [OUR_FAULT]
    assert (seen.metrics.snapshot().requests, seen.limiter.cuts) == (1, [])


@pytest.mark.parametrize("case", BLAMED_ON_ITSELF)
async def test_some_of_our_faults_come_back_as_500(server: RealServer, case: str) -> None:
    """It cannot be told from a fault of the server, so it is tried again; but others pass, so it fails alone."""
    async with witness(server, attempts=3) as seen:
        error = await seen.failure(BLAMED_ON_ITSELF[case])
        assert isinstance(error, ServerError)
        assert seen.metrics.verdicts == [Verdict("server", 500, retryable=True, breaker="failure")] * 3
        assert seen.is_closed()
        # The server has closed the connections of the 500s; that costs the next request no attempt.
        assert isinstance(await seen.failure(exactly(4)), TruncatedAnswerError)
    assert seen.metrics.verdicts[3:] == [CUT]
    assert (seen.metrics.snapshot().requests, seen.limiter.cuts) == (4, [])


async def test_the_request_id_becomes_the_completions(server: RealServer) -> None:
    """With --enable-request-id-headers our id is echoed, is the completion's, and stands in the server's log."""
    reply = await post(server, ask(), **{"X-Request-Id": "page-7-1"})
    assert reply.headers["X-Request-Id"] == "page-7-1"
    assert "page-7-1" in reply.json()["id"]
    async with witness(server) as seen:
        await seen.failure(exactly(4), request_id="page 8")
    await until(lambda: "page_8-1" in server.log.read_text(errors="replace"))
