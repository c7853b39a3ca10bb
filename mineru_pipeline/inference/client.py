"""The client of one or several vLLM servers: it never loses a request to an outage, nor hides a failure."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from mineru_pipeline.errors import (
    ClientSideError,
    InferenceError,
    ModelServerError,
    ServerOverloadedError,
    TransportError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.breaker import BreakerState, CircuitBreakerRegistry, Permission
from mineru_pipeline.inference.canary import CANARY, CANARY_SECONDS
from mineru_pipeline.inference.clock import Clock, SystemClock
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.discovery import (
    EndpointHealth,
    ModelCard,
    ask_health,
    list_models,
    refused_key,
    verify,
)
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool, normalise_base_url
from mineru_pipeline.inference.exchange import Exchange
from mineru_pipeline.inference.limiter import AdaptiveLimiter, Limiter
from mineru_pipeline.inference.load import ServerLoad, read_load
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.outage import Outage
from mineru_pipeline.inference.retry import Call, RetryBudget
from mineru_pipeline.inference.traffic import Traffic
from mineru_pipeline.inference.wire import ChatAnswer, ChatRequest, Reply, read_answer

_log = logging.getLogger(__name__)

CHAT_PATH = "/v1/chat/completions"
#: A request that meets this many outages is more likely their cause than their victim.
MAX_FRESH_STARTS = 3
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:-]+")


class VLLMClient:
    """Sends each chat completion to the endpoint that has most room for it, of those that their breakers permit.

    It belongs to one event loop. Used as an async context manager it also watches the servers'
    health in the background and closes its connections at the end.

    Args:
        config: where the servers are and how patient to be.
        metrics: where to count; by default a registry of its own.
        clock: time and chance; the machine's own by default.
        limiter: decides how many requests are in flight at each endpoint; by default one that adapts.
        transport: replaces the network in tests.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        metrics: ClientMetrics | None = None,
        clock: Clock | None = None,
        limiter: Limiter | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self.metrics = metrics or ClientMetrics()
        self._clock = clock or SystemClock()
        self._limiter = limiter
        self._retries = RetryBudget(config, self._clock, self.metrics)
        self._breakers = CircuitBreakerRegistry(config.breaker, self._clock, self._on_breaker_state)
        self._exchange = Exchange(config, transport, self.metrics.reset)
        urls = dict.fromkeys(normalise_base_url(url) for url in config.base_urls)
        self._pool = EndpointPool(tuple(self._endpoint(url) for url in urls))
        self._outage = Outage(self._pool, self._clock, config, self, self.metrics.outage_lasted)
        self._traffic = Traffic(
            self._pool, self._clock, self._read_load, self._show_limiter, config.connection_pool_size
        )
        self._watches: list[asyncio.Task[None]] = []

    def _endpoint(self, url: str) -> Endpoint:
        breaker = self._breakers.circuit_breaker(url, self.config.model_revision or "")
        endpoint = Endpoint(url, breaker, self._limiter or self._adaptive_limiter())
        self._show_limiter(endpoint, waiting=0)
        return endpoint

    def _on_breaker_state(self, endpoint: str, model_revision: str, state: BreakerState) -> None:
        self.metrics.breaker_state(endpoint, model_revision, state)
        if state is BreakerState.OPEN:
            self._retries.patience.forget_timeouts()
        elif state is BreakerState.CLOSED:
            self._retries.patience.silence_ended(endpoint)

    def _adaptive_limiter(self) -> AdaptiveLimiter:
        config = self.config
        return AdaptiveLimiter(self._clock, minimum=config.limiter_minimum, maximum=config.limiter_maximum)

    async def _read_load(self, endpoint: Endpoint) -> ServerLoad | None:
        return await read_load(self._exchange, endpoint.url)

    def _show_limiter(self, endpoint: Endpoint, waiting: int) -> None:
        limit = endpoint.limiter.limit
        self.metrics.limiter(endpoint.url, limit=limit, in_flight=endpoint.in_flight, waiting=waiting)

    async def __aenter__(self) -> Self:
        watches = (
            self._watch_health(self.config.health_check_interval_seconds, lambda _: True),
            self._watch_health(self.config.outage_poll_seconds, lambda one: one.breaker.state is BreakerState.OPEN),
        )
        self._watches = [asyncio.create_task(watch, name="model-server-health") for watch in watches]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching and close all connections; may be called twice."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._watches.clear()
        await self._traffic.aclose()
        await self._exchange.aclose()

    # ---- asking about the servers

    async def health_check(self) -> tuple[EndpointHealth, ...]:
        """Ask every server's ``/health``, all at once; never raises because of what they say."""
        return tuple(await asyncio.gather(*(self._health_of(endpoint) for endpoint in self._pool.endpoints)))

    async def _health_of(self, endpoint: Endpoint) -> EndpointHealth:
        started = self._clock.monotonic()
        detail = await ask_health(self._exchange, endpoint.url, self.config.connection_timeout_seconds)
        endpoint.healthy = not detail
        seconds = self._clock.monotonic() - started
        return EndpointHealth(endpoint.url, endpoint.healthy, detail, seconds, endpoint.breaker.state)

    async def _watch_health(self, seconds: float, whom: Callable[[Endpoint], bool]) -> None:
        """Know an ailing server before work is sent there, and a recovered one before its time is over."""
        while True:
            await self._clock.sleep(seconds)
            await asyncio.gather(*(self._judge(endpoint) for endpoint in self._pool.endpoints if whom(endpoint)))

    async def _judge(self, endpoint: Endpoint) -> None:
        was_healthy = endpoint.healthy
        health = await self._health_of(endpoint)
        if health.healthy:
            # A roll-out may be over; if it is not, one request finds out.
            endpoint.refuses = False
            endpoint.breaker.transition_to_half_open()
            self._traffic.changed()
        elif was_healthy:
            _log.warning("health check: %s", health.detail)

    async def models(self) -> tuple[ModelCard, ...]:
        """Return what all servers together say they serve.

        Raises:
            InferenceError: if one of them does not answer as it should.
        """
        seconds = self.config.connection_timeout_seconds
        lists = await asyncio.gather(
            *(list_models(self._exchange, endpoint.url, seconds) for endpoint in self._pool.endpoints)
        )
        return tuple(card for cards in lists for card in cards)

    async def verify_model(self) -> None:
        """Make sure before the work begins that the servers are what the settings say.

        Raises:
            ModelServerError: naming the address, what it serves, and the setting to change.
            OutageError: if no server answers.
        """
        urls = tuple(endpoint.url for endpoint in self._pool.endpoints)
        silent = await verify(self._exchange, urls, self.config.model, self.config.connection_timeout_seconds)
        for words in silent:
            _log.warning("%s The other servers take its work.", words)

    # ---- chat completions

    async def room(self) -> None:
        """Wait until one more page is wanted: work that is prepared earlier only takes memory."""
        await self._traffic.room()

    async def chat_completion(self, request: ChatRequest, *, request_id: str | None = None) -> ChatAnswer:
        """Return the whole answer to ``request``.

        Every attempt is sent under ``<request_id>-<number>`` in ``X-Request-Id``: a server may still
        be busy with the attempt before.

        Raises:
            RequestTimeoutError, TransportError, ServerError: this request fails while others pass.
            ServerOverloadedError: it was shed until its deadline while others passed.
            ClientSideError: the server says that the request is wrong; never sent again.
            TruncatedAnswerError, InvalidAnswerError: an answer came, but not a whole one.
            AbortedAnswerError: the server stopped in the middle, on every attempt.
            OutageError, CircuitOpenError: nothing got through for the whole outage budget.
            ModelServerError: every server refuses the key, or no longer serves the model.
        """
        name = _NOT_IN_AN_ID.sub("_", request_id)[:100] if request_id else uuid.uuid4().hex
        call = Call(request.encode(self.config.model), name, request.kind, is_patient=request.is_patient)
        with self._traffic.request(request.kind):
            if pause := self._retries.pause_before_first(call):
                await self._clock.sleep(pause)
            return await self._complete(call)

    async def _complete(self, call: Call) -> ChatAnswer:
        while True:
            try:
                return await self._retries.attempts(call)(self._attempt, call)
            except ClientSideError as error:
                if (misfit := self._misfit(error)) is None:
                    raise
                if not self._set_aside(call, misfit):
                    raise misfit from error
                continue
            except InferenceError as error:
                if not error.retryable or call.fresh_starts == MAX_FRESH_STARTS:
                    raise
                if await self._outage.is_request_at_fault(call.successes_at_failure):
                    raise
            _log.warning("request %s waits: no model server answers", call.request_id)
            await self._outage.wait_for_recovery()
            call.start_anew()

    def _set_aside(self, call: Call, misfit: ModelServerError) -> bool:
        """Leave the work of a server that refuses us to the others until its next health check; False if all do."""
        assert call.endpoint is not None
        call.endpoint.refuses = True
        if all(endpoint.refuses for endpoint in self._pool.endpoints):
            for endpoint in self._pool.endpoints:
                endpoint.refuses = False
            return False
        _log.warning("%s The other servers take its work.", misfit)
        return True

    def _misfit(self, error: ClientSideError) -> ModelServerError | None:
        """Return what is wrong with the settings if ``error`` is no matter of one request."""
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return refused_key(error.endpoint, error)
        if error.status != HTTPStatus.NOT_FOUND:
            return None
        return ModelServerError(
            f"{error} Check vllm_server.model ({self.config.model!r}) and vllm_server.base_url: "
            f"{error.endpoint}/v1/models shows what is served."
        )

    async def _attempt(self, call: Call) -> ChatAnswer:
        while True:
            await self._outage.admit()
            queued_at = self._clock.monotonic()
            is_urgent = call.is_patient or call.sent > 0
            async with self._traffic.slot(call.kind, call.endpoint, is_urgent=is_urgent) as endpoint:
                self.metrics.waited_for_slot(self._clock.monotonic() - queued_at)
                # The breakers may have changed their minds while this request waited for its slot.
                permission = endpoint.breaker.try_acquire_permission() if endpoint is not None else None
                if endpoint is not None and permission is not None:
                    return await self._send(endpoint, permission, call)

    async def _send(self, endpoint: Endpoint, permission: Permission, call: Call) -> ChatAnswer:
        call.sent += 1
        call.endpoint = endpoint
        attempt_id = f"{call.request_id}-{call.sent}"
        is_probe = endpoint.breaker.state is BreakerState.HALF_OPEN
        deadline = self._retries.deadline(call, endpoint, is_probe=is_probe)
        started = self._clock.monotonic()
        try:
            with self.metrics.sending():
                answer = await self._ask(endpoint, permission, call, attempt_id, deadline)
        except InferenceError as error:
            seconds = self._clock.monotonic() - started
            self.metrics.failed(error, seconds)
            self._retries.book(call, error, seconds, deadline)
            call.successes_at_failure = self._outage.successes
            _log.warning("request %s failed after %.2f s: %s", attempt_id, seconds, error)
            raise
        finally:
            call.spent += self._clock.monotonic() - started
        endpoint.latency.note(call.kind, answer.seconds)
        self._retries.book_answer(call, answer.seconds)
        self.metrics.answered(answer.seconds, answer.usage)
        _log.debug("request %s: answered by %s in %.2f s", attempt_id, endpoint.url, answer.seconds)
        return answer

    async def _ask(
        self, endpoint: Endpoint, permission: Permission, call: Call, request_id: str, deadline: Deadline
    ) -> ChatAnswer:
        """Make one exchange and let breaker and outage know what it says about the server."""
        started = self._clock.monotonic()
        try:
            reply = await self._post(endpoint, call, request_id, deadline)
            answer = read_answer(reply, self._clock.monotonic() - started)
        except InferenceError as error:
            self._book_failure(permission, error)
            raise
        else:
            permission.on_success()
            self._outage.note_success()
            self._notice_silence(endpoint)
            return answer
        finally:
            # Without effect after a report; on cancellation it frees the probe's place.
            permission.release()

    def _notice_silence(self, endpoint: Endpoint) -> None:
        """Whoever was sent to a server that answered nobody for a while may wait for an answer that was lost."""
        now = self._clock.monotonic()
        self._retries.patience.silence_ended(endpoint.url, now - endpoint.heard_at)
        endpoint.heard_at = now

    async def _post(self, endpoint: Endpoint, call: Call, request_id: str, deadline: Deadline) -> Reply:
        """Post; once for each call again, at once, where a new connection is lost before any byte of an answer."""
        post = partial(
            self._exchange.post, endpoint.url, CHAT_PATH, call.body, request_id=request_id, deadline=deadline
        )
        try:
            return await post()
        except TransportError as error:
            if call.was_reset or not error.unanswered:
                raise
            _log.debug("request %s is sent again at once: %s", request_id, error)
        call.was_reset = True
        self.metrics.reset()
        return await post()

    def _book_failure(self, permission: Permission, error: InferenceError) -> None:
        self._outage.note_failure(error)
        if isinstance(error, TruncatedAnswerError | ClientSideError):
            # The server did its part, so there is no outage; a refusal costs it too little to prove its health.
            self._outage.note_success()
        if isinstance(error, TruncatedAnswerError):
            permission.on_success()
        elif not isinstance(error, ClientSideError | ServerOverloadedError):
            permission.on_error()

    # ---- what the outage asks (the Probe port)

    async def is_healthy(self, endpoint: Endpoint) -> bool:
        """Whether ``/health`` of ``endpoint`` answers 200."""
        return not await ask_health(self._exchange, endpoint.url, self.config.connection_timeout_seconds)

    async def canary(self, endpoint: Endpoint) -> bool:
        """Whether ``endpoint`` answers a small request that is known to be good, if its breaker permits one."""
        permission = endpoint.breaker.try_acquire_permission()
        if permission is None:
            return False
        call = Call(CANARY.encode(self.config.model), f"canary-{uuid.uuid4().hex}")
        deadline = Deadline(min(CANARY_SECONDS, self._retries.patience.limit(CANARY.kind)))
        try:
            await self._ask(endpoint, permission, call, call.request_id, deadline)
        except (TruncatedAnswerError, ClientSideError):
            # It was read and answered, which is all that a canary wants to know.
            return True
        except InferenceError as error:
            _log.warning("%s: %s", call.request_id, error)
            return False
        return True
