"""The emulator as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from enova.adapters.processes.ports import free_port


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the program until it answers; yield it and its base URL."""
    port = free_port("127.0.0.1", set())
    program = subprocess.Popen(
        [sys.executable, "-m", "enova.emulator", "tiny", "--port", str(port), *words],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"VLLM_API_KEY": "s3cret"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline_s = time.monotonic() + 20
        while not healthy(url):
            assert program.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        yield program, url
    finally:
        program.kill()
        program.communicate()


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_it_says_in_its_log_what_it_is_and_what_it_ignores_but_no_key() -> None:
    with running("--tool-call-parser", "hermes", "--kv-cache-dtype", "fp8", "--speed", "3") as (program, url):
        assert httpx.get(f"{url}/v1/models").status_code == 401
        program.send_signal(signal.SIGTERM)
        log = program.communicate(timeout=10)[1]

    assert "EMULATED engine, no model is loaded: no --emulate-gpu: a small model on l4" in log
    assert "3 times as fast" in log
    assert "change no emulation: --tool-call-parser\n" in log
    assert "s3cret" not in log
    assert "Traceback" not in log


def test_sigterm_cuts_what_is_in_flight_and_ends_it_with_success() -> None:
    with running("--speed", "0.05") as (program, url):
        headers = {"authorization": "Bearer s3cret"}
        body = {"prompt": "hi", "stream": True, "max_tokens": 1000, "ignore_eos": True}
        begin_s = time.monotonic()
        try:
            with httpx.stream("POST", f"{url}/v1/completions", json=body, headers=headers, timeout=10) as response:
                for _ in response.iter_lines():
                    program.send_signal(signal.SIGTERM)
        except httpx.TransportError:
            pass

        log = program.communicate(timeout=10)[1]
        assert program.returncode == 0
        assert time.monotonic() - begin_s < 5
        assert "Traceback" not in log


def test_what_would_not_start_says_why_and_ends_as_vllm_would() -> None:
    words = ["-m", "enova.emulator", "meta-llama/Llama-3.1-70B", "--emulate-gpu", "t4"]

    program = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)

    assert program.returncode == 1
    assert "meta-llama/Llama-3.1-70B does not start on t4: " in program.stderr
    assert "Traceback" not in program.stderr
