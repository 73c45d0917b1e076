"""Wait for an instance to become ready, or for its requests to end. Always bounded, always interruptible."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Protocol

from enova.core.observed import Instance, State
from enova.core.runtime import Report, Runtime
from enova.errors import ApplyError, Interrupted, NotServing, ObserveError
from enova.world import World

READY_POLL_S = 0.3
LOG_EVERY_S = 2.0
DRAIN_POLL_S = 0.25
CRASH_LOOP_RESTARTS = 2
"""A start that the runtime had to repeat this often will not get better by waiting."""
LAST_LINES = 15
STOPPED = (0, 128 + 15)
"""Exit codes of what was asked to end."""


class Stop(Protocol):
    """Whether the user asked to stop; a threading.Event is one."""

    def is_set(self) -> bool: ...


def wait_ready(
    world: World,
    runtime: Runtime,
    instance_id: str,
    ready: Callable[[str], bool],
    timeout_s: float,
    report: Report,
    stop: Stop,
) -> Instance:
    """Return the instance once `ready(url)` holds; raise ApplyError, with its last words, if it will not be."""
    begin = world.now()
    restarts_before: int | None = None
    next_log = begin + LOG_EVERY_S
    while True:
        instance = runtime.get(instance_id)
        if instance is None:
            raise ApplyError("it disappeared while it was starting", hint="apply again")
        if instance.state is State.EXITED:
            code = "" if instance.exit_code is None else f" with code {instance.exit_code}"
            raise _ended(runtime, instance, f"it exited{code} before it was ready")
        restarts_before = instance.restarts if restarts_before is None else restarts_before
        if (instance.restarts or 0) - (restarts_before or 0) >= CRASH_LOOP_RESTARTS:
            raise _failed(runtime, instance, "it keeps exiting before it is ready")
        if instance.url and ready(instance.url):
            return instance
        now = world.now()
        if now - begin > timeout_s:
            raise _failed(runtime, instance, f"it was not ready within {timeout_s:.0f} s (rollout.ready_timeout)")
        if now >= next_log:
            next_log = now + LOG_EVERY_S
            report(_last_line(runtime, instance_id))
        world.pause(READY_POLL_S)
        if stop.is_set():
            raise Interrupted("interrupted", hint="it goes on starting; apply again to continue from here")


def wait_settled(world: World, runtime: Runtime, instance_id: str, settle_s: float, stop: Stop) -> None:
    """Return when what is ready has stayed up for `settle_s`; raise ApplyError, with its last words, if not."""
    begin = world.now()
    before = runtime.get(instance_id)
    while (passed_s := world.now() - begin) < settle_s:
        instance = runtime.get(instance_id)
        if instance is None:
            raise ApplyError("it disappeared while it was watched", hint="apply again")
        restarted = before is not None and (instance.restarts or 0) > (before.restarts or 0)
        if instance.state is State.EXITED or restarted:
            raise _ended(runtime, instance, f"it ended {passed_s:.0f} s after it was ready (rollout.settle)")
        world.pause(min(READY_POLL_S, settle_s))
        if stop.is_set():
            raise Interrupted("interrupted", hint="apply again to continue from here")


def wait_drained(world: World, url: str, timeout_s: float, report: Report, stop: Stop) -> None:
    """Return when nothing is in flight at `url`, or after `timeout_s`.

    Zero has to be read twice: a request the gateway sent just before it stopped routing may still be on its way.
    A count that cannot be read is not zero.
    """
    deadline = world.now() + timeout_s
    zeros = 0
    while zeros < 2 and world.now() < deadline:
        count = world.engine.in_flight(url)
        zeros = zeros + 1 if count == 0 else 0
        report("drain" if count is None else f"drain: {count} in flight")
        world.pause(DRAIN_POLL_S)
        if stop.is_set():
            raise Interrupted("interrupted", hint="it goes on serving what it has; apply again to continue")


def _ended(runtime: Runtime, instance: Instance, what: str) -> ApplyError:
    """What ended as asked to is not to blame: its runtime was stopped, or somebody else stopped it."""
    failed = _failed(runtime, instance, what)
    return ApplyError(failed.message, hint=failed.hint) if instance.exit_code in STOPPED else failed


def _failed(runtime: Runtime, instance: Instance, what: str) -> NotServing:
    try:
        lines = list(runtime.logs(instance.id, tail=LAST_LINES, follow=False))
    except (ApplyError, ObserveError) as error:
        lines = [f"(its log could not be read: {error.message})"]
    last = "".join(f"\n    | {line}" for line in lines)
    return NotServing(f"{what}{last}", hint=f"see `enova logs {instance.target}`")


def _last_line(runtime: Runtime, instance_id: str) -> str:
    try:
        lines = list(islice(runtime.logs(instance_id, tail=1, follow=False), 1))
    except (ApplyError, ObserveError):
        return "starting"
    return lines[0] if lines else "starting"
