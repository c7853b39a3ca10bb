"""Every fault through a real server: what the client sees is what vLLM, or a proxy, is known to do."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import httpx
import pytest

from mineru_pipeline.devserver.faults.rules import FAULTS, FaultPlan
from mineru_pipeline.devserver.simulate import SimulatedResponder, Simulation

CHAT = "/v1/chat/completions"
LAYOUT, TEXT = "\nLayout Detection:", "\nText Recognition:"

Faulty = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def faulty(serve_in_thread: Any) -> Faulty:
    @contextmanager
    def start(*rules: dict[str, Any], **simulation: Any) -> Iterator[httpx.Client]:
        plan = FaultPlan.model_validate({"rules": rules})
        with (
            serve_in_thread(SimulatedResponder(Simulation(**simulation)), faults=plan) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
        ):
            yield client

    return start


def ask(client: httpx.Client, body: dict[str, Any], **options: Any) -> httpx.Response:
    return client.post(CHAT, json=body, **options)


def content(response: httpx.Response) -> tuple[str, str]:
    choice = response.json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def until_up(client: httpx.Client) -> None:
    """Returns once the server accepts connections; the test's own time limit ends a vain wait."""
    while True:
        with suppress(httpx.TransportError):
            client.get("/health")
            return
        time.sleep(0.01)


def until_down(client: httpx.Client) -> None:
    with suppress(httpx.TransportError):
        while True:
            client.get("/health")


ERRORS = [
    ("error-500", {}, 500, "InternalServerError"),
    ("error", {"status": 418}, 418, "InternalServerError"),
    ("queue-full", {}, 503, "Service Unavailable"),
    ("too-many-requests", {"retry_after": 2}, 429, "TooManyRequestsError"),
    ("unknown-model", {}, 404, "NotFoundError"),
    ("prompt-too-long", {}, 400, "BadRequestError"),
    ("bad-image", {}, 400, "BadRequestError"),
    ("too-many-images", {}, 400, "BadRequestError"),
    ("absurd-image", {}, 500, "InternalServerError"),
    ("unreachable-image", {}, 500, "InternalServerError"),
]


