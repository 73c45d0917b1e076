"""The daemon's port."""

from __future__ import annotations

from contextlib import AbstractContextManager

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from enova.errors import EnovaError
from enova.watch.serve import served


def test_it_tells_whether_it_is_well_and_what_is_wrong() -> None:
    wrong = {"healthy": "", "ready": "it has not looked yet"}
    registry, hooked = CollectorRegistry(), list[str]()
    Counter("looks", "Looks.", registry=registry).inc()
    with (
        served(
            "127.0.0.1",
            0,
            healthy=lambda: wrong["healthy"],
            ready=lambda: wrong["ready"],
            registry=registry,
            hook=lambda: hooked.append("now"),
        ) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        answers = [client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
        hook, not_a_hook = client.post("/hook"), client.get("/hook")

    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].text == "it has not looked yet\n"
    assert "looks_total 1.0" in answers[2].text
    assert (hook.status_code, not_a_hook.status_code, hooked) == (202, 405, ["now"])


def test_a_port_that_is_taken_is_said() -> None:
    def nothing(port: int) -> AbstractContextManager[int]:
        return served("127.0.0.1", port, healthy=str, ready=str, registry=CollectorRegistry(), hook=lambda: None)

    with nothing(0) as port, pytest.raises(EnovaError, match=f"127.0.0.1:{port} cannot be listened on"):
        nothing(port).__enter__()
