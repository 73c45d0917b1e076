"""HttpEngine against HTTP servers that answer as engines do, and against real vLLM."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from enova.adapters.engine import HttpEngine
from enova.core.observed import Health
from enova.errors import ApplyError
from tests.adapters.stub import stub

MODELS = (200, {"object": "list", "data": [{"id": "tiny"}, {"id": "tiny-adapter"}]})
COMPLETION = (200, {"choices": [{"text": "x"}], "usage": {"completion_tokens": 3}})
METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="tiny"} 10.0
vllm:num_requests_waiting{engine="1",model_name="tiny"} 0.0
"""


@pytest.mark.parametrize(
    ("status", "health"),
    [(200, Health.HEALTHY), (503, Health.UNHEALTHY), (500, Health.UNHEALTHY), (404, Health.UNHEALTHY)],
)
def test_only_a_200_is_healthy(status: int, health: Health) -> None:
    with stub({"/health": (status, "")}) as (url, _):
        assert HttpEngine().health(url) is health


def test_what_listens_and_is_silent_is_unhealthy_and_what_does_not_listen_is_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("enova.adapters.engine.LOOK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        frozen = HttpEngine().health(url)

    assert (frozen, HttpEngine().health(url)) == (Health.UNHEALTHY, Health.STARTING)


def test_a_probe_asks_the_first_served_model_for_a_deterministic_completion() -> None:
    with stub({"/v1/models": MODELS, "/v1/completions": COMPLETION}) as (url, received):
        probe(url, api_key="s3cret")

    assert received == [
        ("/v1/models", "Bearer s3cret", None),
        (
            "/v1/completions",
            "Bearer s3cret",
            {"model": "tiny", "prompt": "Hi", "max_tokens": 4, "temperature": 0},
        ),
    ]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_model_that_only_chats_is_probed_by_chat(status: int) -> None:
    refusal = (status, {"error": {"message": "does not support Completions API"}})
    with stub({"/v1/models": MODELS, "/v1/completions": refusal, "/v1/chat/completions": COMPLETION}) as (
        url,
        got,
    ):
        probe(url)

    assert got[-1] == (
        "/v1/chat/completions",
        None,
        {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0},
    )


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": ""}], "usage": {"completion_tokens": 0}},
        {"choices": [{"text": "x"}], "usage": None},
        {"choices": []},
        [],
        "<html>welcome</html>",
    ],
)
def test_an_answer_without_a_generated_token_fails_the_probe(body: Any) -> None:
    with (
        stub({"/v1/models": MODELS, "/v1/completions": (200, body)}) as (url, _),
        pytest.raises(ApplyError, match="without generating a token"),
    ):
        probe(url)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, {"error": {"message": "EngineCore encountered an issue"}}, "500: EngineCore encountered an issue"),
        (500, {"error": "no such layer"}, "500: no such layer"),
        (422, {"message": "bad max_tokens"}, "422: bad max_tokens"),
        (502, "upstream gone", "502: upstream gone"),
        (503, "", "503: Service Unavailable"),
    ],
)
def test_a_failed_generation_is_told_in_the_servers_own_words(status: int, body: Any, words: str) -> None:
    with (
        stub({"/v1/models": MODELS, "/v1/completions": (status, body)}) as (url, _),
        pytest.raises(ApplyError, match=f"{url} answered /v1/completions with {words}"),
    ):
        probe(url)


def test_a_refused_key_points_at_the_spec_and_is_not_quoted() -> None:
    with (
        stub({"/v1/models": (401, {"error": "Unauthorized"})}) as (url, _),
        pytest.raises(ApplyError, match="401: Unauthorized") as caught,
    ):
        probe(url, api_key="s3cret")

    assert caught.value.hint == "check the API-key reference in the spec"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("api_key", ["", "s3cret\n", "s3crét", "s3\x00cret"])
def test_a_key_no_header_can_carry_is_refused_without_quoting_it(api_key: str) -> None:
    with pytest.raises(ApplyError, match="the API key is empty or holds characters") as caught:
        probe("http://127.0.0.1:1", api_key=api_key)

    assert "s3" not in str(caught.value)


@pytest.mark.parametrize("body", [{"data": []}, {"data": [{}]}, {"data": "tiny"}, [], "hello"])
def test_a_server_that_names_no_model_fails_the_probe(body: Any) -> None:
    with (
        stub({"/v1/models": (200, body)}) as (url, _),
        pytest.raises(ApplyError, match="names no model at /v1/models"),
    ):
        probe(url)


def test_a_probe_of_nothing_and_of_silence_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApplyError, match=r"did not answer http.*/v1/models within 0.2 s"):
            probe(url, timeout_s=0.2)

    with pytest.raises(ApplyError, match=r"could not be asked at .*refused"):
        probe(url)


