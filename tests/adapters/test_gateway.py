"""VllmRouter against a real vllm-router process and real HTTP workers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from enova.adapters.gateway import VllmRouter
from enova.core.observed import Unknown
from enova.errors import ApplyError


@pytest.fixture(scope="module")
def router() -> Iterator[str]:
    """A running vllm-router without workers, that gives up on a new worker after a second."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("vllm-router")), "--policy", "round_robin", "--port", str(port)]
    command += ["--prometheus-port", str(free_port()), "--worker-startup-timeout-secs", "1"]
    command += ["--worker-startup-check-interval", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while VllmRouter().routes(url) is None:
            assert time.monotonic() < deadline, "vllm-router does not listen after 20 s"
            time.sleep(0.05)
        yield url
        process.terminate()


@pytest.fixture
def worker() -> Iterator[str]:
    with answering(200, b"{}") as url:
        yield url


def test_a_new_router_routes_to_nothing(router: str) -> None:
    assert VllmRouter().routes(router) == frozenset()


def test_an_added_worker_is_routed_to_until_it_is_removed(router: str, worker: str) -> None:
    VllmRouter().add(router, worker)
    added = VllmRouter().routes(router)
    VllmRouter().remove(router, worker)

    assert (added, VllmRouter().routes(router)) == (frozenset({worker}), frozenset())


def test_adding_and_removing_twice_succeeds(router: str, worker: str) -> None:
    VllmRouter().add(router, worker)
    VllmRouter().add(router, worker)
    routes = VllmRouter().routes(router)
    VllmRouter().remove(router, worker)
    VllmRouter().remove(router, worker)

    assert (routes, VllmRouter().routes(router)) == (frozenset({worker}), frozenset())


def test_a_worker_that_does_not_listen_is_refused_with_the_routers_words(router: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(
        ApplyError, match=rf"did not take worker {dead}: 400 Timeout 1s waiting for worker"
    ) as caught:
        VllmRouter().add(router, dead)

    assert "gateway can reach the replica" in (caught.value.hint or "")
    assert VllmRouter().routes(router) == frozenset()


def test_a_worker_that_is_not_healthy_is_refused(router: str) -> None:
    with answering(503, b"loading") as loading, pytest.raises(ApplyError, match="did not take worker"):
        VllmRouter().add(router, loading)

    assert VllmRouter().routes(router) == frozenset()


def test_where_nothing_listens_there_are_no_routes_at_all() -> None:
    assert VllmRouter().routes(f"http://127.0.0.1:{free_port()}") is None


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_port_proxy_with_nothing_behind_it_counts_as_nothing_listening(reset: bool) -> None:
    with hanging_up(b"", reset=reset) as url:
        assert VllmRouter().routes(url) is None


def test_an_answer_that_is_not_http_is_unknown() -> None:
    with hanging_up(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as url:
        assert isinstance(VllmRouter().routes(url), Unknown)


def test_a_router_that_does_not_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enova.adapters.gateway.LOOK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        assert VllmRouter().routes(url) == Unknown(f"gateway {url}: no answer in time")


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_is_unknown_and_quoted(status: int) -> None:
    with answering(status, b"out of order") as url:
        assert VllmRouter().routes(url) == Unknown(f"gateway {url}: /list_workers answered {status} out of order")


@pytest.mark.parametrize("body", [b"hello", b"[]", b"{}", b'{"urls": null}', b'{"urls": [1]}', b"\xff"])
def test_another_program_on_the_port_is_unknown(body: bytes) -> None:
    with answering(200, body) as url:
        routes = VllmRouter().routes(url)

    assert isinstance(routes, Unknown)
    assert "not a vllm-router" in routes.reason


def test_no_call_can_be_made_to_a_gateway_that_is_down(worker: str) -> None:
    down = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(ApplyError, match=f"gateway {down}: add_worker of {worker}: .*refused") as add:
        VllmRouter().add(down, worker)
    with pytest.raises(ApplyError, match=f"gateway {down}: remove_worker of {worker}: .*refused"):
        VllmRouter().remove(down, worker)

    assert add.value.hint == "check that the gateway runs, and apply again"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Serve one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Keep the test output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def hanging_up(says: bytes, *, reset: bool = False) -> Iterator[str]:
    """Accept one connection, say something that is not HTTP, and hang up, politely or with a reset."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096 if not reset else 1)  # closing with unread bytes resets
            connection.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
