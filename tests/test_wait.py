"""Waiting ends: with what was waited for, or with why it will not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from enova.core.observed import Instance, State
from enova.errors import ApplyError, Interrupted, NotServing
from enova.testing import MemoryEngine, MemoryHost, MemoryRuntime, memory_world
from enova.wait import wait_drained, wait_ready
from tests.staging import replica


@dataclass(slots=True)
class Talking(MemoryRuntime):
    """A runtime whose instances write a line every time they are looked at, and restart as often as told."""

    restarts_every_look: int = 0
    looks: int = 0

    def get(self, instance_id: str) -> Instance | None:
        found = MemoryRuntime.get(self, instance_id)
        self.looks += 1
        return found and replace(found, restarts=(found.restarts or 0) + self.looks * self.restarts_every_look)

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        lines = [f"line {number}" for number in range(100)]
        yield from lines[-tail:] if tail else lines


@dataclass(slots=True)
class Counting(MemoryEngine):
    """Replicas that report these numbers of requests in flight, one after the other, then none."""

    counts: list[int | None] = field(default_factory=list)
    asked: int = 0

    def in_flight(self, url: str) -> int | None:
        self.asked += 1
        return self.counts.pop(0) if self.counts else 0


def started(runtime: MemoryRuntime) -> str:
    instance_id = runtime.create(replica(), {}, lambda _: None)
    runtime.start(instance_id)
    return instance_id


def wait(runtime: MemoryRuntime, instance_id: str, *, ready_at_s: float = 1e9, stop: bool = False) -> list[str]:
    """Wait up to 10 s for what is ready at that time, and return what was reported."""
    world, asked, told = memory_world(runtime.host), threading.Event(), list[str]()
    if stop:
        asked.set()
    found = wait_ready(world, runtime, instance_id, lambda _: world.now() >= ready_at_s, 10, told.append, asked)
    assert found.id == instance_id
    return told


def test_it_ends_as_soon_as_the_instance_is_ready() -> None:
    runtime = Talking(MemoryHost())

    wait(runtime, started(runtime), ready_at_s=1)

    assert 1 <= runtime.host.time_s < 2


def test_while_it_waits_it_tells_the_last_log_line_now_and_then() -> None:
    runtime = Talking(MemoryHost())

    assert wait(runtime, started(runtime), ready_at_s=5) == ["line 99", "line 99"]


def test_what_is_not_ready_in_time_is_told_with_its_last_lines() -> None:
    runtime = Talking(MemoryHost())

    with pytest.raises(ApplyError) as caught:
        wait(runtime, started(runtime))

    first, *lines = caught.value.message.splitlines()
    assert first == "it was not ready within 10 s (rollout.ready_timeout)"
    assert lines == [f"    | line {number}" for number in range(85, 100)]
    assert caught.value.hint == "see `enova logs chat#0`"


def test_what_exited_is_told_with_its_code() -> None:
    runtime = Talking(MemoryHost(failing={"chat#0"}))

    with pytest.raises(ApplyError, match=r"it exited with code 1 before it was ready\n    \| line 85"):
        wait(runtime, started(runtime))


def test_what_its_runtime_keeps_restarting_is_not_waited_for() -> None:
    runtime = Talking(MemoryHost(), restarts_every_look=1)

    with pytest.raises(ApplyError, match="it keeps exiting before it is ready"):
        wait(runtime, started(runtime))

    assert runtime.host.time_s < 2


def test_restarts_from_before_do_not_count() -> None:
    runtime = Talking(MemoryHost())
    instance_id = started(runtime)
    found = runtime.host.instances[runtime.name, instance_id]
    runtime.host.instances[runtime.name, instance_id] = replace(found, restarts=50)

    wait(runtime, instance_id, ready_at_s=5)


def test_what_disappears_is_not_waited_for() -> None:
    with pytest.raises(ApplyError, match="it disappeared while it was starting"):
        wait(MemoryRuntime(MemoryHost()), "gone")


def test_a_wait_can_be_interrupted() -> None:
    runtime = Talking(MemoryHost())

    with pytest.raises(Interrupted):
        wait(runtime, started(runtime), stop=True)

    assert runtime.host.instances[runtime.name, started(runtime)].state is State.RUNNING


@pytest.mark.parametrize(
    ("counts", "asked"),
    [
        ([], 2),
        ([3, 1], 4),
        ([0, 1], 4),
        ([None, None], 4),
        ([0, None], 4),
    ],
    ids=["idle", "busy", "one more came", "unreadable", "unreadable in between"],
)
def test_drained_is_what_twice_in_a_row_has_nothing_in_flight(counts: list[int | None], asked: int) -> None:
    host = MemoryHost()
    engine = Counting(host, counts)

    wait_drained(replace(memory_world(host), engine=engine), "memory://x", 60, lambda _: None, threading.Event())

    assert engine.asked == asked


@pytest.mark.parametrize("count", [7, None])
def test_a_drain_ends_after_its_time(count: int | None) -> None:
    host, told = MemoryHost(), list[str]()
    engine = Counting(host, [count] * 1000)

    wait_drained(replace(memory_world(host), engine=engine), "memory://x", 5, told.append, threading.Event())

    assert 5 <= host.time_s < 6
    assert set(told) == {"drain: 7 in flight" if count else "drain"}


def test_a_drain_can_be_interrupted() -> None:
    host, stop = MemoryHost(), threading.Event()
    stop.set()

    with pytest.raises(Interrupted, match="interrupted"):
        wait_drained(replace(memory_world(host), engine=Counting(host, [1] * 9)), "memory://x", 60, print, stop)

    assert host.time_s < 1


@pytest.mark.parametrize(("code", "blamed"), [(0, False), (143, False), (1, True), (137, True), (None, True)])
def test_what_was_asked_to_end_is_not_to_blame(code: int | None, blamed: bool) -> None:
    runtime = Talking(MemoryHost())
    instance_id = started(runtime)
    key = runtime.name, instance_id
    gone = replace(runtime.host.instances[key], state=State.EXITED, exit_code=code, url=None)
    runtime.host.instances[key] = gone

    with pytest.raises(ApplyError) as caught:
        wait(runtime, instance_id)

    assert isinstance(caught.value, NotServing) is blamed
