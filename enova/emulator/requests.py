"""From the JSON of an OpenAI request to work for the engine, or an error in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from enova.emulator.beginnings import block_hashes
from enova.emulator.engine import Work
from enova.emulator.words import MESSAGE_TOKENS, count_tokens, natural_tokens

COMPLETION_MAX_TOKENS = 16
"""What a completion without max_tokens gets, as in OpenAI's API; a chat may fill the context."""


class BadRequest(Exception):
    """What is wrong with a request, for its sender."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that can be answered."""

    model: str
    works: tuple[Work, ...]
    stream: bool
    include_usage: bool

    @property
    def prompt_tokens(self) -> int:
        """Return the tokens of all prompts."""
        return sum(work.prompt_tokens for work in self.works)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the engine serves."""

    models: tuple[str, ...]
    max_model_len: int
    seed: int
    shared_block_size: int = 0
    """Tokens of a block, where prompts that begin alike share them; 0: they do not."""


def completion(body: Any, limits: Limits) -> Request:
    """Return the request in the body of /v1/completions."""
    body = _object(body)
    return _request(body, _prompts(body.get("prompt")), limits, default_max_tokens=COMPLETION_MAX_TOKENS)


def chat(body: Any, limits: Limits) -> Request:
    """Return the request in the body of /v1/chat/completions."""
    body = _object(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    texts = [_message(message) for message in messages]
    tokens = sum(count_tokens(text) + MESSAGE_TOKENS for text in texts)
    return _request(body, [_Prompt("\n".join(texts), tokens)], limits, default_max_tokens=None)


class _Prompt(NamedTuple):
    content: str | list[int]
    tokens: int


def _request(
    body: Mapping[str, Any], prompts: Sequence[_Prompt], limits: Limits, *, default_max_tokens: int | None
) -> Request:
    model = body.get("model") or limits.models[0]
    if model not in limits.models:
        served = ", ".join(limits.models)
        raise BadRequest(f"the model {model!r} does not exist; served here: {served}", param="model", status=404)
    if body.get("n") not in (None, 1):
        raise BadRequest("the emulated engine answers with n=1 only", param="n")

    stream = _flag(body, "stream")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadRequest("stream_options must be an object", param="stream_options")
    if options and not stream:
        raise BadRequest("stream_options is allowed only when stream is true", param="stream_options")

    works = []
    size = limits.shared_block_size
    for index, (content, tokens) in enumerate(prompts):
        max_tokens = _max_tokens(body, tokens, limits, default_max_tokens)
        seed = f"{limits.seed}:{body.get('seed')}:{index}:{content}"
        length = max_tokens if _flag(body, "ignore_eos") else min(max_tokens, natural_tokens(seed))
        works.append(
            Work(
                index=index,
                prompt_tokens=tokens,
                max_tokens=max_tokens,
                output_tokens=length,
                seed=seed,
                stream=stream,
                block_hashes=block_hashes(content, size) if size else (),
            )
        )
    return Request(model=model, works=tuple(works), stream=stream, include_usage=_flag(options, "include_usage"))


def _max_tokens(body: Mapping[str, Any], prompt_tokens: int, limits: Limits, default: int | None) -> int:
    param = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    wanted = body.get(param)
    room = limits.max_model_len - prompt_tokens
    if wanted is None:
        wanted = room if default is None else min(default, max(room, 1))
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise BadRequest(f"{param} must be a whole number", param=param)
    if room < 1 or wanted > room:
        raise BadRequest(
            f"this model's context holds {limits.max_model_len} tokens; the prompt has {prompt_tokens}"
            f" and {max(wanted, 1)} more were asked for",
            param=param,
        )
    if wanted < 1:
        raise BadRequest(f"{param} must be at least 1, got {wanted}", param=param)
    return wanted


def _prompts(prompt: Any) -> list[_Prompt]:
    """Return each prompt: a string, token ids, or a list of either."""
    if isinstance(prompt, str):
        return [_Prompt(prompt, count_tokens(prompt))]
    if not isinstance(prompt, list) or not prompt:
        raise BadRequest("prompt must be a string, a list of strings, or token ids, and not empty", param="prompt")
    if all(isinstance(token, int) for token in prompt):
        return [_Prompt(prompt, len(prompt))]
    if all(isinstance(part, str | list) for part in prompt):
        return [one for part in prompt for one in _prompts(part)]
    raise BadRequest("prompt mixes strings, token ids or other things", param="prompt")


def _message(message: Any) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequest("each message must be an object with a role", param="messages")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadRequest("a message's content must be a string or a list of parts", param="messages")
    return "".join(str(part.get("text", "")) for part in content)


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return bool(value)
