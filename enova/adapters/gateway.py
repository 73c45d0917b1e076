"""vllm-router's admin API: which workers it routes to, and adding and removing them while it serves."""

from __future__ import annotations

import ssl

import httpx

from enova.core.observed import Routes, Unknown
from enova.errors import ApplyError

LOOK_TIMEOUT_S = 3.0
ADD_TIMEOUT_S = 30.0
"""The router answers once the worker is healthy, or after its own `worker_startup_timeout_secs`; this must
be the longer of the two, or the router's reason is lost."""


class VllmRouter:
    """Talk to the router of any service; the one client is shared and safe to use from several threads."""

    def __init__(self) -> None:
        # Calls are rare, and a connection kept open to a router that was replaced would look like a dead one.
        limits = httpx.Limits(max_keepalive_connections=0)
        # Instances speak plain HTTP: a TLS context that trusts nobody saves loading all the world's authorities.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.Client(timeout=LOOK_TIMEOUT_S, limits=limits, trust_env=False, verify=nobody)

    def routes(self, url: str) -> Routes:
        """Return the worker URLs it routes to; None if nothing listens; Unknown if it does not make sense."""
        try:
            answer = self._client.get(f"{url}/list_workers")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None if _nothing_listens(error) else Unknown(f"gateway {url}: {_words(error)}")
        if answer.status_code != httpx.codes.OK:
            return Unknown(f"gateway {url}: /list_workers answered {_said(answer)}")
        worker_urls = _worker_urls(answer)
        if worker_urls is None:
            return Unknown(f"gateway {url}: not a vllm-router: {answer.text[:200]!r}")
        return worker_urls

    def add(self, url: str, worker_url: str) -> None:
        """Route to a worker that answers its health check. Adding one twice succeeds."""
        answer = self._post(url, "add_worker", worker_url, ADD_TIMEOUT_S)
        # It answers 400 for a worker it has already; its list is asked rather than its wording trusted.
        if answer.is_success or worker_url in _known(self.routes(url)):
            return
        raise ApplyError(
            f"gateway {url} did not take worker {worker_url}: {_said(answer)}",
            hint="check that the gateway can reach the replica at that URL and that its /health answers 200",
        )

    def remove(self, url: str, worker_url: str) -> None:
        """Stop routing new requests to a worker; its streams go on. Removing an unknown one succeeds."""
        answer = self._post(url, "remove_worker", worker_url, LOOK_TIMEOUT_S)
        if not answer.is_success:
            raise ApplyError(
                f"gateway {url} did not remove worker {worker_url}: {_said(answer)}",
                hint="see the gateway's log",
            )

    def _post(self, url: str, action: str, worker_url: str, timeout_s: float) -> httpx.Response:
        try:
            return self._client.post(f"{url}/{action}", params={"url": worker_url}, timeout=timeout_s)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApplyError(
                f"gateway {url}: {action} of {worker_url}: {_words(error)}",
                hint="check that the gateway runs, and apply again",
            ) from error


def _known(routes: Routes) -> frozenset[str]:
    return routes if isinstance(routes, frozenset) else frozenset()


def _worker_urls(answer: httpx.Response) -> frozenset[str] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    urls = body.get("urls") if isinstance(body, dict) else None
    if not isinstance(urls, list) or not all(isinstance(worker_url, str) for worker_url in urls):
        return None
    return frozenset(urls)


def _nothing_listens(error: BaseException) -> bool:
    """Return whether no program holds the port.

    Docker's port proxy accepts for a container that does not listen and then resets or closes.
    """
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected without" in str(error):
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | ConnectionResetError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _words(error: Exception) -> str:
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__


def _said(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:300].strip() or answer.reason_phrase}"
