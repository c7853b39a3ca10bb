"""The wire format: shapes, statuses and headers as vLLM has them."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from mineru_pipeline.devserver import MODEL_ID, OWNER, SIMULATED_MODEL_ID
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest

CHAT = "/v1/chat/completions"


class GatedResponder:
    """Answers only once the gate is open."""

    card = ModelCard("gated", "for tests")
    slots = 1
    kv_cache_tokens = None
    kv_tokens = 0

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.answered = 0

    def plan(self, request: PromptRequest) -> GatedResponder:
        return self

    async def run(self, since: float) -> Answer:
        await asyncio.to_thread(self.gate.wait, 20)
        self.answered += 1
        return Answer("one two three four")

    def so_far(self, seconds: float) -> Answer:
        return Answer("one two", "abort")

    def close(self) -> None:
        self.gate.set()


class FailingResponder(GatedResponder):
    async def run(self, since: float) -> Answer:
        raise RuntimeError("secret detail")


def test_a_completion_has_the_shape_that_clients_parse(
    simulated_url: str, http: httpx.Client, helpers: Any, canvas: Any
) -> None:
    """Content, finish reason, usage and the model's name are where OpenAI clients look for them."""
    body = helpers.chat_body("\nText Recognition:", helpers.png(canvas.image))
    answer = http.post(simulated_url + CHAT, json=body).json()
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"]
    assert answer["model"] == SIMULATED_MODEL_ID
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 60 * 84 * 0.9


def test_the_request_id_becomes_the_completions_id(simulated_url: str, http: httpx.Client, helpers: Any) -> None:
    """X-Request-Id is echoed and names the completion."""
    response = http.post(simulated_url + CHAT, json=helpers.chat_body("hello"), headers={"X-Request-Id": "r-17"})
    assert response.json()["id"] == "chatcmpl-r-17"
    assert response.headers["x-request-id"] == "r-17"


def test_max_tokens_cuts_the_answer_and_says_so(simulated_url: str, http: httpx.Client, helpers: Any) -> None:
    """An answer longer than max_tokens ends with finish_reason length and exactly that many tokens."""
    body = helpers.chat_body("\nText Recognition:", max_tokens=5)
    answer = http.post(simulated_url + CHAT, json=body).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


def test_models_lists_one_model_that_says_what_it_is(simulated_url: str, http: httpx.Client) -> None:
    """Nobody can take the dev server for MinerU2.5: owner and description deny it."""
    (entry,) = http.get(simulated_url + "/v1/models").json()["data"]
    assert entry["id"] == SIMULATED_MODEL_ID
    assert entry["owned_by"] == OWNER
    assert entry["description"]
    assert MODEL_ID != SIMULATED_MODEL_ID


async def shows(client: httpx.AsyncClient, line: str) -> None:
    """Wait until the metrics contain ``line``; the test's own time limit ends a vain wait."""
    while line not in (await client.get("/metrics")).text:  # noqa: ASYNC110 the server is another thread
        await asyncio.sleep(0.01)


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (404, {"model": "opendatalab/MinerU2.5"}),
        (400, {"max_tokens": 0}),
        (400, {"max_tokens": 10**6}),
        (400, {"messages": []}),
        (400, {"messages": [{"role": "system", "content": "x"}]}),
        (400, {"messages": [{"role": "user", "content": [{"type": "audio"}]}]}),
        (400, {"messages": [{"role": "user", "content": 3}]}),
        (400, {"stream": True}),
    ],
)
def test_a_wrong_request_gets_vllms_error_object(
    simulated_url: str, http: httpx.Client, helpers: Any, status: int, change: dict[str, Any]
) -> None:
    """Each kind of wrong request has vLLM's status, and an error with message, type, param and code."""
    response = http.post(simulated_url + CHAT, json=helpers.chat_body("hello") | change)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == status
    assert error["type"] == {404: "NotFoundError", 400: "BadRequestError"}[status]


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,%%%",
        "data:image/png;base64,aGVsbG8=",
        "data:image/png;base64,",
        "data:image/png,plain",
        "http://127.0.0.1/page.png",
    ],
)
def test_an_unusable_image_is_the_clients_fault(simulated_url: str, http: httpx.Client, helpers: Any, url: str) -> None:
    """Bad base64, bytes that are no image, and addresses to fetch are answered with 400."""
    response = http.post(simulated_url + CHAT, json=helpers.chat_body("hello", url))
    assert response.status_code == 400