def test_requests_in_flight_are_those_running_and_waiting_in_all_engines() -> None:
    with stub({"/metrics": (200, METRICS)}) as (url, _):
        assert HttpEngine().in_flight(url) == 15


@pytest.mark.parametrize(
    "answer",
    [
        (200, METRICS.replace("vllm:num_requests_waiting", "vllm:waiting_requests")),
        (200, METRICS.replace("vllm:num_requests_running", "vllm:running_requests")),
        (200, METRICS.replace("10.0", "NaN")),
        (200, METRICS.replace("10.0", "+Inf")),
        (200, METRICS.replace("10.0", "ten")),
        (200, ""),
        (200, "<html>welcome</html>"),
        (500, METRICS),
    ],
)
def test_in_flight_is_unknown_rather_than_zero_when_it_cannot_be_read(answer: tuple[int, str]) -> None:
    with stub({"/metrics": answer}) as (url, _):
        assert HttpEngine().in_flight(url) is None


def test_in_flight_of_a_replica_that_is_gone_is_unknown() -> None:
    with stub({}) as (url, _):
        pass

    assert HttpEngine().in_flight(url) is None


def test_the_emulated_engine_is_healthy_generates_and_counts_what_it_runs(emulator_url: str) -> None:
    probe(emulator_url, api_key="s3cret")
    request = {"model": "tiny", "prompt": "Hi", "max_tokens": 1000, "ignore_eos": True, "stream": True}
    key = {"Authorization": "Bearer s3cret"}
    with httpx.stream("POST", f"{emulator_url}/v1/completions", json=request, headers=key, timeout=10) as stream:
        lines = stream.iter_lines()  # letting go of the iterator would hang up, and end the request
        next(lines)
        wait_for_in_flight(emulator_url, 1)
    wait_for_in_flight(emulator_url, 0)


def test_the_emulated_engine_refuses_a_wrong_key(emulator_url: str) -> None:
    with pytest.raises(ApplyError, match="answered /v1/models with 401"):
        probe(emulator_url, api_key="wrong")


@pytest.mark.docker
@pytest.mark.vllm
def test_real_vllm_is_healthy_generates_and_counts_what_it_runs(vllm_url: str) -> None:
    probe(vllm_url, timeout_s=60)
    request = {"model": "/models/tiny", "prompt": "Hi", "max_tokens": 1500, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{vllm_url}/v1/completions", json=request, timeout=60) as stream:
        lines = stream.iter_lines()  # letting go of the iterator would hang up, and end the request
        next(lines)
        wait_for_in_flight(vllm_url, 1)
    wait_for_in_flight(vllm_url, 0)

    assert HttpEngine().health(vllm_url) is Health.HEALTHY


@pytest.mark.docker
@pytest.mark.vllm
def test_real_vllm_refuses_a_probe_in_its_own_words(vllm_url: str) -> None:
    with pytest.raises(ApplyError, match=r"with 400: .*max_tokens"):
        HttpEngine().probe(vllm_url, prompt="Hi", max_tokens=-1, timeout_s=10, api_key=None)


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    """An emulated engine that wants a key."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "enova.emulator", "tiny", "--port", str(port)]
    environment = {**os.environ, "VLLM_API_KEY": "s3cret"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while HttpEngine().health(url) is not Health.HEALTHY:
            assert time.monotonic() < deadline, "the emulated engine is not healthy after 20 s"
            time.sleep(0.05)
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def vllm_url() -> Iterator[str]:
    """A real vLLM with a tiny model, ready to serve."""
    run = ["docker", "run", "--detach", "--rm", "--label", "enova.test=engine", "--publish", "127.0.0.1::8000"]
    model = ["enova/vllm-cpu:test", "/models/tiny", "--enforce-eager", "--dtype", "bfloat16"]
    size = ["--kv-cache-memory-bytes", "67108864", "--max-model-len", "2048", "--max-num-seqs", "8"]
    container_id = docker(*run[1:], *model, *size, "--distributed-executor-backend", "uni")
    try:
        url = f"http://{docker('port', container_id, '8000/tcp')}"
        deadline = time.monotonic() + 180
        while HttpEngine().health(url) is not Health.HEALTHY:
            assert time.monotonic() < deadline, docker("logs", "--tail", "50", container_id)
            time.sleep(0.5)
        yield url
    finally:
        docker("rm", "--force", container_id)


def wait_for_in_flight(url: str, expected: int) -> None:
    """Its gauges trail what it does by some tenths of a second."""
    deadline = time.monotonic() + 10
    while (in_flight := HttpEngine().in_flight(url)) != expected:
        assert time.monotonic() < deadline, f"{in_flight} requests in flight for 10 s, not {expected}"
        time.sleep(0.02)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def probe(url: str, *, timeout_s: float = 5.0, api_key: str | None = None) -> None:
    HttpEngine().probe(url, prompt="Hi", max_tokens=4, timeout_s=timeout_s, api_key=api_key)
