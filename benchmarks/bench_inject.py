"""The highest rate that one core sends open-loop, and keeps: Enova's injector beside others that are installed.

A server without any delay (canned_server.py) has one core for itself, the client another one. Each tool is asked
for evenly spaced requests at higher and higher rates. The server's clock says what really came: a tool keeps a
rate if at least 99 % of it came, and if 99 % of the requests came less than 10 ms later than the schedule says, in
one of two tries, since machines have moments of their own. A
schedule begins with the request that was earliest in it, so that start-up counts for nobody.

Other tools are taken from ENOVA_BENCH_GUIDELLM and ENOVA_BENCH_AIPERF (paths of their programs) or from the PATH,
and vLLM's own from the image enova/vllm-cpu:test; what is not there is left out, and said to be.

With --memory it sends a million requests instead, and shows the memory of all processes of the injector meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import psutil

HERE = Path(__file__).parent
IMAGE = "enova/vllm-cpu:test"
CLIENT_CORE, SERVER_CORE = 0, 1
TOKENS = 16
SECONDS = 10
RATES = (100, 200, 400, 800, 1600, 2400, 3200, 4000, 4800, 5600, 6400, 8000)
KEPT, LAG_S = 0.99, 0.010
ASKED_BEFORE, PAUSE_S = 20, 0.1
MILLION = 1_000_000


class Seen(NamedTuple):
    """What the server saw of one run."""

    rate: float
    lag_p50_s: float
    lag_p99_s: float

    def keeps(self, asked: float) -> bool:
        """Tell whether the rate was kept."""
        return self.rate >= KEPT * asked and self.lag_p99_s < LAG_S


Command = Callable[[str, int, Path], list[str]]


def enova(url: str, rate: int, folder: Path) -> list[str]:
    """Return how Enova is called: one process that sends."""
    profile = folder / "even.yaml"
    profile.write_text(
        f"injection:\n  arrival: {{process: constant, rate: {rate}/s}}\n  duration: {SECONDS}s\n"
        f"  prompt_tokens: {{distribution: fixed, tokens: 16}}\n"
        f"  output_tokens: {{distribution: fixed, tokens: {TOKENS}}}\n"
    )
    words = ["inject", url, "--profile", str(profile), "--workers", "1", "--no-predict", "-o", "json"]
    return [sys.executable, "-m", "enova", *words]


def guidellm(program: str) -> Command:
    """Return how GuideLLM is called."""

    def command(url: str, rate: int, folder: Path) -> list[str]:
        return [
            program, "run", "--disable-progress",
            "--backend", f"kind=openai_http,target={url},model=canned,request_format=/v1/completions",
            "--profile", f"kind=constant,rate={rate}",
            "--constraint", f"kind=max_duration,seconds={SECONDS}",
            "--data", f"kind=json_file,path={_prompts(folder, 'prompt')}",
            "--output", f"kind=json,path={folder / 'guidellm.json'}",
        ]  # fmt: skip

    return command


def aiperf(program: str) -> Command:
    """Return how aiperf is called."""
    tokenizer = HERE.parent / ".cache/models/tiny"

    def command(url: str, rate: int, folder: Path) -> list[str]:
        return [
            program, "profile", "-m", "canned", "--url", url, "--endpoint-type", "completions", "--streaming",
            "--request-rate", str(rate), "--arrival-pattern", "constant", "--benchmark-duration", str(SECONDS),
            "--input-file", str(_prompts(folder, "text")), "--custom-dataset-type", "single_turn",
            "--use-server-token-count", "--tokenizer", str(tokenizer), "--ui-type", "none",
            "--artifact-dir", str(folder / "aiperf"),
        ]  # fmt: skip

    return command


def vllm_bench(url: str, rate: int, _: Path) -> list[str]:
    """Return how `vllm bench serve` is called, in the image with the CPU build. Its arrivals are even with 1e9."""
    return [
        "docker", "run", "--rm", "--network", "host", f"--cpuset-cpus={CLIENT_CORE}",
        "-v", f"{HERE.parent / '.cache/models'}:/models:ro", "--entrypoint", "vllm", IMAGE,
        "bench", "serve", "--base-url", url, "--model", "canned", "--tokenizer", "/models/tiny",
        "--dataset-name", "random", "--random-input-len", "16", "--random-output-len", str(TOKENS),
        "--num-prompts", str(rate * SECONDS), "--request-rate", str(rate), "--burstiness", "1e9",
        "--disable-tqdm",
    ]  # fmt: skip


def _prompts(folder: Path, name: str) -> Path:
    file = folder / f"{name}.jsonl"
    if not file.exists():
        rows = (json.dumps({name: f"number {row} " + "word " * 14}) for row in range(20_000))
        file.write_text("\n".join(rows) + "\n")
    return file


def _tools() -> dict[str, Command]:
    found: dict[str, Command] = {"enova": enova}
    for name, variable, make in (
        ("GuideLLM", "ENOVA_BENCH_GUIDELLM", guidellm),
        ("aiperf", "ENOVA_BENCH_AIPERF", aiperf),
    ):
        program = os.environ.get(variable) or shutil.which(name.lower())
        if program:
            found[name] = make(program)
        else:
            print(f"{name}: not installed here, left out")
    has_image = (
        shutil.which("docker")
        and not subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode
    )
    if has_image:
        found["vllm bench"] = vllm_bench
    else:
        print(f"vllm bench serve: no image {IMAGE} here (make test-image), left out")
    return found


@contextmanager
def _served() -> Iterator[str]:
    words = [sys.executable, str(HERE / "canned_server.py"), "--tokens", str(TOKENS), "--core", str(SERVER_CORE)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def _run(command: list[str], url: str, rate: int) -> Seen | str:
    httpx.get(f"{url}/arrivals")
    pinned = ["taskset", "-c", str(CLIENT_CORE), *command]
    done = subprocess.run(pinned, capture_output=True, text=True, timeout=60 + 10 * SECONDS, check=False)
    arrivals = np.array(httpx.get(f"{url}/arrivals", timeout=60).json())
    # Tools ask once or more before they begin, which is not of the schedule, and then begin after a pause.
    pauses = np.flatnonzero(np.diff(arrivals[:ASKED_BEFORE]) > max(PAUSE_S, 5 / rate))
    arrivals = arrivals[pauses[-1] + 1 if len(pauses) else 0 :]
    if len(arrivals) < rate * SECONDS / 20:
        return (done.stderr or done.stdout).strip()[-300:] or f"only {len(arrivals)} requests came"
    return seen(arrivals, rate)


def seen(arrivals: np.ndarray[tuple[int], np.dtype[np.float64]], rate: float) -> Seen:
    """Return what times of arrival say of an even schedule at this rate."""
    late = arrivals - np.arange(len(arrivals)) / rate
    late -= late.min()
    span_s = max(float(arrivals[-1] - arrivals[0]), 1e-9)
    return Seen((len(arrivals) - 1) / span_s, *np.quantile(late, (0.5, 0.99)).tolist())


def main(rates: Sequence[int]) -> None:
    """Print the table, and each tool's highest rate beside Enova's."""
    highest: dict[str, int] = {}
    tools = _tools()
    with tempfile.TemporaryDirectory() as folder, _served() as url:
        print(f"{'tool':12} {'asked/s':>8} {'came/s':>9} {'lag p50':>10} {'lag p99':>10}")
        for name, tool in tools.items():
            for rate in rates:
                found = _run(tool(url, rate, Path(folder)), url, rate)
                if isinstance(found, Seen) and not found.keeps(rate):
                    found = _run(tool(url, rate, Path(folder)), url, rate)
                if isinstance(found, str):
                    print(f"{name:12} {rate:8} failed: {found}", flush=True)
                    break
                verdict = "kept" if found.keeps(rate) else "not kept"
                lags = f"{1e3 * found.lag_p50_s:7.2f} ms {1e3 * found.lag_p99_s:7.2f} ms"
                print(f"{name:12} {rate:8} {found.rate:9.1f} {lags} {verdict}", flush=True)
                if not found.keeps(rate):
                    break
                highest[name] = rate
    for name, rate in highest.items():
        print(f"{name}: {rate}/s kept, Enova sends {highest.get('enova', 0) / rate:.1f} times that")


def memory(rate: int) -> None:
    """Send a million requests, and print how much memory the injector's processes hold meanwhile."""
    with tempfile.TemporaryDirectory() as folder, _served() as url:
        words = enova(url, rate, Path(folder))
        profile = Path(folder, "even.yaml")
        profile.write_text(profile.read_text().replace(f"duration: {SECONDS}s", f"duration: {MILLION // rate}s"))
        with subprocess.Popen(["taskset", "-c", str(CLIENT_CORE), *words], stdout=subprocess.PIPE) as running:
            began_s = time.monotonic()
            while running.poll() is None and time.monotonic() - began_s < MILLION / rate:
                time.sleep(max(1.0, MILLION / rate / 20))
                own = psutil.Process(running.pid)
                sizes = [one.memory_info().rss / 2**20 for one in (own, *own.children(recursive=True))]
                print(f"{time.monotonic() - began_s:6.0f} s: {', '.join(f'{size:.0f}' for size in sizes)} MiB")
            report = json.loads(running.communicate()[0])
        print(f"sent {report['sent']['requests']:,}, served {report['found']['served']:,}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    parser.add_argument("--memory", type=int, metavar="RATE", help="send a million requests at this rate instead")
    given = parser.parse_args()
    if given.memory:
        memory(given.memory)
    else:
        main(given.rates)
