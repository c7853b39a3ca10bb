"""Before the work begins the client says what is wrong with the servers, and what to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mineru_pipeline.errors import InvalidAnswerError, ModelServerError, OutageError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig

Make = Callable[..., ClientConfig]


async def test_the_models_are_listed(server: Any, config_for: Make, answer: Any) -> None:
    """Each card holds what the server says of itself."""
    entry = {"id": "a", "owned_by": "dev", "max_model_len": 16384, "description": "no real model"}
    server.models = answer(body={"data": [entry, {"id": "b", "max_model_len": "?"}]})
    async with VLLMClient(config_for(server.url)) as client:
        first, second = await client.models()
    assert (first.id, first.owned_by, first.max_model_len, first.endpoint) == ("a", "dev", 16384, server.url)
    assert first.details["description"] == "no real model"
    assert (second.id, second.max_model_len) == ("b", None)


async def test_health_is_told_for_each_server(server: Any, dead_url: str, config_for: Make) -> None:
    """A dead server is a row with a reason, not an exception."""
    async with VLLMClient(config_for(server.url, dead_url)) as client:
        well, dead = await client.health_check()
    assert (well.healthy, well.detail, well.endpoint) == (True, "", server.url)
    assert (dead.healthy, dead.endpoint) == (False, dead_url)
    assert "refused" in dead.detail


async def test_an_unhealthy_answer_is_quoted(server: Any, config_for: Make) -> None:
    """Any status but 200 means not healthy."""
    server.health = 503
    async with VLLMClient(config_for(server.url)) as client:
        (health,) = await client.health_check()
    assert not health.healthy
    assert "503" in health.detail


async def test_the_right_model_passes(server: Any, config_for: Make) -> None:
    """Nothing is raised, and the key was sent."""
    async with VLLMClient(config_for(server.url, api_key="k-1")) as client:
        await client.verify_model()
    assert server.received[0].headers["authorization"] == "Bearer k-1"


async def test_a_wrong_model_is_named(server: Any, config_for: Make, answer: Any) -> None:
    """The error says where, what is served, what was wanted, and which setting to change."""
    server.models = answer(body={"data": [{"id": "other/model"}]})
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(ModelServerError) as caught:
            await client.verify_model()
    for words in (server.url, "other/model", "some/model", "vllm_server.model"):
        assert words in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_the_setting_only(server: Any, config_for: Make, answer: Any, status: int) -> None:
    """The key itself appears nowhere."""
    server.models = answer(status, {"error": "Unauthorized"})
    async with VLLMClient(config_for(server.url, api_key="hush-hush")) as client:
        with pytest.raises(ModelServerError, match=r"vllm_server\.api_key") as caught:
            await client.verify_model()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, "not here"), (200, "<html>"), (200, "[]"), (200, '{"data": 5}'), (200, '{"data": ["a"]}'), (302, "")],
)
async def test_what_is_no_model_server_is_told(
    server: Any, config_for: Make, answer: Any, status: int, body: str
) -> None:
    """Some other web server at the address is recognised as such."""
    server.models = answer(status, body)
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(ModelServerError, match=r"not an OpenAI-style model server.*vllm_server\.base_url"):
            await client.verify_model()


async def test_an_echo_of_the_key_is_blotted_out(server: Any, config_for: Make, answer: Any) -> None:
    """A server that answers with our own headers does not bring them into the error."""
    server.models = answer(body="Authorization: Bearer hush-hush")
    async with VLLMClient(config_for(server.url, api_key="hush-hush")) as client:
        with pytest.raises(InvalidAnswerError) as caught:
            await client.models()
    assert "hush" not in str(caught.value)


async def test_dead_servers_are_an_outage(dead_url: str, config_for: Make) -> None:
    """With nobody there, the error names the address and the setting."""
    async with VLLMClient(config_for(dead_url)) as client:
        with pytest.raises(OutageError, match=r"vllm_server\.base_url") as caught:
            await client.verify_model()
    assert dead_url in str(caught.value)


async def test_one_dead_server_of_two_is_a_warning(
    server: Any, dead_url: str, config_for: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The run begins on the other one, and the log says so."""
    async with VLLMClient(config_for(server.url, dead_url)) as client:
        await client.verify_model()
    assert dead_url in caplog.text
