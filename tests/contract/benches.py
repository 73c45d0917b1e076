"""What the contract suite needs of a runtime: a way to open it, launches it can run, a look from outside."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import httpx
import psutil

from enova.adapters.containers import DockerRuntime
from enova.adapters.processes import ProcessRuntime
from enova.core.launch import Kind, Launch, Role
from enova.core.observed import Instance
from enova.core.runtime import Runtime
from enova.testing import MemoryHost, MemoryRuntime

DOCKER_NETWORK = f"enova-test-{uuid.uuid4().hex[:10]}"
"""Used by this test session alone, and removed with its last container."""
EMULATOR_IMAGE = "enova/emulator:test"


@dataclass(frozen=True)
class Bench:
    """One runtime, set up on a host of its own or under service names nobody else uses."""

    runtime_name: str
    open: Callable[[], Runtime]
    """Make a new Runtime on the same host, as a new Enova process would."""
    answers: Callable[[str], bool]
    readable: Callable[[], str] = lambda: ""
    """Return what any user of the machine can read about the instances beside what `look` shows."""
    emulator_image: str | None = None
    service: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")

    def gateway(self, port: int | None = None) -> Launch:
        return Launch(
            service=self.service,
            role=Role.GATEWAY,
            runtime=self.runtime_name,
            kind=Kind.ROUTER,
            port=port,
            args={"policy": "round_robin", "retry_max_retries": 3},
        )

    def replica(self, slot: int = 0) -> Launch:
        return Launch(
            service=self.service,
            role=Role.REPLICA,
            runtime=self.runtime_name,
            slot=slot,
            kind=Kind.EMULATED,
            image=self.emulator_image,
            model="org/model",
            args={"max_num_seqs": 8, "served_model_name": ("a", "b")},
            env={"SOME_SETTING": "1"},
        )

    def own(self, runtime: Runtime) -> list[Instance]:
        return [i for i in runtime.look().instances if i.service == self.service]


def eventually(check: Callable[[], object], within_s: float = 30) -> None:
    """Wait until the check holds; fail with its last answer if it does not in time."""
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"still {found!r} after {within_s} s"
        time.sleep(0.05)


def http_answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def memory_bench() -> Iterator[Bench]:
    host = MemoryHost()
    yield Bench("memory", lambda: MemoryRuntime(host), lambda url: host.at(url) is not None)


@contextmanager
def process_bench(state_dir: Path) -> Iterator[Bench]:
    bench = Bench("process", lambda: ProcessRuntime(state_dir), http_answers, _command_lines)
    try:
        yield bench
    finally:
        _remove_all(bench, bench.open())


@contextmanager
def docker_bench() -> Iterator[Bench]:
    opened: list[DockerRuntime] = []

    def open_one() -> DockerRuntime:
        opened.append(DockerRuntime(network_name=DOCKER_NETWORK))
        return opened[-1]

    bench = Bench("docker", open_one, http_answers, lambda: _docker_texts(bench.service), EMULATOR_IMAGE)
    try:
        yield bench
    finally:
        _remove_all(bench, open_one())
        remove_network()
        for runtime in opened:
            runtime.close()


def remove_network() -> None:
    client = docker.from_env()
    try:
        client.api.remove_network(DOCKER_NETWORK)
    except docker.errors.NotFound:
        return
    finally:
        client.close()


def _remove_all(bench: Bench, runtime: Runtime) -> None:
    for instance in bench.own(runtime):
        runtime.remove(instance.id)


def _command_lines() -> str:
    lines = (process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"]))
    return "\n".join(itertools.chain.from_iterable(lines))


def _docker_texts(service: str) -> str:
    """Labels and commands as `docker ps` shows them, and every process on the machine."""
    client = docker.from_env()
    try:
        listed = client.api.containers(all=True, filters={"label": f"dev.enova.service={service}"}, trunc=False)
        return json.dumps(listed) + _command_lines()
    finally:
        client.close()
