"""Enova's injector beside `vllm bench serve` and vLLM's own histograms, on real vLLM on this machine's CPU.

    uv run python benchmarks/inject_vllm_cpu.py [--rounds 3] [--requests 120] [-o FILE]

Starts one container of the test image (make test-image models) with the model `small`, then sends the same traffic
with either tool in turn, again and again: prompts of 128 tokens, answers of 64, evenly spaced (the very same
schedule for both) and at random (each draws its own). The engine has no prefix cache, since of a vocabulary of
512 the other tool's random prompts are often alike. Before and after each run it reads `/metrics`, which also
count the one request that each tool sends beforehand: of one token from Enova, a whole one from the other.

Printed are milliseconds as each client saw them and as the server counted them, then for every figure the ratio of
the two tools' means over the rounds, beside how far apart the rounds of one tool are: within that, they agree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accuracy_vllm_cpu import IMAGE, MODELS, served

from enova.adapters.metrics import HttpMetrics
from enova.core.ledger.records import Measurement
from enova.core.ledger.window import measurement_of, window_of
from enova.core.observed import Unknown

PROMPT, OUTPUT = 128, 64
LOADS = (("even", 3.0), ("random", 3.0))
TOOLS = ("enova", "vllm bench")
FIGURES = tuple(
    f"{metric}.{statistic}" for metric in ("ttft", "tpot", "e2e") for statistic in ("mean", "p50", "p99")
)
SETTLED_S = 3.0

Milliseconds = dict[str, float]


def main(rounds: int, requests: int, out: Path | None) -> None:
    """Measure and print."""
    found: list[dict[str, Any]] = []
    with served(prefix_caching=False) as url, tempfile.TemporaryDirectory() as folder:
        for load, rate in LOADS:
            _enova(url, load, rate, 20, 99, Path(folder))
            print(f"\n{load} arrivals, {rate:g}/s, {requests} requests a run\n{'':22}{_heads()}")
            for number in range(rounds):
                for tool in TOOLS:
                    send = _enova if tool == "enova" else _bench
                    run = partial(send, url, load, rate, requests, number, Path(folder))
                    client, server = _beside(url, run)
                    found.append({"load": load, "tool": tool, "client": client, "server": server})
                    print(f"{tool:12} client    {_cells(client)}\n{'':12} /metrics  {_cells(server)}", flush=True)
            _compare([row for row in found if row["load"] == load])
    if out is not None:
        out.write_text(json.dumps(found) + "\n")


def _beside(url: str, send: Callable[[], Milliseconds]) -> tuple[Milliseconds, Milliseconds]:
    """Return what a client says of a run, and what the server's histograms say of it."""
    metrics = HttpMetrics(url)
    try:
        before = metrics.look()
        client = send()
        time.sleep(SETTLED_S)
        window = window_of(before, metrics.look())
    finally:
        metrics.close()
    if isinstance(window, Unknown):
        sys.exit(window.reason)
    measured = measurement_of([window], service="small", fingerprint="", began_s=0.0)
    if not isinstance(measured, Measurement):
        sys.exit(f"the server counted nothing: {measured}")
    return client, {name: 1e3 * figure.value for name, figure in measured.figures.items() if name in FIGURES}


def _enova(url: str, load: str, rate: float, requests: int, seed: int, folder: Path) -> Milliseconds:
    process = "constant" if load == "even" else "poisson"
    profile = folder / "profile.yaml"
    profile.write_text(f"injection: {{arrival: {{process: {process}, rate: {rate}/s}}}}\n")
    words = [
        sys.executable, "-m", "enova", "inject", url, "--profile", str(profile), "--requests", str(requests),
        "--prompt-tokens", str(PROMPT), "--output-tokens", str(OUTPUT), "--seed", str(seed), "--warmup", "0s",
        "--no-predict", "-o", "json",
    ]  # fmt: skip
    report = json.loads(_output(words))["found"]
    return {name: 1e3 * report[name.split(".")[0]][name.split(".")[1]] for name in FIGURES}


def _bench(url: str, load: str, rate: float, requests: int, seed: int, folder: Path) -> Milliseconds:
    words = [
        "docker", "run", "--rm", "--network", "host", "-v", f"{MODELS}:/models:ro", "-v", f"{folder}:/out",
        "--entrypoint", "vllm", IMAGE, "bench", "serve", "--base-url", url, "--model", "small",
        "--tokenizer", "/models/small", "--dataset-name", "random", "--random-input-len", str(PROMPT),
        "--random-output-len", str(OUTPUT), "--num-prompts", str(requests), "--request-rate", str(rate),
        "--burstiness", "1e9" if load == "even" else "1", "--seed", str(seed), "--ignore-eos", "--disable-tqdm",
        "--percentile-metrics", "ttft,tpot,e2el", "--metric-percentiles", "50,99", "--save-result",
        "--result-dir", "/out", "--result-filename", "bench.json",
    ]  # fmt: skip
    _output(words)
    result = json.loads((folder / "bench.json").read_text())
    theirs = {"ttft": "ttft", "tpot": "tpot", "e2e": "e2el"}
    return {name: result[_their_name(name, theirs)] for name in FIGURES}


def _their_name(figure: str, metrics: Mapping[str, str]) -> str:
    metric, statistic = figure.split(".")
    return f"{statistic}_{metrics[metric]}_ms"


def _output(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _heads() -> str:
    return " ".join(f"{name:>10}" for name in FIGURES)


def _cells(row: Milliseconds) -> str:
    return " ".join(f"{row[name]:10.2f}" for name in FIGURES)


def _compare(rows: Sequence[Mapping[str, Any]]) -> None:
    values = {
        (side, tool): [row[side] for row in rows if row["tool"] == tool]
        for side in ("client", "server")
        for tool in TOOLS
    }
    means = {
        which: {name: statistics.fmean(row[name] for row in found) for name in FIGURES}
        for which, found in values.items()
    }
    print(f"{'':22}{_heads()}")
    for words, above, below in (
        ("enova / vllm bench", ("client", "enova"), ("client", "vllm bench")),
        ("enova / /metrics", ("client", "enova"), ("server", "enova")),
        ("vllm bench / /metrics", ("client", "vllm bench"), ("server", "vllm bench")),
    ):
        ratios = " ".join(f"{means[above][name] / means[below][name]:10.3f}" for name in FIGURES)
        print(f"{words:22}{ratios}")
    for tool in TOOLS:
        found = values["client", tool]
        spans = {name: [row[name] for row in found] for name in FIGURES}
        cells = " ".join(f"{max(span) / min(span) - 1:9.1%} " for span in spans.values())
        print(f"{'rounds of ' + tool:22}{cells}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    main(given.rounds, given.requests, given.out)
