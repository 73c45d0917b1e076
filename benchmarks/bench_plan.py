"""Measure how long a plan takes over services of 10 replicas each, on the runtime in memory, in one process.

    uv run python benchmarks/bench_plan.py [MOST_REPLICAS]

Prints the fastest of 5 plans for 100, 1,000, 10,000… replicas, in three cases: nothing runs, all is in sync, and
one engine argument changed everywhere. A plan is all that `enova plan` does after it has read the specs: resolve,
look, compare. The goal is about 2 s for 10,000 replicas, and linear growth: ten times the replicas, ten times the
time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enova import tick
from enova.core.launches import desired_state
from enova.core.resolve import resolve
from enova.core.spec import Service
from enova.testing import MemoryHost, memory_world
from enova.world import World

REPLICAS_EACH = 10
FIRST_PORT = 10_000
TIMES = 5


@dataclass(frozen=True, slots=True)
class Case:
    """What runs and what the specs ask for differ in a known way, so the number of actions is known too."""

    name: str
    runs: bool
    max_num_seqs: int
    actions_each: int


CASES = (
    Case("nothing runs", runs=False, max_num_seqs=64, actions_each=REPLICAS_EACH + 1),
    Case("all in sync", runs=True, max_num_seqs=64, actions_each=0),
    Case("all to replace", runs=True, max_num_seqs=32, actions_each=REPLICAS_EACH),
)


def main(most_replicas: int) -> None:
    """Print one line for each case and size."""
    print(f"{'case':15} {'services':>8} {'replicas':>8} {'seconds':>8} {'µs/replica':>10} {'growth':>7}")
    for case in CASES:
        replicas, before_s = 100, 0.0
        while replicas <= most_replicas:
            taken_s = _measure(case, replicas // REPLICAS_EACH)
            growth = f"{taken_s / before_s:6.1f}x" if before_s else ""
            print(
                f"{case.name:15} {replicas // REPLICAS_EACH:8,} {replicas:8,} {taken_s:8.3f} "
                f"{taken_s / replicas * 1e6:10.0f} {growth:>7}"
            )
            replicas, before_s = replicas * 10, taken_s


def _measure(case: Case, count: int) -> float:
    world = _world(_services(count) if case.runs else [])
    services = _services(count, max_num_seqs=case.max_num_seqs)
    actions = len(tick.plan(services, world).plan.actions)
    if actions != count * case.actions_each:
        raise SystemExit(f"{case.name}: {actions} actions planned, expected {count * case.actions_each}")
    return min(_seconds(lambda: tick.plan(services, world)) for _ in range(TIMES))


def _services(count: int, max_num_seqs: int = 64) -> list[Service]:
    return [
        Service.model_validate(
            {
                "metadata": {"name": f"chat-{index:05}"},
                "model": {"id": "Qwen/Qwen2.5-7B-Instruct", "served_names": ["qwen", "chat"]},
                "engine": {
                    "kind": "emulated",
                    "max_model_len": 8192,
                    "max_num_seqs": max_num_seqs,
                    "enable_prefix_caching": True,
                    "env": {"VLLM_LOGGING_LEVEL": "INFO"},
                },
                "placement": {"runtime": "docker"},
                "scaling": {"min": REPLICAS_EACH},
                "gateway": {"port": FIRST_PORT + index, "policy": "cache_aware"},
            }
        )
        for index in range(count)
    ]


def _world(services: Sequence[Service]) -> World:
    """Return a world in which these services run as they are written."""
    host = MemoryHost()
    world = memory_world(host)
    runtime = world.runtimes["docker"]
    for desired in (desired_state(resolve(service)) for service in services):
        replicas = [desired.replica.place(slot=slot) for slot in range(desired.replicas)]
        for launch in (desired.gateway, *replicas):
            runtime.start(runtime.create(launch, {}, _unheard))
    urls: dict[tuple[str, str], set[str]] = {}
    for instance in host.instances.values():
        urls.setdefault((instance.service, instance.role), set()).add(str(instance.url))
    for (service, role), found in urls.items():
        if role == "gateway":
            host.routes[found.pop()] = urls[service, "replica"]
    return world


def _unheard(detail: str) -> None:
    pass


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
