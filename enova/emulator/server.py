"""The HTTP server: routes, keys, and what happens when a client or the whole server goes away."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from time import time
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from enova import __version__
from enova.emulator import replies, requests
from enova.emulator.arguments import Settings
from enova.emulator.emulated import emulated
from enova.emulator.engine import Engine
from enova.emulator.metrics import Cache, Metrics
from enova.emulator.requests import BadRequest, Limits

log = logging.getLogger("enova.emulator")

VLLM_VERSION = "0.32.0"
"""The version whose metrics and endpoints are followed."""


def config(settings: Settings) -> uvicorn.Config:
    """Return how uvicorn has to serve one emulated engine."""
    return uvicorn.Config(
        application(settings),
        host=settings.host,
        port=settings.port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        headers=[("x-enova-emulated", "true")],
        timeout_graceful_shutdown=max(1, settings.shutdown_timeout_s),
    )


class Server(uvicorn.Server):
    """A server that ends as vLLM does: at once by default, after draining if told so."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(config(settings))
        self._drains = settings.shutdown_timeout_s > 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut what is in flight, unless there is time to drain, and stop."""
        for connection in [] if self._drains else list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def application(settings: Settings) -> Starlette:
    """Return the ASGI application of one emulated engine. Raises CannotModel if vLLM would not start."""
    stands_for = emulated(settings)
    bounds, length = stands_for.limits, stands_for.max_model_len
    log.info("EMULATED engine, no model is loaded: %s, %g times as fast", stands_for.says, settings.speed)
    cache = Cache(
        block_size=bounds.pages.block_size,
        num_gpu_blocks=bounds.kv_blocks,
        kv_cache_size_tokens=stands_for.kv_tokens,
        enable_prefix_caching=bounds.prefix_caching,
        cache_dtype=str(settings.engine.get("kv_cache_dtype", "auto")),
    )
    metrics = Metrics(model_name=settings.names[0], cache=cache)
    engine = Engine(stands_for, metrics, speed=settings.speed)
    limits = Limits(
        models=settings.names,
        max_model_len=length,
        seed=settings.seed,
        shared_block_size=bounds.pages.block_size if bounds.prefix_caching else 0,
    )
    models = replies.models(settings.names, settings.model, length, int(time()))

    chance = random.Random(settings.seed)  # noqa: S311 - not for secrets

    told = JSONResponse(replies.error(BadRequest("it was told to fail", status=500)), status_code=500)

    def counted(endpoint: Endpoint) -> Endpoint:
        async def answer(request: HttpRequest) -> Response:
            try:
                response = await endpoint(request) if chance.random() >= settings.failing else told
            except BadRequest as problem:
                metrics.answered(request.url.path, problem.status)
                raise
            metrics.answered(request.url.path, response.status_code)
            return response

        return answer

    async def completions(request: HttpRequest) -> Response:
        return await _answer("text_completion", requests.completion(await _body(request), limits), request, engine)

    async def chat(request: HttpRequest) -> Response:
        return await _answer("chat.completion", requests.chat(await _body(request), limits), request, engine)

    async def health(_: HttpRequest) -> Response:
        return Response()

    async def served(_: HttpRequest) -> Response:
        return JSONResponse(models)

    async def version(_: HttpRequest) -> Response:
        return JSONResponse({"version": f"{VLLM_VERSION}+emulated.by.enova.{__version__}"})

    async def exposition(_: HttpRequest) -> Response:
        await asyncio.sleep(settings.metrics_delay_s)
        engine.look()
        if settings.metrics_garbage:
            return Response(b"\x00{ what? } vllm:num_requests_running NaN+\n")
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    locked = _lock(settings.api_keys)
    return Starlette(
        routes=[
            Route("/v1/completions", counted(locked(completions)), methods=["POST"]),
            Route("/v1/chat/completions", counted(locked(chat)), methods=["POST"]),
            Route("/v1/models", locked(served)),
            Route("/health", health),
            Route("/ping", health, methods=["GET", "POST"]),
            Route("/version", version),
            Route("/metrics", exposition),
        ],
        exception_handlers={BadRequest: _refuse},
    )


Endpoint = Callable[[HttpRequest], Awaitable[Response]]


def _lock(keys: tuple[str, ...]) -> Callable[[Endpoint], Endpoint]:
    """Return a wrapper that asks for one of the keys; as in vLLM it goes around the /v1 endpoints only."""

    def locked(endpoint: Endpoint) -> Endpoint:
        async def checked(request: HttpRequest) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            matches = [secrets.compare_digest(token.encode(), key.encode()) for key in keys]
            if keys and not (scheme.lower() == "bearer" and any(matches)):
                raise BadRequest("send `Authorization: Bearer` with this server's API key", status=401)
            return await endpoint(request)

        return checked

    return locked


async def _body(request: HttpRequest) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"the body is not JSON: {problem}") from problem


async def _refuse(_: HttpRequest, problem: Exception) -> Response:
    assert isinstance(problem, BadRequest)  # noqa: S101 (the only type this handler is registered for)
    return JSONResponse(replies.error(problem), status_code=problem.status)


async def _answer(api: replies.Api, asked: requests.Request, request: HttpRequest, engine: Engine) -> Response:
    if asked.stream:
        return _Stream(replies.events(api, asked, engine))
    answer = await _unless_gone(request, replies.whole(api, asked, engine))
    return JSONResponse(answer) if answer is not None else Response(status_code=499)


async def _unless_gone(request: HttpRequest, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the work's result, or None after aborting it because nobody waits for it any more."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """A stream whose source is closed with it, so that a client that leaves frees its place at once."""

    def __init__(self, source: AsyncGenerator[str]) -> None:
        super().__init__(source, media_type="text/event-stream")
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._source.aclose()
