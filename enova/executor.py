"""Carry out a plan, one effect at a time. No decisions: what to do, and in which order, is in the plan.

Services go side by side, the waves of a service one after the other, the actions of a wave side by side. A failed
action ends its service's later waves and nothing else's.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from enova.core.observed import Instance
from enova.core.plan import Action, Plan
from enova.effects import Context, carry_out
from enova.errors import ApplyError, EnovaError, Interrupted
from enova.wait import Stop
from enova.world import World

SERVICES_AT_ONCE = 32
ACTIONS_AT_ONCE = 16


class Phase(StrEnum):
    """Where an action is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of news about an action while it is carried out."""

    action: Action
    phase: Phase
    detail: str = ""


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """An action that did not come to its end, and why."""

    action: Action
    message: str
    hint: str | None
    retryable: bool = True
    """Whether trying the same again may end otherwise."""


@dataclass(slots=True)
class Result:
    """What became of a plan's actions."""

    done: list[Action] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stopped: list[Failure] = field(default_factory=list)
    """What was begun and given up because the user asked to stop."""
    skipped: list[Action] = field(default_factory=list)


def execute(
    plan: Plan,
    world: World,
    gateways: Sequence[Instance],
    listener: Listener,
    stop: Stop,
    enough: Stop | None = None,
) -> Result:
    """Carry out `plan` and return what became of it. `gateways` are those that run now.

    Once `stop` is set, actions under way are given up at their next step; once `enough` is, they come to their end
    and no other is begun. Raises ApplyError, before anything is done, if a secret cannot be read.
    """
    context = Context(world, _secrets(plan, world), _by_service(plan, gateways), stop, enough or stop)
    run = _Run(context, listener)
    services = [list(group) for _, group in itertools.groupby(plan.actions, key=lambda action: action.service)]
    with ThreadPoolExecutor(SERVICES_AT_ONCE, thread_name_prefix="service") as pool:
        list(pool.map(run.service, services))
    return run.result


def _by_service(plan: Plan, gateways: Sequence[Instance]) -> dict[str, Instance]:
    """Return each service's gateway: of two, the one that stays."""
    going = {(action.old.runtime, action.old.id) for action in plan.actions if action.old}
    return {i.service: i for i in sorted(gateways, key=lambda i: (i.runtime, i.id) not in going)}


def _secrets(plan: Plan, world: World) -> dict[str, dict[str, str]]:
    """Read every secret the plan needs, by target, so that a missing one stops everything before it begins."""
    values: dict[str, dict[str, str]] = {}
    missing: dict[str, None] = {}
    for action in plan.actions:
        if action.launch is None:
            # What only goes away needs none, and may share its target with what comes.
            continue
        values[action.target] = {}
        for name, ref in action.launch.secrets.items():
            try:
                values[action.target][name] = world.read_secret(ref)
            except EnovaError as error:
                missing[f"{action.service}: {name}: {error.message}"] = None
    if missing:
        raise ApplyError("\n".join(missing), hint="nothing was changed; provide the secrets and apply again")
    return values


class _Run:
    def __init__(self, context: Context, listener: Listener) -> None:
        self.context, self.listener = context, listener
        self.result = Result()
        self.lock = threading.Lock()

    def service(self, actions: list[Action]) -> None:
        for _, group in itertools.groupby(actions, key=lambda action: action.wave):
            wave = list(group)
            with ThreadPoolExecutor(min(len(wave), ACTIONS_AT_ONCE), thread_name_prefix="action") as pool:
                succeeded = all(list(pool.map(self._action, wave)))
            if not succeeded:
                later = [action for action in actions if action.wave > wave[0].wave]
                self._skip(later, "interrupted" if self._over() else "an earlier step failed")
                return

    def _action(self, action: Action) -> bool:
        if self._over():
            self._skip([action], "interrupted")
            return False
        try:
            carry_out(action, self.context, report=lambda detail: self._tell(action, detail))
        except Interrupted as error:
            with self.lock:
                self.result.stopped.append(Failure(action, error.message, error.hint))
            self.listener(Progress(action, Phase.STOPPED))
            return False
        except EnovaError as error:
            with self.lock:
                self.result.failures.append(Failure(action, error.message, error.hint, error.retryable))
            self.listener(Progress(action, Phase.FAILED, error.message))
            return False
        with self.lock:
            self.result.done.append(action)
        self.listener(Progress(action, Phase.DONE))
        return True

    def _over(self) -> bool:
        return self.context.stop.is_set() or self.context.enough.is_set()

    def _tell(self, action: Action, detail: str) -> None:
        self.listener(Progress(action, Phase.RUNNING, detail))

    def _skip(self, actions: Sequence[Action], why: str) -> None:
        with self.lock:
            self.result.skipped += actions
        for action in actions:
            self.listener(Progress(action, Phase.SKIPPED, why))
