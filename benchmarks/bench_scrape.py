"""Measure what it costs to look at 200 replicas' metrics every five seconds: to ask, to read, and to take them in.

    uv run python benchmarks/bench_scrape.py [REPLICAS] [ROUNDS]

The replicas are one other process that answers each of as many ports with a page of vLLM 0.32 (51 kB, recorded in
../shared/reference, or in tests/data where that is not there), of which a counter moves on. Measured is the CPU
time of this process alone. The goal is below 0.7 ms for each replica, or 5 % of a core with what decides besides.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from enova.adapters.scrape import Scraper
from enova.core.metrics.board import Board
from enova.core.metrics.page import look_of
from enova.core.metrics.target import Page, Target

ROOT = Path(__file__).parents[1]
EVERY_S = 5.0
GOAL_MS = 0.7
COUNTER = re.compile(r"(?m)^(vllm:e2e_request_latency_seconds_count\{.*\}) .*$")


class Replica(asyncio.Protocol):
    """Answers whatever it is asked with the page, in which one more request is finished."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self.asked += 1
            body = COUNTER.sub(rf"\1 {5000 + self.asked}", self.page, count=1).encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)  # type: ignore[attr-defined]


def page() -> str:
    """Return a real page."""
    shared = (
        Path(os.environ.get("ENOVA_SHARED", ROOT.parent / "shared")) / "reference/vllm_metrics_0.32_loaded.txt"
    )
    return (shared if shared.exists() else ROOT / "tests/data/vllm_metrics_0.32.txt").read_text(encoding="utf-8")


async def replicas(count: int) -> None:
    """Serve until the process ends."""
    loop, text, ports = asyncio.get_running_loop(), page(), []
    for _ in range(count):
        server = await loop.create_server(lambda: Replica(text), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


def measure(urls: dict[str, str], rounds: int) -> None:
    """Print what rounds cost in CPU time."""
    scraper, board = Scraper(), Board()
    board.watch(
        [Target(id=name, name=name, service="chat", gateway=False, url=url) for name, url in urls.items()], 0.0
    )
    asked_s = read_s = told_s = 0.0
    for number in range(rounds + 1):
        began_s = time.process_time()
        pages = scraper.scrape(urls)
        got_s = time.process_time()
        for name, found in pages.items():
            assert isinstance(found, Page), found
            board.take(name, look_of(found.text, number * EVERY_S), number * EVERY_S)
        taken_s = time.process_time()
        vitals = board.vitals("chat", number * EVERY_S)
        if number:  # the first round makes the connections
            asked_s += got_s - began_s
            read_s += taken_s - got_s
            told_s += time.process_time() - taken_s
    assert not [words for words in vitals.unseen if "arrivals" not in words], vitals.unseen
    scraper.close()
    each_ms = (asked_s + read_s) / rounds / len(urls) * 1e3
    for words, seconds in (("ask", asked_s), ("read and take in", read_s), ("say what is known", told_s)):
        print(f"{words:18} {seconds / rounds * 1e3:7.1f} ms a round")
    print(f"{'each replica':18} {each_ms:7.2f} ms to ask, read and take in: the goal is {GOAL_MS}")
    print(f"{'of one core':18} {(asked_s + read_s) / rounds / EVERY_S:7.1%} at a round every {EVERY_S:g} s")
    if each_ms > GOAL_MS:
        sys.exit(1)


def main(count: int, rounds: int) -> None:
    """Serve in another process, and measure in this one."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve", str(count)], stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            assert served.stdout
            ports = served.stdout.readline().split()
            measure({f"chat#{n}": f"http://127.0.0.1:{port}/metrics" for n, port in enumerate(ports)}, rounds)
        finally:
            served.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(replicas(int(sys.argv[2])))
    else:
        numbers = [int(one) for one in sys.argv[1:]]
        main(numbers[0] if numbers else 200, numbers[1] if len(numbers) > 1 else 20)