@pytest.mark.parametrize(("fault", "parameters", "status", "kind"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_has_vllms_status_and_type(
    faulty: Faulty, helpers: Any, fault: str, parameters: dict[str, Any], status: int, kind: str
) -> None:
    """The struck request gets the error object; the next one is answered."""
    with faulty({"fault": fault, "match": {"times": 1}, **parameters}) as client:
        response = ask(client, helpers.chat_body(TEXT))
        assert (response.status_code, response.json()["error"]["type"]) == (status, kind)
        assert response.json()["error"]["code"] == status
        assert response.headers.get("retry-after") == ("2" if parameters.get("retry_after") else None)
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200


def test_errors_that_are_no_error_object(faulty: Faulty, helpers: Any) -> None:
    """A wrong key is a string, and a proxy's 503 is no JSON at all."""
    with faulty({"fault": "unauthorized", "match": {"times": 1}}, {"fault": "error-503"}) as client:
        refused = ask(client, helpers.chat_body(TEXT))
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        plain = ask(client, helpers.chat_body(TEXT))
        assert plain.status_code == 503
        assert plain.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("fault", "reason"), [("truncated", "length"), ("abort", "abort")])
def test_a_part_of_the_answer(faulty: Faulty, helpers: Any, fault: str, reason: str) -> None:
    """Half of the text, or as much as asked for, comes with the finish reason that vLLM gives it."""
    with faulty(
        {"fault": fault, "match": {"times": 1}}, {"fault": fault, "keep": 0.1, "match": {"times": 1}}
    ) as client:
        half, tenth, whole = (content(ask(client, helpers.chat_body(TEXT))) for _ in range(3))
    assert (half[1], tenth[1], whole[1]) == (reason, reason, "stop")
    assert whole[0].startswith(half[0])
    assert half[0].startswith(tenth[0])
    assert 0 < len(tenth[0]) < len(half[0]) < len(whole[0])


@pytest.mark.parametrize("prompt", [LAYOUT, TEXT, "\nTable Recognition:", "\nFormula Recognition:"])
def test_a_loop_says_the_same_again_and_again(faulty: Faulty, helpers: Any, prompt: str) -> None:
    """The end of the answer is one phrase, hundreds of times, whatever was asked; the reason can be chosen."""
    with faulty({"fault": "loop", "finish_reason": "length"}) as client:
        text, reason = content(ask(client, helpers.chat_body(prompt)))
    assert reason == "length"
    tail = text[-1500:]
    period = next(size for size in range(1, 200) if tail[size:] == tail[:-size])
    assert text.count(text[-period:]) >= 300


def test_garbage_and_empty_answers(faulty: Faulty, helpers: Any) -> None:
    """A garbled layout holds no block, an empty one nothing, and both claim to be whole."""
    rules = ({"fault": "garbage", "match": {"times": 1}}, {"fault": "empty-layout"}, {"fault": "empty-answer"})
    with faulty(*rules) as client:
        garbled, empty, nothing = (content(ask(client, helpers.chat_body(p))) for p in (LAYOUT, LAYOUT, TEXT))
    assert "<|box_end|>" not in garbled[0]
    assert garbled[0]
    assert (empty, nothing) == (("", "stop"), ("", "stop"))


def test_bodies_that_are_no_completion(faulty: Faulty, helpers: Any) -> None:
    """A 200 whose body is no JSON, and one that is JSON of another shape."""
    with faulty({"fault": "not-json", "match": {"times": 1}}, {"fault": "not-a-completion"}) as client:
        first, second = (ask(client, helpers.chat_body(TEXT)) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    with pytest.raises(json.JSONDecodeError):
        first.json()
    assert "choices" not in second.json()


def test_a_reset_comes_before_any_byte(faulty: Faulty, helpers: Any) -> None:
    """The connection is reset, not closed, and the next connection works."""
    with faulty({"fault": "reset", "match": {"times": 1}}) as client:
        with pytest.raises(httpx.ReadError) as caught:
            ask(client, helpers.chat_body(TEXT))
        assert isinstance(innermost(caught.value), ConnectionResetError)
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200


def innermost(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def test_after_a_500_the_connection_is_reset(faulty: Faulty, helpers: Any) -> None:
    """The 500 leaves the connection open, whatever comes next on it is reset, and a fresh one works."""
    with faulty({"fault": "reset-after-500", "match": {"times": 1}}) as client:
        assert ask(client, helpers.chat_body(TEXT)).status_code == 500
        with pytest.raises(httpx.ReadError):
            client.get("/health")
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200


def test_a_cut_body_is_shorter_than_promised(faulty: Faulty, helpers: Any) -> None:
    """The connection ends in the middle of the body."""
    with faulty({"fault": "cut", "match": {"times": 1}}) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            ask(client, helpers.chat_body(TEXT))
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200


def test_a_hanging_request_holds_its_slot_until_its_client_gives_up(faulty: Faulty, helpers: Any) -> None:
    """With one slot the next request waits behind it, and runs once the first has hung up."""
    with faulty({"fault": "hang", "match": {"times": 1}}, slots=1) as client:
        connection = in_flight(client.base_url, helpers.chat_body(TEXT))
        running(client, 1)
        connection.close()
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200
        figures = client.get("/simulation").json()
    assert (figures["started"], figures["aborted"], figures["finished"]) == (2, 1, 1)


def test_a_slow_answer_takes_its_factor_and_its_seconds(faulty: Faulty, helpers: Any) -> None:
    """Work of 0.05 s at factor 3 and 0.1 s more is due no sooner than after 0.25 s, and is whole."""
    with faulty({"fault": "slow", "factor": 3, "seconds": 0.1}, latency=0.05) as client:
        began = time.monotonic()
        assert content(ask(client, helpers.chat_body(TEXT)))[1] == "stop"
        assert time.monotonic() - began >= 0.24


def test_refused_connections_come_back_on_the_same_port(faulty: Faulty, helpers: Any) -> None:
    """What is in flight is reset, new connections are refused, and after the outage all is well, twice in a row."""
    with faulty({"fault": "refused", "seconds": 2, "match": {"times": 2}}) as client:
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                ask(client, helpers.chat_body(TEXT))
            with pytest.raises(httpx.ConnectError):
                client.get("/health")
            until_up(client)
        assert ask(client, helpers.chat_body(TEXT)).status_code == 200


def test_draining_refuses_work_and_claims_to_be_healthy(faulty: Faulty, helpers: Any) -> None:
    """New requests get vLLM's 500 while /health says 200."""
    with faulty({"fault": "shutdown-draining", "seconds": None}) as client:
        ask(client, helpers.chat_body(TEXT))
        refused = ask(client, helpers.chat_body(TEXT))
        assert refused.status_code == 500
        assert "cannot schedule new futures after shutdown" in refused.json()["error"]["message"]
        assert client.get("/health").status_code == 200


def in_flight(url: httpx.URL, body: dict[str, Any]) -> socket.socket:
    """A connection with a request on its way."""
    connection = socket.create_connection((url.host, url.port or 80))
    data = json.dumps(body).encode()
    connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    return connection


def running(client: httpx.Client, count: int) -> None:
    while client.get("/simulation").json()["running"] < count:
        time.sleep(0.01)


def rest_of(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as stream:
        return stream.read()


def test_a_restart_gives_up_what_runs_and_comes_back(faulty: Faulty, helpers: Any) -> None:
    """What runs ends with a part of its text and abort, what waits with 500; then the port refuses, then serves."""
    rule = {"fault": "restart", "seconds": 2, "match": {"requests": [3, 3]}}
    with faulty(rule, slots=1, decode_rate=1) as client:
        connections = [in_flight(client.base_url, helpers.chat_body(TEXT))]
        running(client, 1)
        connections.append(in_flight(client.base_url, helpers.chat_body(TEXT)))
        while client.get("/simulation").json()["waiting"] < 1:
            time.sleep(0.01)
        assert ask(client, helpers.chat_body(TEXT)).status_code == 500
        runs, waits = map(rest_of, connections)
        with pytest.raises(httpx.ConnectError):
            client.get("/health")
        until_up(client)
        assert client.get("/simulation").json()["running"] == 0
    assert b" 200 OK" in runs
    assert b'"finish_reason":"abort"' in runs
    assert b" 500 " in waits


def test_a_dead_engine_fails_what_runs_and_ends_the_server(faulty: Faulty, helpers: Any) -> None:
    """In flight and new requests get 500, then connections are refused for good."""
    with faulty({"fault": "engine-dead", "match": {"requests": [2, 2]}}, decode_rate=1) as client:
        connection = in_flight(client.base_url, helpers.chat_body(TEXT))
        running(client, 1)
        assert ask(client, helpers.chat_body(TEXT)).status_code == 500
        assert b" 500 " in rest_of(connection)
        until_down(client)


def test_the_plan_can_be_changed_while_the_server_runs(faulty: Faulty, helpers: Any) -> None:
    """/faults takes a new plan, refuses a wrong one in words, and tells what was struck."""
    with faulty() as client:
        wrong = client.post("/faults", json={"rules": [{"fault": "explode"}]})
        assert wrong.status_code == 400
        assert "explode" in wrong.text or "refused" in wrong.text
        client.post("/faults", json={"rules": [{"fault": "error-500", "match": {"kind": "layout"}}]})
        statuses = [ask(client, helpers.chat_body(prompt)).status_code for prompt in (LAYOUT, TEXT)]
        assert statuses == [500, 200]
        assert [strike["kind"] for strike in client.get("/faults").json()["strikes"]] == ["layout"]


def test_the_slots_can_be_changed_while_the_server_runs(faulty: Faulty) -> None:
    """/simulation takes a number of slots and nothing else."""
    with faulty(slots=3) as client:
        assert client.post("/simulation", json={"slots": 5}).json()["slots"] == 5
        for wrong in ({"slots": 0}, {"slots": True}, {"slot": 1}, []):
            assert client.post("/simulation", json=wrong).status_code == 400
        assert client.post("/simulation", content=b"{").status_code == 400


def test_clients_are_told_apart_by_their_address(faulty: Faulty, helpers: Any) -> None:
    """/as/NAME before the path names the client, otherwise its User-Agent does."""
    with faulty() as client:
        for name in ("w1", "w1", "w2"):
            assert client.post(f"/as/{name}{CHAT}", json=helpers.chat_body(TEXT)).status_code == 200
        ask(client, helpers.chat_body(TEXT), headers={"User-Agent": "somebody"})
        found = client.get("/simulation").json()["by_client"]
    assert {name: each["finished"] for name, each in found.items()} == {"w1": 2, "w2": 1, "somebody": 1}


def test_every_fault_is_tried_here() -> None:
    """No fault is listed that no test of this file provokes."""
    source = open(__file__, encoding="utf-8").read()  # noqa: PTH123, SIM115 its own text
    assert [fault for fault in FAULTS if f'"{fault}"' not in source] == []
