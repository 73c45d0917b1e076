"""A replica over HTTP, as any OpenAI-compatible vLLM answers: health, a real generation, requests in flight."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from enova.core.engine.snapshot import known
from enova.core.metrics.page import snapshots_of
from enova.core.observed import Health
from enova.errors import ApplyError

LOOK_TIMEOUT_S = 2.0
NOT_OFFERED = frozenset({400, 404, 405, 501})
"""How engines say that they, or this model, do not do plain completions."""


class HttpEngine:
    """Ask any replica; the one client is shared and safe to use from several threads."""

    def __init__(self) -> None:
        # A replica may be gone and another at its address, so no connection is kept; and it is near: no proxy.
        limits = httpx.Limits(max_keepalive_connections=0)
        # Instances speak plain HTTP: a TLS context that trusts nobody saves loading all the world's authorities.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.Client(timeout=LOOK_TIMEOUT_S, limits=limits, trust_env=False, verify=nobody)

    def health(self, url: str) -> Health:
        """Return what it says of itself.

        An engine listens only once it can serve. One that was stopped still has its connections taken, by the
        kernel, and says nothing on them.
        """
        try:
            well = self._client.get(f"{url}/health").status_code == httpx.codes.OK
        except httpx.TimeoutException:
            return Health.UNHEALTHY
        except (httpx.HTTPError, httpx.InvalidURL):
            return Health.STARTING
        return Health.HEALTHY if well else Health.UNHEALTHY

    def probe(self, url: str, *, prompt: str, max_tokens: int, timeout_s: float, api_key: str | None) -> None:
        """Have it generate at least one token; raise ApplyError, with what it said, if it does not.

        `timeout_s` bounds the wait for each answer. Engines that only chat are asked in their way.
        """
        headers = _authorization(api_key)
        model = _first_model(url, self._ask("GET", f"{url}/v1/models", timeout_s, headers))
        common = {"model": model, "max_tokens": max_tokens, "temperature": 0}
        body: dict[str, Any] = {**common, "prompt": prompt}
        answer = self._ask("POST", f"{url}/v1/completions", timeout_s, headers, body)
        if answer.status_code in NOT_OFFERED:
            body = {**common, "messages": [{"role": "user", "content": prompt}]}
            answer = self._ask("POST", f"{url}/v1/chat/completions", timeout_s, headers, body)
        usage = _json(answer).get("usage") if _accepted(url, answer) else None
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if not isinstance(tokens, int) or tokens < 1:
            raise ApplyError(
                f"replica {url} answered the probe without generating a token: {answer.text[:300]!r}",
                hint="see the replica's log; the model may be broken, or max_tokens of the probe too small",
            )

    def in_flight(self, url: str) -> int | None:
        """Return the number of requests running or waiting in all its engines; None if it could not be read."""
        try:
            answer = self._client.get(f"{url}/metrics")
            return _in_flight(answer.text) if answer.is_success else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None

    def _ask(
        self, method: str, url: str, timeout_s: float, headers: dict[str, str], body: dict[str, Any] | None = None
    ) -> httpx.Response:
        try:
            return self._client.request(method, url, json=body, headers=headers, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise ApplyError(
                f"replica did not answer {url} within {timeout_s:g} s",
                hint="see the replica's log; a slow first answer needs a longer probe timeout",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApplyError(
                f"replica could not be asked at {url}: {error}", hint="see the replica's log; it may have ended"
            ) from error


def _authorization(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    # Checked here because the HTTP library would quote the whole header, and so the key, in its error.
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ApplyError(
            "the API key is empty or holds characters that no HTTP header can carry",
            hint="check the file or environment variable it is read from (a line end at its end?)",
        )
    return {"Authorization": f"Bearer {api_key}"}


def _accepted(url: str, answer: httpx.Response) -> bool:
    if answer.is_success:
        return True
    refused = answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    raise ApplyError(
        f"replica {url} answered {answer.request.url.path} with {answer.status_code}: {_own_words(answer)}",
        hint="check the API-key reference in the spec" if refused else "see the replica's log",
    )


def _first_model(url: str, answer: httpx.Response) -> str:
    """Return the first served name: in vLLM the base model's, before any adapter's."""
    models = _json(answer).get("data") if _accepted(url, answer) else None
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("id") if isinstance(first, dict) else None
    if not isinstance(name, str):
        raise ApplyError(
            f"replica {url} names no model at /v1/models: {answer.text[:300]!r}",
            hint="check that the address is an OpenAI-compatible server",
        )
    return name


def _own_words(answer: httpx.Response) -> str:
    body = _json(answer)
    error = body.get("error", body)
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or answer.text or answer.reason_phrase)[:500].strip()


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _in_flight(page: str) -> int | None:
    """Sum what all engines have; a name that is missing makes the sum unknown, not smaller."""
    engines = snapshots_of(page, 0.0).values()
    if not engines or any(engine.lacks("running", "waiting") for engine in engines):
        return None
    return int(sum(known(engine.running) + known(engine.waiting) for engine in engines))
