"""MinerU's extraction over our client sends what the stock client sends, and takes only whole answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from mineru_vl_utils import MinerUSamplingParams
from mineru_vl_utils.mineru_client import DEFAULT_SAMPLING_PARAMS
from mineru_vl_utils.vlm_client.base_client import SamplingParams
from mineru_vl_utils.vlm_client.http_client import HttpVlmClient
from PIL import Image

from mineru_pipeline.errors import RepetitiveAnswerError, ServerError, TruncatedAnswerError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.testing import no_waiting
from mineru_pipeline.inference.transport import LAYOUT_PROMPT, MinerUTransport, build_mineru_client

Make = Callable[..., ClientConfig]


def picture(colour: str, kind: str = "PNG") -> bytes:
    with BytesIO() as buffer:
        Image.new("RGB", (40, 30), colour).save(buffer, kind)
        return buffer.getvalue()


RED, BLUE = picture("red"), picture("blue")
IMAGES = {"one": RED, "list of one": [RED], "two": [RED, BLUE], "none": None, "jpeg": picture("green", "JPEG")}
SAMPLING = [*DEFAULT_SAMPLING_PARAMS.values(), None, SamplingParams(temperature=0.7, max_new_tokens=99)]


@pytest.fixture
async def transport(server: Any, config_for: Make) -> MinerUTransport:
    return MinerUTransport(VLLMClient(config_for(server.url)))


def stock_client(url: str) -> HttpVlmClient:
    return HttpVlmClient(model_name="some/model", server_url=url, skip_model_name_checking=True, use_tqdm=False)


@pytest.mark.parametrize(
    ("image", "prompt", "sampling", "priority"),
    [
        *[("one", LAYOUT_PROMPT, sampling, None) for sampling in SAMPLING],
        ("one", "\nText Recognition:", None, 7),
        ("one", "\nText Recognition:", None, 0),
        ("one", "", None, None),
        ("two", "\nTable Recognition:", MinerUSamplingParams(), 3),
        ("two", "first <image> then <image> end", None, None),
        ("two", "<image>only one place", None, None),
        ("list of one", "two <image> places <image>", None, None),
        ("none", "no image: é \u2028", None, None),
        ("jpeg", "\nText Recognition:", None, None),
    ],
)
async def test_the_body_is_the_stock_clients(
    server: Any, transport: MinerUTransport, image: str, prompt: str, sampling: Any, priority: int | None
) -> None:
    """Byte for byte: fields, their order, images, sampling, priority."""
    stock = stock_client(server.url)
    await stock.aio_predict(IMAGES[image], prompt, sampling, priority)
    await transport.aio_predict(IMAGES[image], prompt, sampling, priority)
    theirs, ours = server.chats
    assert ours.json() == theirs.json()
    assert ours.body == theirs.body
    assert ours.path == theirs.path
    await stock.aclose()
    await transport.aclose()


async def test_the_end_token_is_removed(server: Any, transport: MinerUTransport, answer: Any, reply_with: Any) -> None:
    """Special tokens are not skipped by the server, so the last one is cut off here."""
    server.queue = [answer(body=reply_with("text<|im_end|>"))]
    assert await transport.aio_predict(RED, "p") == "text"
    await transport.aclose()


async def test_answers_keep_the_order_of_the_images(
    server: Any, transport: MinerUTransport, answer: Any, reply_with: Any
) -> None:
    """Each prompt gets its own answer, within the caller's semaphore."""
    server.script = lambda request: answer(
        body=reply_with(request.json()["messages"][1]["content"][1]["text"] + str(request.json().get("priority")))
    )
    texts = await transport.aio_batch_predict(
        [RED] * 5, [f"p{n}-" for n in range(5)], priority=[*range(5)], semaphore=asyncio.Semaphore(2)
    )
    assert texts == [f"p{n}-{n}" for n in range(5)]
    assert server.connections <= 2
    await transport.aclose()


async def test_one_prompt_stands_for_all(server: Any, transport: MinerUTransport) -> None:
    """As do single sampling parameters and a single priority; no image means no request."""
    await transport.aio_batch_predict([RED, BLUE], "p", MinerUSamplingParams(temperature=0.5), 4)
    bodies = [request.json() for request in server.chats]
    assert [(body["temperature"], body["priority"]) for body in bodies] == [(0.5, 4)] * 2
    assert await transport.aio_batch_predict([], "p") == []
    await transport.aclose()


async def test_the_first_error_of_a_batch_is_raised_and_ends_it(
    server: Any, transport: MinerUTransport, answer: Any, reply_with: Any, hang: Any
) -> None:
    """The others are cancelled, so nothing runs on unseen."""
    server.queue = [hang(), answer(body=reply_with("ha", "length")), hang()]
    with pytest.raises(TruncatedAnswerError):
        await transport.aio_batch_predict([RED] * 3, "p")
    assert transport.vllm.metrics.snapshot().in_flight == 0
    await transport.aclose()


async def test_lengths_must_match(transport: MinerUTransport) -> None:
    """Two prompts for three images are a mistake, not a shorter batch."""
    with pytest.raises(ValueError, match="shorter"):
        await transport.aio_batch_predict([RED] * 3, ["a", "b"])
    await transport.aclose()


async def test_a_loop_is_an_error_and_counted(
    server: Any, transport: MinerUTransport, answer: Any, reply_with: Any
) -> None:
    """The text is kept for the one who decides what to do; a layout is not judged here."""
    loop = "and so on " * 200
    server.script = lambda request: answer(body=reply_with(loop))
    with pytest.raises(RepetitiveAnswerError) as caught:
        await transport.aio_predict(RED, "\nText Recognition:")
    assert caught.value.text == loop
    assert transport.vllm.metrics.snapshot().failures == {"repetitive": 1}
    assert await transport.aio_predict(RED, LAYOUT_PROMPT) == loop
    await transport.aclose()


async def test_two_steps_run_through_our_client(
    server: Any, transport: MinerUTransport, answer: Any, reply_with: Any
) -> None:
    """A page goes through layout and text recognition of MinerU's own client, one request each."""
    layout = "<|box_start|>100 100 900 300<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>"
    server.script = lambda request: answer(
        body=reply_with(layout if b"Layout" in request.body else "What it says.<|im_end|>")
    )
    mineru = build_mineru_client(transport)
    assert not server.received
    blocks = await mineru.aio_two_step_extract(Image.new("RGB", (800, 1000), "white"))
    assert [(block["type"], block["content"]) for block in blocks] == [("text", "What it says.")]
    assert len(server.chats) == 2
    await mineru.aclose()


async def test_failures_reach_the_caller_of_the_two_steps(server: Any, transport: MinerUTransport, answer: Any) -> None:
    """MinerU's client passes our errors on as they are."""
    server.script = lambda request: answer(500, "") if b"Layout" in request.body else answer()
    mineru = build_mineru_client(transport)
    with no_waiting(), pytest.raises(ServerError):
        await mineru.aio_two_step_extract(Image.new("RGB", (800, 1000), "white"))
    await mineru.aclose()
    await transport.aclose_current_loop()
