"""The JSON that clients get: whole answers, chunks of a stream, errors. Every answer carries the emulated mark."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import time
from typing import Any, Literal

from enova.emulator.engine import Burst, Engine
from enova.emulator.requests import BadRequest, Request

MARK = "enova-emulated"

Api = Literal["text_completion", "chat.completion"]


async def whole(api: Api, request: Request, engine: Engine) -> dict[str, Any]:
    """Return the answer as one object, when all of it is there."""
    texts = ["" for _ in request.works]
    reasons: dict[int, str | None] = {}
    produced = 0
    async with aclosing(engine.answer(request.works)) as bursts:
        async for burst in bursts:
            texts[burst.index] += "".join(burst.tokens)
            reasons[burst.index] = burst.finish_reason
            produced += len(burst.tokens)
    choices = [
        {"index": index, **_content(api, text), "logprobs": None, "finish_reason": reasons[index]}
        for index, text in enumerate(texts)
    ]
    return {**_head(api, api, request), "choices": choices, "usage": _usage(request, produced)}


async def events(api: Api, request: Request, engine: Engine) -> AsyncGenerator[str]:
    """Yield the answer as server-sent events, token by token."""
    head = _head(api, "chat.completion.chunk" if api == "chat.completion" else api, request)
    rest: dict[str, Any] = {"usage": None} if request.include_usage else {}
    begun: set[int] = set()
    produced = 0
    async with aclosing(engine.answer(request.works)) as bursts:
        async for burst in bursts:
            if api == "chat.completion" and burst.index not in begun:
                begun.add(burst.index)
                opening = {
                    "index": burst.index,
                    "delta": {"role": "assistant", "content": ""},
                    "finish_reason": None,
                }
                yield _event({**head, "choices": [opening], **rest})
            produced += len(burst.tokens)
            yield _event({**head, "choices": [_part(api, burst)], **rest})
    if request.include_usage:
        yield _event({**head, "choices": [], "usage": _usage(request, produced)})
    yield "data: [DONE]\n\n"


def error(problem: BadRequest) -> dict[str, Any]:
    """Return an error as OpenAI's clients expect it."""
    kinds = {401: "AuthenticationError", 404: "NotFoundError"}
    kind = kinds.get(problem.status, "BadRequestError")
    return {"error": {"message": str(problem), "type": kind, "param": problem.param, "code": problem.status}}


def models(names: tuple[str, ...], root: str, max_model_len: int, created: int) -> dict[str, Any]:
    """Return the body of /v1/models."""
    shared = {"object": "model", "created": created, "owned_by": MARK, "root": root, "parent": None}
    data = [{"id": name, **shared, "max_model_len": max_model_len} for name in names]
    return {"object": "list", "data": data}


def _head(api: Api, kind: str, request: Request) -> dict[str, Any]:
    prefix = "chatcmpl" if api == "chat.completion" else "cmpl"
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time()),
        "model": request.model,
        "system_fingerprint": MARK,
    }


def _content(api: Api, text: str) -> dict[str, Any]:
    if api == "text_completion":
        return {"text": text}
    return {"message": {"role": "assistant", "content": text}}


def _part(api: Api, burst: Burst) -> dict[str, Any]:
    text = "".join(burst.tokens)
    content = {"text": text} if api == "text_completion" else {"delta": {"content": text}}
    return {"index": burst.index, **content, "logprobs": None, "finish_reason": burst.finish_reason}


def _usage(request: Request, produced: int) -> dict[str, int]:
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": produced,
        "total_tokens": request.prompt_tokens + produced,
    }


def _event(payload: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(payload, separators=(',', ':'))}\n\n"