def test_a_truncated_png_and_an_extreme_aspect_are_refused(
    simulated_url: str, http: httpx.Client, helpers: Any, canvas: Any
) -> None:
    """A PNG that ends early and a hair-thin strip are answered with 400, as the vision model would."""
    for image in (truncated(helpers.png(canvas.image)), helpers.png(Image.new("L", (1000, 2)))):
        assert http.post(simulated_url + CHAT, json=helpers.chat_body("hello", image)).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"/", b"\\/"),
        lambda body: body.replace(b"hello", b"what is data:image/png;base64,iVBO here?"),
        lambda body: body.replace(b'"messages"', b'"note": "data:;base64,", "messages"'),
        lambda body: body.replace(b'"type": "image_url"', b'"text": ";base64,", "type": "image_url"'),
    ],
    ids=["escaped", "mentioned in the text", "mentioned before", "mentioned beside"],
)
def test_the_image_is_found_wherever_it_stands(
    simulated_url: str, http: httpx.Client, helpers: Any, canvas: Any, change: Callable[[bytes], bytes]
) -> None:
    """The body may be any JSON of the same meaning; the image is looked at, and counted, all the same."""
    body = json.dumps(helpers.chat_body("hello", helpers.png(canvas.image))).encode()
    response = http.post(simulated_url + CHAT, content=change(body))
    assert response.status_code == 200
    assert response.json()["usage"]["prompt_tokens"] > 60 * 84 * 0.9


def test_another_format_than_png_is_read_too(simulated_url: str, http: httpx.Client, helpers: Any, canvas: Any) -> None:
    """A JPEG has its size, and one of no size is refused."""
    buffer = io.BytesIO()
    canvas.image.save(buffer, "JPEG")
    answer = http.post(simulated_url + CHAT, json=helpers.chat_body("x", buffer.getvalue())).json()
    assert answer["usage"]["prompt_tokens"] > 60 * 84 * 0.9


def test_an_absurd_image_is_a_500(simulated_url: str, http: httpx.Client, helpers: Any) -> None:
    """A picture that Pillow would take for a bomb is answered with 500, although it is the client's fault."""
    image = bytearray(helpers.png(Image.new("1", (28, 28))))
    image[16:24] = struct.pack(">II", 20_000, 20_000)
    response = http.post(simulated_url + CHAT, json=helpers.chat_body("x", bytes(image)))
    assert (response.status_code, response.json()["error"]["type"]) == (500, "InternalServerError")


def test_a_prompt_longer_than_the_context_is_refused(simulated_url: str, http: httpx.Client, helpers: Any) -> None:
    """More prompt tokens than the model can hold are a 400 that names the limit."""
    response = http.post(simulated_url + CHAT, json=helpers.chat_body("a b " * 10_000))
    assert response.status_code == 400
    assert "maximum context length is 16384" in response.json()["error"]["message"]


