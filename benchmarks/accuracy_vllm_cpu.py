"""Calibrate from the metrics of one run of real vLLM on this machine's CPU, and predict other rates and lengths.

    uv run python benchmarks/accuracy_vllm_cpu.py [--rounds 2] [--seconds 50] [--rate 2.0] [-o FILE]

Starts one container of the test image (make test-image models) with the model `small` and 16 seats. Then, again
and again, it sends short and long requests at a growing rate and reads `/metrics` twice a second: what that says
is all that the model gets to know. Right after, it measures one other load and simulates the same arrivals:
prompts of 128 tokens at three rates, longer ones at one, and a burst, which shows capacity. Printed are measured
and predicted values and their errors, with the share of measurements inside the 90 % band that the uncertainty of
the calibration alone gives, and how far off steps themselves were. FILE gets all, snapshots and answers included.

A machine whose speed changes while this runs shows that as error: close what else is running, and look at the
line that says how the calibrations differ.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray

from enova.adapters.facts import gpu_card
from enova.adapters.metrics import HttpMetrics
from enova.core.engine.calibration import Calibration, StepCosts, calibrate, decode_work, prefill_work
from enova.core.engine.defaults import engine_setup
from enova.core.engine.frontend import measured_frontend
from enova.core.engine.model_config import card_of
from enova.core.engine.snapshot import Snapshot
from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.engine.windows import reading_of
from enova.core.launches import replica_launch
from enova.core.resolve import resolve
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import Limits
from enova.core.simulate.limits_of import limits_of
from enova.core.spec import Service
from enova.core.workload.request import Request
from enova.host import open_host
from enova.settings import read_settings
from enova.wait import wait_ready

IMAGE = "enova/vllm-cpu:test"
MODELS = Path(__file__).parents[1] / ".cache" / "models"
SEATS, LONGEST, KV_BYTES = 16, 2048, 256 << 20
READ_EVERY_S = 0.5
DRAWS = 20
SHORT_PROMPTS, LONG_PROMPTS, OUTPUTS = (16, 160), (250, 1000), (16, 128)
SHAPES = {"128/64": (128, 64), "512/32": (512, 32)}
"""Prompt and output tokens of what is predicted."""
LOADS = (("128/64", 0.3), ("128/64", 0.6), ("128/64", 0.85), ("512/32", 0.5), ("128/64", 0.0))
"""Shape, and rate as a share of the predicted capacity; 0 is a burst."""
BURST = 64
FIGURES = ("ttft_p50", "ttft_p95", "tpot_p50", "tpot_p95", "e2e_p50", "e2e_p95", "req_per_s")

Floats = NDArray[np.float64]


class Answer(NamedTuple):
    """What one client saw, in seconds from the start of the load."""

    request: Request
    sent_s: float
    first_s: float
    last_s: float


class Calibrating(NamedTuple):
    """What one load taught."""

    calibration: Calibration
    frontend: Frontend
    snapshots: list[Snapshot]
    answers: list[Answer]


class Phase(NamedTuple):
    """One load, measured and predicted."""

    name: str
    measured: dict[str, float]
    predicted: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    steps: float
    """What the calibration says the steps of this load take, by what they took."""
    snapshots: list[Snapshot]
    answers: list[Answer]


def main(rounds: int, seconds: float, rate: float, out: Path | None) -> None:
    """Print two lines for each load, and the errors over all of them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    limits, found, phases = _limits(), [], []
    with served() as url:
        asyncio.run(send(url, mixed(2.0, 10.0, seed=99)))
        for number in range(rounds * len(LOADS)):
            learnt = _calibrate(url, limits, mixed(rate, seconds, seed=number))
            found.append(learnt)
            phases.append(_phase(*LOADS[number % len(LOADS)], url, limits, learnt, seconds, seed=1000 + number))
    _report(phases, [learnt.calibration.costs for learnt in found])
    if out:
        result = {
            "calibrations": [learnt._asdict() for learnt in found],
            "loads": [phase._asdict() for phase in phases],
        }
        out.write_text(json.dumps(result, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Snapshot | Calibration) -> object:
    return asdict(value) if isinstance(value, Snapshot) else value.costs._asdict()


@contextmanager
def served(*, prefix_caching: bool | None = None) -> Iterator[str]:
    """Yield the address of one real engine, started and removed by Enova's own adapters."""
    service = Service.model_validate(
        {
            "metadata": {"name": f"accuracy-{os.getpid()}"},
            "model": {"id": str(MODELS / "small"), "served_names": ["small"]},
            "engine": {
                "image": IMAGE,
                "dtype": "bfloat16",
                "enforce_eager": True,
                "max_model_len": LONGEST,
                "max_num_seqs": SEATS,
                "kv_cache_memory_bytes": KV_BYTES,
                "load_format": "dummy",
                "enable_prefix_caching": prefix_caching,
                "distributed_executor_backend": "uni",
            },
            "placement": {"runtime": "docker", "accelerator": "cpu"},
        }
    )
    world = open_host(read_settings())
    runtime = world.runtimes["docker"]
    name = runtime.create(replica_launch(resolve(service)), {}, lambda _: None)
    try:
        runtime.start(name)
        began_s = time.monotonic()
        instance = wait_ready(world, runtime, name, world.engine.healthy, 300.0, lambda _: None, threading.Event())
        print(f"started {name} in {time.monotonic() - began_s:.0f} s", flush=True)
        yield str(instance.url)
    finally:
        runtime.stop(name, 5.0)
        runtime.remove(name)


def _limits() -> Limits:
    """Return what Enova makes of the server's arguments."""
    config = json.loads((MODELS / "small" / "config.json").read_text(encoding="utf-8"))
    setup = engine_setup(
        card_of(config, name="small"),
        gpu_card("cpu"),
        max_model_len=LONGEST,
        max_num_seqs=SEATS,
        kv_cache_bytes=KV_BYTES,
        enforce_eager=True,
    )
    return limits_of(setup)


def _calibrate(url: str, limits: Limits, requests: Sequence[Request]) -> Calibrating:
    answers, snapshots = _watched(url, requests)
    reading = reading_of(snapshots)
    if not reading.observations:
        sys.exit(f"not calibrated: {reading.windows} windows, unknown: {', '.join(reading.unknown) or 'nothing'}")
    calibration = calibrate(reading.observations)
    frontend = measured_frontend(snapshots, calibration) or NO_FRONTEND
    print(f"\n{_words(calibration, frontend)}")
    predicted = figures(_simulated(answers, limits, calibration.step_time(), frontend))
    _row("itself", figures(answers), predicted)
    return Calibrating(calibration, frontend, snapshots, answers)


def _phase(
    shape: str, share: float, url: str, limits: Limits, learnt: Calibrating, seconds: float, *, seed: int
) -> Phase:
    """Measure and predict one load; `share` is its rate as a share of the predicted capacity, 0 a burst."""
    calibration, frontend = learnt.calibration, learnt.frontend
    requests, name = fixed(shape, np.zeros(BURST)), f"{shape} burst"
    if share:
        at_once = [Answer(request, 0.0, 0.0, 0.0) for request in requests]
        rate = share * figures(_simulated(at_once, limits, calibration.step_time(), frontend))["req_per_s"]
        gaps = np.random.default_rng(seed).exponential(1 / rate, max(10, int(rate * seconds)))
        requests, name = fixed(shape, np.cumsum(gaps)), f"{shape} at {rate:.2f}/s"
    answers, snapshots = _watched(url, requests)
    measured = figures(answers)
    predicted = figures(_simulated(answers, limits, calibration.step_time(), frontend))
    steps = reading_of(snapshots).observations
    steps_s = sum(calibration.predict(row.work)[0] for row in steps) / sum(row.seconds for row in steps)
    rng = np.random.default_rng(0)
    draws = [figures(_simulated(answers, limits, draw, frontend)) for draw in calibration.draws(rng, DRAWS)]
    low, high = (
        {key: float(np.quantile([draw[key] for draw in draws], q)) for key in FIGURES} for q in (0.05, 0.95)
    )
    _row(f"{name} (steps {steps_s - 1:+.0%})", measured, predicted)
    return Phase(name, measured, predicted, low, high, steps_s, snapshots, answers)


def _watched(url: str, requests: Sequence[Request]) -> tuple[list[Answer], list[Snapshot]]:
    """Send requests, and read the metrics all the while."""
    metrics = HttpMetrics(url)
    snapshots: list[Snapshot] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            snapshots.extend(metrics.read().values())
            done.wait(READ_EVERY_S)

    reader = threading.Thread(target=read)
    reader.start()
    answers = asyncio.run(send(url, requests))
    time.sleep(2 * READ_EVERY_S)
    done.set()
    reader.join()
    metrics.close()
    return answers, snapshots


def mixed(rate: float, seconds: float, *, seed: int) -> list[Request]:
    """Return many short prompts, then a few long ones, each at a rate that grows from nothing to twice its mean.

    So small batches are seen and full ones, with short contexts and with long ones.
    """
    rng = np.random.default_rng(seed)
    requests: list[Request] = []
    for half, (share, ends) in enumerate(((1.5, SHORT_PROMPTS), (0.5, LONG_PROMPTS))):
        count = max(1, int(share * rate * seconds / 2))
        times = seconds / 2 * (half + np.sqrt(np.sort(rng.uniform(size=count))))
        prompts, outputs = (np.exp(rng.uniform(*np.log(bounds), count)).astype(int) for bounds in (ends, OUTPUTS))
        numbers = range(len(requests), len(requests) + count)
        requests += map(Request, numbers, times.tolist(), prompts.tolist(), outputs.tolist())
    return requests


def fixed(shape: str, times: Floats) -> list[Request]:
    """Return requests of one shape at these times."""
    return [Request(number, at_s, *SHAPES[shape]) for number, at_s in enumerate(times.tolist())]


async def send(url: str, requests: Sequence[Request]) -> list[Answer]:
    """Send each request at its time, whatever becomes of the others, and return what its client saw."""
    rng = np.random.default_rng()
    unlimited = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=600, limits=unlimited, trust_env=False) as client:
        began_s = time.perf_counter()
        prompts = [rng.integers(10, 250, request.prompt_tokens).tolist() for request in requests]
        sending = (_ask(client, url, began_s, *pair) for pair in zip(requests, prompts, strict=True))
        return list(await asyncio.gather(*sending))


