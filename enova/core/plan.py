"""What would be done, as values: actions, notes and refusals, in the order of their doing."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from enova.core.fingerprint import Change
from enova.core.launch import Kind, Launch, Role
from enova.core.observed import Instance
from enova.core.rollout import RolloutPolicy

MINUTE_S = 60.0


class Verb(StrEnum):
    """What an action does to its target. The order is that of the lines about one target in one wave."""

    CREATE = "create"
    START = "start"
    RESTART = "restart"
    REPLACE = "replace"
    JUDGE = "judge"
    ROUTE = "route"
    UNROUTE = "unroute"
    REMOVE = "remove"


SYMBOLS = {
    Verb.CREATE: "+",
    Verb.START: "+",
    Verb.RESTART: "±",
    Verb.REPLACE: "±",
    Verb.JUDGE: "?",
    Verb.ROUTE: "~",
    Verb.UNROUTE: "~",
    Verb.REMOVE: "-",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A new replica on trial, and the old one in whose place it is."""

    launch: Launch
    old: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step a user would recognise. The executor turns it into single effects (enova.core.rollout)."""

    verb: Verb
    target: str
    service: str
    cause: str
    """Why, in words; never empty."""
    wave: int
    """Actions of a service run wave by wave; those of one wave side by side."""
    changes: tuple[Change, ...] = ()
    launch: Launch | None = None
    """What to have at the end; None when something only goes away."""
    new: Instance | None = None
    """What is there already of `launch`."""
    old: Instance | None = None
    """What goes away."""
    stop_first: bool = False
    """Whether the old instance has to go before the new one can come."""
    impact: str = ""
    """What users of the service notice, in words; empty if nothing."""
    held: bool = False
    """Whether the old instance is only put down, to come back if the new one does worse."""
    trials: tuple[Trial, ...] = ()
    """For JUDGE: what is on trial."""
    worker_url: str | None = None
    """For UNROUTE: the worker that is not there any more."""
    policy: RolloutPolicy = field(default_factory=RolloutPolicy)
    """How to go about it."""

    @property
    def emulated(self) -> bool:
        """Return whether it is about a replica whose engine is emulated."""
        if self.launch:
            return self.launch.kind is Kind.EMULATED
        return any(one.settings.get("engine.kind") == Kind.EMULATED for one in (self.new, self.old) if one)

    def __str__(self) -> str:
        changed = "".join(f"; {change}" for change in self.changes)
        impact = f" [{self.impact}]" if self.impact else ""
        return f"{SYMBOLS[self.verb]} {self.verb} {self.target}: {self.cause}{changed}{impact}"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something worth saying about a service that is not an action."""

    service: str
    message: str
    hint: str = ""

    @property
    def words(self) -> str:
        """Return it without the service, for where that is plain."""
        return self.message + (f" (hint: {self.hint})" if self.hint else "")

    def __str__(self) -> str:
        return f"{self.service}: {self.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one pass would do. Equal inputs give equal plans, byte for byte."""

    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    """What the user should know: suspended, emulated, unhealthy."""
    unknowns: tuple[Note, ...] = ()
    """What could not be looked at; nothing is planned for these services."""
    refusals: tuple[Note, ...] = ()
    """Why the plan must not be applied as it stands."""

    @property
    def exit_code(self) -> int:
        """Return 0 in sync, 1 could not look or refused, 2 changes pending."""
        if self.unknowns or self.refusals:
            return 1
        return 2 if self.actions else 0

    @property
    def checksum(self) -> str:
        """Return a digest of what would be done and to what; it moves when the world or the specs move."""
        text = json.dumps([_identity(action) for action in self.actions], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def summary(self) -> str:
        """Return the closing line: `Plan: 2 to create, 1 to replace, 0 to remove`."""
        if not self.actions:
            return "In sync: nothing to do" if self.exit_code == 0 else "Plan: nothing will be done"
        count = Counter(action.verb for action in self.actions)
        words = {Verb.CREATE: "create", Verb.REPLACE: "replace", Verb.REMOVE: "remove"}
        parts = [f"{count[verb]} to {word}" for verb, word in words.items()]
        rest = (Verb.START, Verb.RESTART, Verb.JUDGE, Verb.ROUTE, Verb.UNROUTE)
        parts += [f"{count[verb]} to {verb}" for verb in rest if count[verb]]
        return f"Plan: {', '.join(parts)}"

    def expecting(self, start_up_s: Mapping[str, float]) -> Plan:
        """Return the plan with about how long what users notice lasts, where that is known: seconds by service."""
        return replace(self, actions=tuple(_lasting(action, start_up_s) for action in self.actions))

    def of(self, services: Collection[str]) -> Plan:
        """Return what the plan says about these services."""
        return Plan(
            actions=tuple(one for one in self.actions if one.service in services),
            notes=tuple(one for one in self.notes if one.service in services),
            unknowns=tuple(one for one in self.unknowns if one.service in services),
            refusals=tuple(one for one in self.refusals if one.service in services),
        )

    def with_advice(self, notes: Iterable[Note], refusals: Iterable[Note]) -> Plan:
        """Return the plan with what choosing has to say beside it."""
        return replace(self, notes=(*self.notes, *notes), refusals=(*self.refusals, *refusals))

    def __str__(self) -> str:
        lines = [str(action) for action in self.actions]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"unknown: {note}" for note in self.unknowns]
        lines += [f"refused: {note}" for note in self.refusals]
        return "\n".join([*lines, self.summary])


def _lasting(action: Action, start_up_s: Mapping[str, float]) -> Action:
    if not action.impact or action.launch is None or action.launch.role is not Role.REPLICA:
        return action
    if action.service not in start_up_s:
        return action
    return replace(action, impact=f"{action.impact}, about {_length(start_up_s[action.service])}")


def _length(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < MINUTE_S else f"{math.ceil(seconds / MINUTE_S)} min"


def _identity(action: Action) -> dict[str, Any]:
    return {
        "action": str(action),
        "devices": action.launch.devices if action.launch else (),
        "new": action.new.id if action.new else None,
        "old": action.old.id if action.old else None,
        "wave": action.wave,
    }
