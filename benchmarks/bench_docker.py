"""Measure where the time of a plan that changes nothing goes, against 50 real containers.

    uv run python benchmarks/bench_docker.py [REPLICAS]

Starts one service on Docker, 49 emulated replicas (about 40 MB each) and their gateway, waits until Docker calls
all of them healthy, measures 20 plans in this one process, and removes them again. In alternation it asks the
engine for its list over a bare socket, which is as fast as anybody gets it. The goal is that Docker's list call is
more than half of the plan. Parts may overlap: the runtimes are looked at side by side.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from enova import tick
from enova.adapters.containers import runtime as containers_runtime
from enova.adapters.containers.runtime import DEFAULT_SOCKET
from enova.adapters.engine import HttpEngine
from enova.adapters.gateway import VllmRouter
from enova.adapters.processes import ProcessRuntime
from enova.core.observed import Health, Look
from enova.core.resolve import resolve
from enova.core.spec import Service
from enova.host import open_host
from enova.settings import read_settings
from enova.world import World

IMAGE = "enova/emulator:test"
TIMES = 20
HEALTHY_WITHIN_S = 180
LIST = "Docker's list call"
PARTS = (
    (LIST, docker.APIClient, "containers"),
    ("its labels read", containers_runtime, "look_at"),
    ("local processes", ProcessRuntime, "look"),
    ("replicas asked", HttpEngine, "healthy"),
    ("routes of the gateway", VllmRouter, "routes"),
    ("specs resolved", tick, "resolve"),
    ("compared", tick, "reconcile"),
)


def main(replicas: int) -> None:
    """Print one line for each part of a plan."""
    service = _service(replicas)
    where = read_settings().docker_host or DEFAULT_SOCKET
    if lacking := _lacking(service, where):
        print(f"not measured: {lacking}")
        return
    world = open_host(read_settings())
    # A termination must not leave 50 containers behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    try:
        _start(service, world)
        _report(*_measure(service, world, where.removeprefix("unix://")))
    finally:
        _remove(service, world)


def _service(replicas: int) -> Service:
    with socket.create_server(("127.0.0.1", 0)) as visitor:
        port = visitor.getsockname()[1]
    return Service.model_validate(
        {
            "metadata": {"name": f"bench-docker-{os.getpid()}"},
            "model": {"id": "acme/tiny", "served_names": ["tiny"]},
            "engine": {"kind": "emulated", "image": IMAGE},
            "placement": {"runtime": "docker"},
            "scaling": {"min": replicas},
            "gateway": {"port": port},
            "rollout": {"ready_timeout": "3m", "drain_timeout": "5s", "stop_timeout": "5s"},
        }
    )


def _lacking(service: Service, where: str) -> str:
    """Return in words what this machine lacks for this benchmark; nothing if it has it all."""
    if not where.startswith("unix://"):
        return f"it needs a Docker engine on a local socket, and DOCKER_HOST is {where}"
    try:
        client = docker.APIClient(base_url=where)
        for image in (IMAGE, resolve(service).gateway_image):
            client.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound as error:
        return f"{error.explanation} (hint: `make test-image` builds the images)"
    except (DockerException, OSError):
        return f"no Docker engine answers at {where}"
    return ""


def _start(service: Service, world: World) -> None:
    replicas = resolve(service).replicas
    print(f"starting {service.name}: {replicas} emulated replicas and a gateway", flush=True)
    result = tick.apply(tick.plan([service], world), world, lambda _: None, threading.Event())
    if result.failures:
        sys.exit(f"not measured: {result.failures[0].action}: {result.failures[0].message}")
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while _healthy(service, world) <= replicas:
        if time.monotonic() > deadline:
            sys.exit(f"not measured: not all containers were healthy within {HEALTHY_WITHIN_S} s")
        time.sleep(1)


def _healthy(service: Service, world: World) -> int:
    """Return how many of its containers Docker itself calls healthy."""
    look: Look = world.runtimes["docker"].look()
    return sum(i.health is Health.HEALTHY for i in look.instances if i.service == service.name)


def _remove(service: Service, world: World) -> None:
    removal = tick.plan_removal([service.name], world, needed=["docker"])
    result = tick.apply(removal, world, lambda _: None, threading.Event())
    for failure in result.failures:
        print(f"could not {failure.action}: {failure.message}", file=sys.stderr)
    print(f"removed {len(result.done)} of {len(removal.plan.actions)} containers")


Samples = dict[str, list[float]]
"""Part -> seconds in each of the plans."""


def _measure(service: Service, world: World, engine: str) -> tuple[Samples, int, int]:
    taken: Samples = defaultdict(list)
    with _instrumented() as sums:
        for index in range(TIMES + 1):
            sums.clear()
            begin = time.perf_counter()
            plan = tick.plan([service], world).plan
            plan_s = time.perf_counter() - begin
            if plan.exit_code:
                sys.exit(f"not measured: not in sync: {[*plan.actions, *plan.unknowns, *plan.refusals][0]}")
            begin = time.perf_counter()
            body = _bare_list(engine)
            bare_s = time.perf_counter() - begin
            if index == 0:  # the first one also connects and imports
                continue
            taken["whole plan"].append(plan_s)
            taken["bare list"].append(bare_s)
            for part, _, _ in PARTS:
                taken[part].append(sums[part])
    return taken, len(json.loads(body.partition(b"\r\n\r\n")[2])), len(body)


@contextmanager
def _instrumented() -> Iterator[dict[str, float]]:
    """Add up, while inside, the seconds spent in every part."""
    sums: dict[str, float] = defaultdict(float)
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in PARTS]
    for part, owner, name in PARTS:
        setattr(owner, name, _timed(getattr(owner, name), part, sums))
    try:
        yield sums
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _timed(call: Callable[..., Any], part: str, sums: dict[str, float]) -> Callable[..., Any]:
    lock = threading.Lock()

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            with lock:
                sums[part] += time.perf_counter() - begin

    return timed


def _bare_list(engine: str) -> bytes:
    """Return all containers as the engine lists them, over a fresh connection, with nothing in between."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine)
        connection.sendall(b"GET /containers/json?all=1 HTTP/1.0\r\nHost: docker\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def _report(taken: Samples, containers: int, size_bytes: int) -> None:
    whole_s = statistics.median(taken["whole plan"])
    print(f"\n{containers} containers, {size_bytes / 1024:.0f} KiB of list, {TIMES} plans that change nothing")
    print(f"{'':22} {'median ms':>9} {'least':>7} {'most':>7} {'share':>6}")
    for part, samples in taken.items():
        median_s = statistics.median(samples)
        print(
            f"{part:22} {median_s * 1e3:9.1f} {min(samples) * 1e3:7.1f} {max(samples) * 1e3:7.1f} "
            f"{median_s / whole_s:6.0%}"
        )
    shares = [call / whole for call, whole in zip(taken[LIST], taken["whole plan"], strict=True)]
    print(f"{LIST} is {statistics.median(shares):.0%} of a plan (median of the shares)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 49)