def test_what_the_context_leaves_no_room_for_is_cut_in_silence(
    simulated_url: str, http: httpx.Client, helpers: Any
) -> None:
    """Prompt and max_tokens beyond the context are answered with 200 and as many tokens as fit."""
    prompt = "a " * (16_380 // 2)
    answer = http.post(simulated_url + CHAT, json=helpers.chat_body(prompt, max_tokens=1000)).json()
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["choices"][0]["finish_reason"] == "length"


def test_two_images_are_too_many(simulated_url: str, http: httpx.Client, helpers: Any, canvas: Any) -> None:
    """One image a prompt is the limit the server is run with."""
    body = helpers.chat_body("hello", helpers.png(canvas.image))
    body["messages"][1]["content"] *= 2
    assert http.post(simulated_url + CHAT, json=body).status_code == 400


def test_a_body_that_is_not_json_is_refused(simulated_url: str, http: httpx.Client) -> None:
    """Garbage, and JSON nested beyond reason, are answered with 400."""
    for body in (b"{", b"[" * 100_000, b"3", b'{"messages": "data:image/png;base64,aGk', b"\xff"):
        assert http.post(simulated_url + CHAT, content=body).status_code == 400


def test_the_key_guards_v1_alone(serve_in_thread: Any, http: httpx.Client, helpers: Any) -> None:
    """With a key set, /v1 answers 401 with vLLM's string, and health and metrics stay open."""
    responder = GatedResponder()
    responder.gate.set()
    with serve_in_thread(responder, api_key="k3y") as url:
        refused = http.get(url + "/v1/models", headers={"Authorization": "Bearer wrong"})
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        assert http.get(url + "/health").status_code == 200
        assert http.get(url + "/metrics").status_code == 200
        allowed = http.post(url + CHAT, json=helpers.chat_body("x"), headers={"Authorization": "Bearer k3y"})
        assert allowed.status_code == 200


async def test_a_full_queue_answers_503_and_health_stays_good(serve_in_thread: Any, helpers: Any) -> None:
    """Running plus waiting requests are bounded; whoever comes later gets 503, and nobody inside is lost."""
    responder = GatedResponder()
    with serve_in_thread(responder, max_num_queued_reqs=3) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            body = helpers.chat_body("x")
            inside = [asyncio.create_task(client.post(CHAT, json=body)) for _ in range(3)]
            await shows(client, 'num_requests_waiting{engine="0",model_name="gated"} 2.0')
            refused = await client.post(CHAT, json=body)
            assert (await client.get("/health")).status_code == 200
            responder.gate.set()
            answers = await asyncio.gather(*inside)
            metrics = (await client.get("/metrics")).text
    assert refused.status_code == 503
    assert refused.json()["error"]["type"] == "Service Unavailable"
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert 'vllm:admission_rejections_total{engine="0",model_name="gated",reason="queue_full"} 1.0' in metrics


async def test_a_client_that_hangs_up_while_waiting_costs_no_work(serve_in_thread: Any, helpers: Any) -> None:
    """A waiting request whose client is gone is never answered by the responder."""
    responder = GatedResponder()
    with serve_in_thread(responder) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            first = asyncio.create_task(client.post(CHAT, json=helpers.chat_body("x")))
            await shows(client, 'num_requests_running{engine="0",model_name="gated"} 1.0')
            with pytest.raises(httpx.ReadTimeout):
                await client.post(CHAT, json=helpers.chat_body("x"), timeout=httpx.Timeout(30, read=0.5))
            await shows(client, 'num_requests_waiting{engine="0",model_name="gated"} 0.0')
            responder.gate.set()
            assert (await first).status_code == 200
            last = await client.post(CHAT, json=helpers.chat_body("x"))
    assert last.status_code == 200
    assert responder.answered == 2


def test_a_failure_inside_is_a_500_without_details(serve_in_thread: Any, http: httpx.Client, helpers: Any) -> None:
    """An exception in the responder becomes vLLM's 500 object; its text stays in the log."""
    with serve_in_thread(FailingResponder()) as url:
        response = http.post(url + CHAT, json=helpers.chat_body("x"))
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "InternalServerError"
    assert "secret" not in response.text


def test_metrics_have_vllms_names_from_the_start(simulated_url: str, http: httpx.Client, helpers: Any) -> None:
    """Every vLLM metric that a dashboard or limiter reads exists, labelled by model_name and engine."""
    http.post(simulated_url + CHAT, json=helpers.chat_body("hello"))
    text = http.get(simulated_url + "/metrics").text
    labels = f'{{engine="0",model_name="{SIMULATED_MODEL_ID}"}}'
    for name in (
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "num_preemptions_total",
        "prompt_tokens_total",
        "generation_tokens_total",
        "mm_cache_queries_total",
        "mm_cache_hits_total",
        "e2e_request_latency_seconds_count",
        "time_to_first_token_seconds_count",
        "request_queue_time_seconds_count",
        "request_prefill_time_seconds_count",
        "request_decode_time_seconds_count",
        "request_prompt_tokens_count",
        "request_generation_tokens_count",
    ):
        assert f"vllm:{name}{labels}" in text, name
    assert 'vllm:request_success_total{engine="0",finished_reason="stop"' in text
    assert 'http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"}' in text
    assert "http_request_duration_seconds_bucket" in text


async def test_a_hundred_requests_at_once_are_all_answered(simulated_url: str, helpers: Any, canvas: Any) -> None:
    """High fan-in loses nothing, and every answer belongs to its own request."""
    images = [helpers.png(canvas.image.crop((0, 0, 50 + n, 60))) for n in range(100)]
    async with httpx.AsyncClient(base_url=simulated_url, trust_env=False, timeout=60) as client:

        async def ask(image: bytes) -> str:
            response = await client.post(CHAT, json=helpers.chat_body("\nText Recognition:", image))
            return str(response.json()["choices"][0]["message"]["content"])

        together = await asyncio.gather(*map(ask, images))
        again = [await ask(image) for image in images[:5]]
    assert len(set(together)) == 100
    assert together[:5] == again
