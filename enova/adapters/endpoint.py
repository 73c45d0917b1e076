"""An OpenAI-compatible endpoint anywhere, as far as it says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from enova.errors import ObserveError, UsageError

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What answers at an address."""

    url: str
    """Without the path and a slash at its end."""
    models: tuple[str, ...]
    """As it calls them; of vLLM the first is the base model, before any adapter."""
    vllm: str | None
    """The version of vLLM behind it; None: it is another engine, or does not say."""
    emulated: bool
    """Whether it says that no model runs there."""


def look_at(url: str, api_key: str | None) -> Endpoint:
    """Return what an address is. Raises ObserveError if it does not answer as OpenAI's API says."""
    base = base_of(url)
    headers = {"Authorization": f"Bearer {_sound(api_key)}"} if api_key else {}
    try:
        with httpx.Client(timeout=TIMEOUT_S, headers=headers, trust_env=False) as client:
            answer = client.get(f"{base}/v1/models")
            version = client.get(f"{base}/version")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        hint = "is it up, and is the address right? without a path; `enova status` shows services' addresses"
        raise ObserveError(f"{base} cannot be asked: {str(error) or type(error).__name__}", hint=hint) from error
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        hint = "name the environment variable that holds its key with --api-key-env"
        raise ObserveError(f"{base} asks for a key: it answered {answer.status_code}", hint=hint)
    models = _json(answer).get("data")
    names = [model.get("id") for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    found = tuple(name for name in names if isinstance(name, str))
    if not answer.is_success or not found:
        hint = "give the address of an OpenAI-compatible server, without a path"
        raise ObserveError(f"{base}/v1/models names no model: it answered {answer.status_code}", hint=hint)
    said = _json(version).get("version") if version.is_success else None
    return Endpoint(
        url=base,
        models=found,
        vllm=said if isinstance(said, str) else None,
        emulated=answer.headers.get("x-enova-emulated") == "true",
    )


def prompt_tokens_of(url: str, api_key: str | None, path: str, body: Mapping[str, Any], timeout_s: float) -> int:
    """Ask once, for one token, and return how many tokens of prompt the server counted; 0 if it does not say.

    Raises ObserveError with the server's own words if it does not answer.
    """
    headers = {"Authorization": f"Bearer {_sound(api_key)}"} if api_key else {}
    try:
        with httpx.Client(timeout=timeout_s, headers=headers, trust_env=False) as client:
            answer = client.post(f"{url}{path}", json={**body, "max_tokens": 1, "stream": False})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ObserveError(f"{url} did not answer one request: {str(error) or type(error).__name__}") from error
    found = _json(answer)
    if not answer.is_success:
        said = found.get("error")
        words = said.get("message") if isinstance(said, dict) else said or found.get("message") or answer.text
        hint = "nothing was sent beside this one request; `--api` and `--model` say how it is asked"
        raise ObserveError(f"{url}{path} answered {answer.status_code}: {str(words)[:500].strip()}", hint=hint)
    usage = found.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) else 0


def base_of(url: str) -> str:
    """Return an address without what belongs to the API. Raises UsageError for what is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{url} is no address: {error}", hint="write it like http://127.0.0.1:8000") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError("the address must begin with http:// or https://", hint="http://127.0.0.1:8000")
    if parsed.userinfo or parsed.query or parsed.fragment:
        hint = "keys go with --api-key-env"
        raise UsageError("the address must be without user, password, query and fragment", hint=hint)
    path = parsed.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return str(parsed.copy_with(path=path or "/")).rstrip("/")


def _sound(api_key: str) -> str:
    # Checked here because the HTTP library would quote the whole header, and so the key, in its error.
    if not api_key.isascii() or not api_key.isprintable():
        raise ObserveError(
            "the API key holds characters that no HTTP header can carry",
            hint="check the file or environment variable it is read from (a line end at its end?)",
        )
    return api_key


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
