"""Every request that costs something is counted before it is done, and billed for what was done."""

import asyncio
import contextlib
import hashlib
import uuid
from functools import partial
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plant_disease.plans import Endpoint, Plan
from plant_disease.service.auth import SECURITY, Caller, identify
from plant_disease.service.idempotency import Answer, Claim, Order, Replay
from plant_disease.service.limits import Limiter, Standing
from plant_disease.service.patience import GivenUp, Patience
from plant_disease.service.queries import query_parameters
from plant_disease.service.telemetry import record
from plant_disease.service.usage import UsageLog
from plant_disease.settings import Settings
from plant_disease.usage import UsageEvent

METERED = (400, 401, 402, 403, 409, 422, 429, 503)
"""What a route that is metered may answer, besides what it does by itself."""

_STATE = "meter"


class Meter:
    """One request, from being counted to being billed.

    Args:
        request: the request.
        caller: who asks.
        endpoint: for what.
    """

    def __init__(self, request: Request, caller: Caller, endpoint: Endpoint) -> None:
        self._request = request
        self._caller = caller
        self._endpoint = endpoint
        self._settings: Settings = request.app.state.engine.settings
        self._limiter: Limiter = request.app.state.limiter
        self._usage: UsageLog = request.app.state.usage
        self._patience: Patience = request.app.state.patience
        self._order: Order | None = None
        self._claim: Claim | None = None
        self._standing: Standing | None = None
        self._taken = 0
        self._is_settled = False
        self._afterwards: asyncio.Task[None] | None = None

    async def take(self, photos: int) -> None:
        """Count photos before anything is done with them. The body must have been read.

        Raises:
            Problem: 429, 402 and 503, see `Limiter.take`; 400, 409 and 422, see `Claim`.
            Replay: the request was answered before.
        """
        claim = self._claim_on_answer()
        try:
            if claim:
                await self._patience.ask(claim.look)
        except Replay:
            # It costs no photo, and is not to be had without end.
            await self._count(Plan(rates=self._caller.plan.rates) if self._caller.plan else None, 1)
            raise
        except GivenUp:
            claim = None
        self._taken = photos
        self._standing = await self._count(self._caller.plan, photos)
        if claim:
            with contextlib.suppress(GivenUp):
                await self._patience.ask(claim.take)
                self._claim = claim

    async def _count(self, plan: Plan | None, photos: int) -> Standing | None:
        return await self._limiter.take(self._caller.subject, self._endpoint, plan, photos) if plan else None

    def _claim_on_answer(self) -> Claim | None:
        key = self._request.headers.get("idempotency-key")
        if key is None or self._settings.usage_uri is None or self._caller.key_id is None:
            return None
        self._order = Order(self._caller.subject, key, _fingerprint(self._request))
        return Claim(self._settings.usage_uri, self._order, self._settings.batch_timeout_s)

    @property
    def keeps_answer(self) -> bool:
        """Whether the answer is wanted for a retry."""
        return self._claim is not None

    def headers(self) -> dict[str, str]:
        """How the caller stands to its plan, for the answer."""
        return self._standing.headers() if self._standing else {}

    async def settle(self, status: int | None, answer: Answer | None = None) -> None:
        """Bill what was done, give back what was not, keep the answer. Only the first call counts.

        Args:
            status: of the answer; None if there was none.
            answer: the whole of it.
        """
        if not self._is_settled:
            self._is_settled = True
            done = record().diagnosed if status == 200 else 0
            if done and (self._caller.key_id or self._settings.usage_uri):
                self._usage.add(self._event(done))
            if self._standing or self._claim or self._usage.must_be_written_at_once:
                # A client that goes away at the last moment cancels whoever sends to it, and nothing of this.
                self._afterwards = asyncio.create_task(self._conclude(done, answer))
        if self._afterwards:
            await asyncio.shield(self._afterwards)

    async def _conclude(self, done: int, answer: Answer | None) -> None:
        if self._standing and done < self._taken:
            await self._limiter.give_back(self._standing, self._taken - done)
        with contextlib.suppress(GivenUp):
            if done and self._usage.must_be_written_at_once:
                await self._patience.ask(self._usage.flush)
            if self._claim:
                await self._patience.ask(partial(self._claim.keep, answer if done else None))

    def _event(self, done: int) -> UsageEvent:
        noted = record()
        order = self._order
        return UsageEvent(
            event_id=order.event_id(self._endpoint) if order else uuid.uuid4().hex,
            key_id=self._caller.key_id,
            endpoint=self._endpoint,
            photos=done,
            **{decision: noted.decisions[decision] for decision in ("diagnosed", "uncertain", "rejected")},
            model_version=noted.fields["model_version"],
            request_id=noted.request_id,
            idempotency_key=order.key if order else None,
            ms=round(noted.total_ms(), 1),
            outcome="complete" if done >= self._taken else "partial",
        )


async def metered(request: Request, endpoint: Endpoint) -> Meter:
    """The meter of a request, if its caller may use the endpoint; see `auth.identify`."""
    meter = Meter(request, await identify(request, endpoint), endpoint)
    setattr(request.state, _STATE, meter)
    return meter


def described(query: type[BaseModel], body: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of what a route that is metered takes: a key, a query and a body."""
    return {"security": SECURITY, "parameters": query_parameters(query), "requestBody": body}


class Metering:
    """ASGI middleware: settles every request that has a meter, before the end of its answer leaves.

    Args:
        app: what it surrounds.
        usage: what has been billed is written out before the server has shut down.
    """

    def __init__(self, app: ASGIApp, usage: UsageLog) -> None:
        self._app = app
        self._usage = usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            self._usage.hears_of_the_end = True
            await self._app(scope, receive, self._closing(send))
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        async def flush_and_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self._usage.flush)
            await send(message)

        return flush_and_send

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = scope.setdefault("state", {})
        status: int | None = None
        media_type = ""
        body = bytearray()

        async def metered_send(message: Message) -> None:
            nonlocal status, media_type
            meter: Meter | None = state.get(_STATE)
            if meter and message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                media_type = headers.get("content-type", "")
                for name, value in meter.headers().items():
                    headers.setdefault(name, value)
            elif meter:
                if meter.keeps_answer:
                    body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await meter.settle(status, Answer.of(media_type, bytes(body)) if meter.keeps_answer else None)
            await send(message)

        try:
            await self._app(scope, receive, metered_send)
        finally:
            if meter := state.get(_STATE):
                await meter.settle(status)


async def replayed(_: Request, error: Exception) -> Response:
    """The answer that a request got the first time."""
    assert isinstance(error, Replay)  # noqa: S101 - for the type checker: registered for this class only
    return Response(
        error.answer.content(), media_type=error.answer.media_type, headers={"Idempotency-Replayed": "true"}
    )


def _fingerprint(request: Request) -> str:
    """What a request asks: its path, its query, and what was sent with it."""
    asked = "\n".join([request.url.path, request.url.query, request.state.content_sha256])
    return hashlib.sha256(asked.encode()).hexdigest()
