"""Asking a server whether it is well and which models it serves, and judging whether ours is among them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from mineru_pipeline.errors import (
    ClientSideError,
    InferenceError,
    InvalidAnswerError,
    ModelServerError,
    OutageError,
)
from mineru_pipeline.inference.breaker import BreakerState
from mineru_pipeline.inference.exchange import Exchange
from mineru_pipeline.inference.wire import excerpt, status_error


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What ``/health`` of one server said; ``detail`` is "" where it is well."""

    endpoint: str
    healthy: bool
    detail: str
    seconds: float
    breaker: BreakerState


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of ``/v1/models``; ``details`` holds all that the server says of it."""

    endpoint: str
    id: str
    owned_by: str
    max_model_len: int | None
    details: Mapping[str, Any]


async def ask_health(exchange: Exchange, endpoint: str, seconds: float) -> str:
    """Return "" if the server is well, otherwise what is wrong, in words."""
    try:
        reply = await exchange.get(endpoint, "/health", seconds=seconds)
    except InferenceError as error:
        return str(error)
    return "" if reply.status == HTTPStatus.OK else str(status_error(reply))


async def list_models(exchange: Exchange, endpoint: str, seconds: float) -> tuple[ModelCard, ...]:
    """Return the models that ``endpoint`` serves.

    Raises:
        InferenceError: as transport and status have it.
        InvalidAnswerError: if the reply is not the list that the OpenAI protocol describes.
    """
    reply = await exchange.get(endpoint, "/v1/models", seconds=seconds)
    if reply.status != HTTPStatus.OK:
        raise status_error(reply)
    match reply.json_or_none():
        case {"data": [*entries]} if all(isinstance(entry, dict) and "id" in entry for entry in entries):
            return tuple(_card(endpoint, entry) for entry in entries)
    message = f"{endpoint}/v1/models is not a list of models: {reply.quote()!r}"
    raise InvalidAnswerError(message, endpoint=endpoint)


def _card(endpoint: str, entry: dict[str, Any]) -> ModelCard:
    length = entry.get("max_model_len")
    return ModelCard(
        endpoint,
        str(entry["id"]),
        str(entry.get("owned_by", "")),
        length if isinstance(length, int) else None,
        entry,
    )


async def verify(exchange: Exchange, endpoints: tuple[str, ...], model: str, seconds: float) -> tuple[str, ...]:
    """Check that every server that answers serves ``model``; return why the others do not answer.

    Raises:
        ModelServerError: if one refuses the key, serves other models, or is not an OpenAI-style server.
        OutageError: if none answers.
    """
    found = await asyncio.gather(
        *(list_models(exchange, endpoint, seconds) for endpoint in endpoints), return_exceptions=True
    )
    silent: list[str] = []
    for endpoint, result in zip(endpoints, found, strict=True):
        if isinstance(result, InferenceError) and _is_of_another_kind(result):
            raise _unusable(endpoint, result) from result
        if isinstance(result, InferenceError):
            silent.append(str(result))
        elif isinstance(result, BaseException):
            raise result
        elif model not in {card.id for card in result}:
            raise _wrong_model(endpoint, result, model)
    if len(silent) == len(endpoints):
        raise OutageError(
            f"No model server answers. {' '.join(silent)} "
            "Start the server, or set vllm_server.base_url to where it is.",
            endpoint=", ".join(endpoints),
        )
    return tuple(silent)


def _is_of_another_kind(error: InferenceError) -> bool:
    """Whether what answers is no model server: it refuses, redirects, or sends something else than JSON."""
    redirects = error.status is not None and error.status < HTTPStatus.BAD_REQUEST
    return redirects or isinstance(error, ClientSideError | InvalidAnswerError)


def _unusable(endpoint: str, error: InferenceError) -> ModelServerError:
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return refused_key(endpoint, error)
    return ModelServerError(
        f"What answers at {endpoint} is not an OpenAI-style model server: {error} "
        "Set vllm_server.base_url to the address of the server, without /v1."
    )


def refused_key(endpoint: str, error: InferenceError) -> ModelServerError:
    """Return the error for a server that wants a key, or another one."""
    return ModelServerError(
        f"The model server {endpoint} refuses the key (status {error.status}): "
        "set vllm_server.api_key to the key that the server was started with."
    )


def _wrong_model(endpoint: str, cards: tuple[ModelCard, ...], model: str) -> ModelServerError:
    served = ", ".join(repr(card.id) for card in cards) or "no model at all"
    return ModelServerError(
        f"The model server {endpoint} serves {excerpt(served)}, not {model!r}: "
        "set vllm_server.model to what it serves, or vllm_server.base_url to another server."
    )