async def _ask(client: httpx.AsyncClient, url: str, began_s: float, request: Request, prompt: list[int]) -> Answer:
    await asyncio.sleep(max(0.0, request.arrival_s - (time.perf_counter() - began_s)))
    body = {"model": "small", "prompt": prompt, "max_tokens": request.output_tokens}
    body |= {"ignore_eos": True, "stream": True}
    times: list[float] = []
    sent_s = time.perf_counter() - began_s
    async with client.stream("POST", f"{url}/v1/completions", json=body) as answer:
        async for line in answer.raise_for_status().aiter_lines():
            if line.startswith("data: {"):
                times.append(time.perf_counter() - began_s)  # noqa: PERF401 - the time belongs to the line
    return Answer(request, sent_s, times[0], times[-1])


class _Answers:
    """An observer that keeps what clients would have seen."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def served(self, served: Served) -> None:
        request = served.request
        self.answers.append(Answer(request, request.arrival_s, served.first_token_s, served.finished_s))

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        pass

    def rejected(self, request: Request, reason: str) -> None:
        raise AssertionError(f"{request}: {reason}")


def _simulated(answers: Sequence[Answer], limits: Limits, step_time: StepTime, frontend: Frontend) -> list[Answer]:
    """Return what becomes of the same requests, sent when they were really sent."""
    seen = _Answers()
    engine = Engine(limits, step_time, seen, frontend=frontend)
    for answer in sorted(answers, key=lambda answer: answer.sent_s):
        engine.advance(answer.sent_s)
        engine.submit(answer.request._replace(arrival_s=answer.sent_s), answer.sent_s)
    engine.advance(float("inf"))
    return seen.answers


def figures(answers: Sequence[Answer]) -> dict[str, float]:
    """Return milliseconds, and requests per second from the first one's being sent to the last one's end."""
    sent, first, last = (np.array([answer[column] for answer in answers]) for column in (1, 2, 3))
    tokens = np.array([answer.request.output_tokens for answer in answers])
    columns = {"ttft": first - sent, "tpot": (last - first) / (tokens - 1), "e2e": last - sent}
    found = {
        f"{name}_p{share}": 1e3 * float(np.percentile(values, share))
        for name, values in columns.items()
        for share in (50, 95)
    }
    return {**found, "req_per_s": len(answers) / float(last.max() - sent.min())}


def _words(calibration: Calibration, frontend: Frontend) -> str:
    pairs = zip(StepCosts._fields, calibration.costs, calibration.standard_errors, strict=True)
    costs = ", ".join(f"{name[:-2]} {1e6 * value:.3g}±{1e6 * error:.2g}" for name, value, error in pairs)
    return f"microseconds: {costs}; scatter {calibration.scatter:.1%}; outside {1e3 * frontend.before_s:.1f} ms"


def _row(name: str, measured: dict[str, float], predicted: dict[str, float]) -> None:
    cells = " ".join(
        f"{key} {measured[key]:.4g}>{predicted[key]:.4g} ({predicted[key] / measured[key] - 1:+.0%})"
        for key in FIGURES
    )
    print(f"  {name:32} {cells}", flush=True)


def _report(phases: Sequence[Phase], found: Sequence[StepCosts]) -> None:
    steps = [[c.seconds(decode_work(4, 160)), c.seconds(prefill_work(128))] for c in found]
    decode, prefill = 1e3 * np.array(steps).T
    print(f"\nfrom one to the next: decode step of 4 {decode.round(1)} ms, prompt of 128 {prefill.round(1)} ms")
    print(f"{'':10} {'median':>8} {'mean':>8} {'most':>8} {'in band':>8}   over {len(phases)} loads")
    off = np.array([abs(phase.steps - 1) for phase in phases])
    print(f"{'steps':10} {np.median(off):8.1%} {off.mean():8.1%} {off.max():8.1%}")
    for key in FIGURES:
        errors = np.array([abs(phase.predicted[key] / phase.measured[key] - 1) for phase in phases])
        inside = np.mean([phase.low[key] <= phase.measured[key] <= phase.high[key] for phase in phases])
        print(f"{key:10} {np.median(errors):8.1%} {errors.mean():8.1%} {errors.max():8.1%} {inside:8.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=50.0, help="how long each load lasts")
    parser.add_argument("--rate", type=float, default=2.0, help="mean requests per second to calibrate with")
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    main(given.rounds, given.seconds, given.rate, given.out)
