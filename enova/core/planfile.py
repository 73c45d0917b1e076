"""A plan as JSON: what `plan -o json` prints, what `plan --out` saves, and what `apply PLANFILE` reads back.

The shape is stable; `schema_version` counts its breaking changes:

    kind             "Plan"
    schema_version   1
    enova_version    who made it
    prune            whether services that no spec names are removed
    in_sync          true if nothing has to be done and everything could be looked at
    checksum         digest of what would be done and to what; it moves when the world or the specs move
    summary          the closing line in words
    actions          [{verb, target, service, cause, changes: [{field, old, new}], impact, wave, emulated}]
    notes, unknowns, refusals
                     [{service, message, hint}]
    resolved         {service: [{field, value, provenance, why}]}: who decided what
    chosen           {lock: text of a lock file}: what was chosen where specs leave something open; {}: nothing
    services         the specs, as far as they were written

It names secrets by reference only, as the specs do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from enova.core.lockfile import Lock, lock_in, lock_text
from enova.core.plan import Action, Note, Plan
from enova.core.resolve import Choice, Resolved
from enova.core.revision import spec_of
from enova.core.spec import Service
from enova.errors import LockError, PlanRefused

SCHEMA_VERSION = 1
KIND = "Plan"
MAKE_ANEW = "make it anew with `enova plan --out FILE`"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What is needed to make the same plan again and to tell whether it is the same."""

    services: tuple[Service, ...]
    prune: bool
    checksum: str
    lock: Lock


def to_json(
    plan: Plan, resolved: Sequence[Resolved], lock: Lock = MappingProxyType({}), *, prune: bool, enova_version: str
) -> dict[str, Any]:
    """Return the plan and what it was made from. `lock` is what was chosen, and is in force when it is applied."""
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "enova_version": enova_version,
        "prune": prune,
        "in_sync": plan.exit_code == 0,
        "checksum": plan.checksum,
        "summary": plan.summary,
        "actions": [_action(action) for action in plan.actions],
        "notes": [_note(note) for note in plan.notes],
        "unknowns": [_note(note) for note in plan.unknowns],
        "refusals": [_note(note) for note in plan.refusals],
        "resolved": {one.service.name: [_choice(choice) for choice in one.choices] for one in resolved},
        "chosen": {"lock": lock_text(lock)} if lock else {},
        "services": [spec_of(one.written) for one in resolved],
    }


def is_planfile(text: str) -> bool:
    """Tell a saved plan from a spec by its content: only a plan is a JSON object of this kind."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        # A plan that was cut off must be called that, not a spec with strange keys.
        return f'"kind": "{KIND}"' in text[:200]
    return isinstance(data, dict) and data.get("kind") == KIND


def from_json(text: str) -> SavedPlan:
    """Read back what `to_json` made. Raises PlanRefused, saying what is wrong with the file."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanRefused("the saved plan is damaged: it is not whole JSON", hint=MAKE_ANEW) from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise PlanRefused("this is not a saved plan", hint=MAKE_ANEW)
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        message = f"the saved plan has schema_version {version}, this Enova reads {SCHEMA_VERSION}"
        raise PlanRefused(message, hint=MAKE_ANEW)
    services, prune, checksum = data.get("services"), data.get("prune"), data.get("checksum")
    if not isinstance(services, list) or not isinstance(prune, bool) or not isinstance(checksum, str):
        raise PlanRefused("the saved plan is damaged: services, prune or checksum is missing", hint=MAKE_ANEW)
    return SavedPlan(tuple(_read_service(item) for item in services), prune, checksum, _read_lock(data))


def _read_service(data: Any) -> Service:
    try:
        return Service.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PlanRefused(f"the saved plan is damaged: {place}: {first['msg']}", hint=MAKE_ANEW) from error


def _read_lock(data: dict[str, Any]) -> Lock:
    chosen = data.get("chosen")
    text = chosen.get("lock") if isinstance(chosen, dict) else None
    if not isinstance(text, str):
        return {}
    try:
        return lock_in(text, "the saved plan")
    except LockError as error:
        raise PlanRefused(f"the saved plan is damaged: {error.message}", hint=MAKE_ANEW) from error


def _action(action: Action) -> dict[str, Any]:
    return {
        "verb": str(action.verb),
        "target": action.target,
        "service": action.service,
        "cause": action.cause,
        "changes": [{"field": c.field, "old": c.old, "new": c.new} for c in action.changes],
        "impact": action.impact,
        "wave": action.wave,
        "emulated": action.emulated,
    }


def _note(note: Note) -> dict[str, str]:
    return {"service": note.service, "message": note.message, "hint": note.hint}


def _choice(choice: Choice) -> dict[str, Any]:
    return {"field": choice.field, "value": choice.value, "provenance": str(choice.provenance), "why": choice.why}
