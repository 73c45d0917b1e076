"""Measure how fast services are simulated: requests and steps a second, how that grows, and memory.

    uv run python benchmarks/bench_simulate.py [MOST_REQUESTS]

A simulation is all of it: drawing the load, the router, the engines, the statistics. It runs in one thread and
waits for nothing, so it is timed in CPU seconds, which other work on the machine blurs less. Memory is measured
for 100,000, 1,000,000… requests, up to MOST_REQUESTS (default 1,000,000), each in a process of its own. The goals:
100 times the requests a second of Vidur, 20 times those of BLIS, memory that does not grow.

The peers' figures are from other runs on another machine (2 cores of an AMD EPYC) with the same kind of load:
prompts of 1,155 and answers of 211 tokens on average, as in Azure's conversation trace. So ratios are rough.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.model_card import ModelCard
from enova.core.simulate.collector import Collector
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.forecast import replica_of
from enova.core.simulate.results import Metric, Results
from enova.core.simulate.routing import policy_of
from enova.core.simulate.summary import Work, results_of
from enova.core.spec.injection import Injection
from enova.core.workload.load import load_of

SEED = 7
FEWEST, MOST = 100_000, 1_000_000
TIMES = 3


@dataclass(frozen=True, slots=True)
class Serving:
    """A service to simulate."""

    model: ModelCard
    gpu: str
    tensor_parallel: int = 1
    replicas: int = 1
    policy: str = "round_robin"
    settings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Poisson arrivals, or a number of users who wait for their answers; lognormal lengths as in conversations."""

    rate: float = 0.0
    users: int = 0
    prompt_tokens: int = 1155
    output_tokens: int = 211

    def injection(self) -> Injection:
        """Return it as a spec has it. Lengths are cut so that all fit in 4,096 tokens, as Llama 2's must."""
        arrival = {"process": "poisson", "rate": f"{self.rate}/s"}
        if self.users:
            arrival = {"process": "closed_loop", "users": self.users}
        lengths = [
            {"distribution": "lognormal", "mean": mean, "std": mean * spread, "min": 1, "max": most}
            for mean, spread, most in ((self.prompt_tokens, 0.96, 3072), (self.output_tokens, 0.77, 1024))
        ]
        return Injection.model_validate(
            {"arrival": arrival, "prompt_tokens": lengths[0], "output_tokens": lengths[1]}
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What a simulation came to, and what it took."""

    results: Results
    seconds: float
    steps: int
    leaps: int
    replicas: int

    @property
    def requests_per_s(self) -> float:
        """Return how many requests were simulated each second."""
        return self.results.served / self.seconds


# Llama 2 differs from its successor in its vocabulary and its context alone, as far as speed goes.
LLAMA_2_70B = replace(model_card("meta-llama/Llama-3.1-70B-Instruct"), vocab_size=32000, max_model_len=4096)
LLAMA_70B = Serving(LLAMA_2_70B, "a100-sxm-80gb", tensor_parallel=2)
LLAMA_8B = Serving(model_card("meta-llama/Llama-3.1-8B-Instruct"), "h100-sxm", settings={"max_model_len": 8192})


def main(most: int) -> None:
    """Print all tables."""
    _against_peers()
    _over_loads()
    _leaps_against_steps()
    _memory(most)


def simulate(serving: Serving, traffic: Traffic, requests: int, *, leap: bool = True) -> Run:
    """Simulate a number of requests, and measure the time from the setup to the results."""
    begin = time.process_time()
    setup = engine_setup(
        serving.model,
        gpu_card(serving.gpu),
        tensor_parallel=serving.tensor_parallel,
        **serving.settings,
    )
    replica = replica_of(setup, measured_curves())
    load = load_of(traffic.injection(), seed=SEED)
    rng = np.random.default_rng(SEED)
    collector = Collector()
    fleet = Fleet([replica] * serving.replicas, collector, rng, policy=policy_of(serving.policy, rng), leap=leap)
    if traffic.users:
        fleet.serve_users(load.requests(requests), traffic.users, lambda: 0.0)
    else:
        fleet.serve(load.requests(requests))
    engines = [member.engine for member in fleet.replicas]
    now_s = max(engine.now_s for engine in engines)
    work = Work(
        sum(engine.busy_s for engine in engines),
        fleet.replica_seconds(now_s),
        sum(engine.preemptions for engine in engines),
    )
    results = results_of(collector, work)
    seconds = time.process_time() - begin
    if results.served != requests:
        raise SystemExit(f"{serving}, {traffic}: {results.served} of {requests} requests served")
    return Run(results, seconds, sum(e.steps for e in engines), sum(e.leaps for e in engines), len(engines))


def _against_peers() -> None:
    print(f"{'beside others':38} {'requests/s':>10} {'steps/s':>11} {'theirs':>8} {'ratio':>6}")
    for name, serving, rate, who, theirs in (
        ("Llama-2-70B, 2 A100, 0.5 requests/s", LLAMA_70B, 0.5, "Vidur", 389),
        ("Llama-3.1-8B, H100, 10 requests/s", LLAMA_8B, 10, "BLIS", 780),
        ("Llama-3.1-8B, H100, 20 requests/s", LLAMA_8B, 20, "BLIS", 1420),
    ):
        run = max((simulate(serving, Traffic(rate=rate), 20_000) for _ in range(TIMES)), key=_speed)
        print(
            f"{name:38} {run.requests_per_s:10,.0f} {run.steps / run.seconds:11,.0f} {theirs:8,} "
            f"{run.requests_per_s / theirs:5.0f}x {who}"
        )


def _speed(run: Run) -> float:
    return run.requests_per_s


def _over_loads() -> None:
    _print_head("Llama-3.1-8B, H100: rate")
    for rate in (1, 5, 10, 15, 20, 25):
        _print_run(f"{rate} requests/s", simulate(LLAMA_8B, Traffic(rate=rate), 10_000))
    _print_head("batch")
    for users in (1, 4, 16, 64, 256, 1024):
        _print_run(f"{users} users who never pause", simulate(LLAMA_8B, Traffic(users=users), 10_000))
    _print_head("sequence length")
    for scale in (0.125, 0.25, 0.5, 1, 2):
        traffic = Traffic(10 / scale, prompt_tokens=int(1155 * scale), output_tokens=int(211 * scale))
        name = f"{traffic.prompt_tokens} + {traffic.output_tokens} tokens, {traffic.rate:g} requests/s"
        _print_run(name, simulate(LLAMA_8B, traffic, 10_000))
    _print_head("replicas, 10 requests/s each")
    for replicas, policy in ((4, "round_robin"), (4, "cache_aware"), (16, "cache_aware"), (64, "power_of_two")):
        serving = replace(LLAMA_8B, replicas=replicas, policy=policy)
        _print_run(f"{replicas} replicas, {policy}", simulate(serving, Traffic(rate=10 * replicas), 20_000))


def _print_head(what: str) -> None:
    print(f"\n{what:38} {'requests/s':>10} {'steps/s':>11} {'in flight':>9} {'TTFT p95':>9}")


def _print_run(name: str, run: Run) -> None:
    # Little's law, for one replica.
    results = run.results
    in_flight = results.requests_per_s.value * results.latencies[Metric.E2E].mean.value / run.replicas
    print(
        f"{name:38} {run.requests_per_s:10,.0f} {run.steps / run.seconds:11,.0f} {in_flight:9.1f} "
        f"{results.of('ttft', 'p95').value:7.3f} s"
    )


def _leaps_against_steps() -> None:
    print(f"\n{'leaps against single steps':38} {'requests/s':>10} {'steps/s':>11}")
    for name, serving, rate in (
        ("Llama-2-70B, 0.5 requests/s", LLAMA_70B, 0.5),
        ("8B, 10 requests/s", LLAMA_8B, 10),
    ):
        for leap in (True, False):
            run = simulate(serving, Traffic(rate=rate), 2_000, leap=leap)
            how = f"{run.steps / max(1, run.leaps):.1f} steps a leap" if leap else "every step"
            print(f"{f'{name}, {how}':38} {run.requests_per_s:10,.0f} {run.steps / run.seconds:11,.0f}")


def _memory(most: int) -> None:
    print(f"\n{'memory: Llama-3.1-8B, 10 requests/s':38} {'requests/s':>10} {'seconds':>11} {'peak':>8}")
    requests = FEWEST
    while requests <= most:
        words = [sys.executable, __file__, "--memory", str(requests)]
        shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        seconds, peak_mib = map(float, shown.split())
        print(f"{f'{requests:,} requests':38} {requests / seconds:10,.0f} {seconds:11.1f} {peak_mib:4,.0f} MiB")
        requests *= 10


def _measure_memory(requests: int) -> None:
    run = simulate(LLAMA_8B, Traffic(rate=10), requests)
    print(run.seconds, _peak_mib())


def _peak_mib() -> float:
    """Return the most memory this process had; getrusage would give that of its parent, if that had more."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        _measure_memory(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else MOST)
