"""What was applied of a service, one after another; and what a rollback goes back to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from enova.core.forecast import Forecast
from enova.core.forecast_data import forecast_as_data, forecast_in
from enova.core.lockfile import Entry, lock_in, lock_text
from enova.core.spec import Service


class Cause(StrEnum):
    """Why a revision was made."""

    CHANGE = "change"
    """A spec was applied."""
    ROLLBACK = "rollback"
    """An earlier revision was, in place of what the files say."""
    REMOVAL = "removal"
    REPAIR = "repair"
    """The version that was applied was restored, after something else had changed what runs."""


class Ending(StrEnum):
    """What became of a revision."""

    APPLIED = "applied"
    FAILED = "failed"
    """What was started does not serve: there is no use in trying this version again."""
    HINDERED = "hindered"
    """Something around it failed: nothing is known to be wrong with it."""
    STOPPED = "stopped"
    """Interrupted on request: nothing is known to be wrong with it."""
    ADVISED = "advised"
    """It was only said what would be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One plan that was carried out for one service. It names secrets by reference only, as specs do."""

    number: int = 0
    """Among all that are kept, from 1 on; 0: not kept yet."""
    at_s: float
    """Unix time, when it was over."""
    service: str
    cause: Cause
    command: str
    """What was run: `enova apply`."""
    who: str = ""
    """`user@host`."""
    why: str = ""
    """In the words of who did it."""
    source: str = ""
    """The file the spec is from."""
    git_revision: str = ""
    spec: Mapping[str, Any]
    """As far as it was written; empty for a removal."""
    lock: str = ""
    """The lock file's text of what was chosen for it; empty: nothing was."""
    digest: str
    """Of what was wanted: equal digests are one and the same version (see digest_of)."""
    instead_of: str = ""
    """For a rollback: the digest of the version it stands in for, until the files say something else."""
    actions: tuple[str, ...] = ()
    """The lines of the plan."""
    forecast: Forecast | None = None
    ending: Ending
    reason: str = ""
    """Why it failed or stopped, with the last words of the engine."""

    @property
    def written(self) -> Service:
        """Return the spec. Raises ValidationError where this version of Enova does not take it any more."""
        return Service.model_validate_json(json.dumps(self.spec))

    @property
    def chosen(self) -> dict[str, Entry]:
        """Return what was chosen for it, as a lock. Raises LockError where that is damaged."""
        return lock_in(self.lock, f"revision {self.number}") if self.lock else {}


def spec_of(service: Service) -> dict[str, Any]:
    """Return a spec as it is kept: what the user wrote, and no more."""
    return service.model_dump(mode="json", by_alias=True, exclude_unset=True)


def digest_of(service: Service, entry: Entry | None) -> str:
    """Return 16 hex digits over a spec and what was chosen for it."""
    wanted = {"spec": spec_of(service), "chosen": dict(entry.chosen) if entry else {}}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]


def lock_of(service: str, entry: Entry | None) -> str:
    """Return what was chosen as the text of a lock file."""
    return lock_text({service: entry}) if entry else ""


def stalled(newest: Revision | None, digest: str) -> Revision | None:
    """Return the failure of this very version, if it is the last that was tried."""
    return newest if newest and newest.ending is Ending.FAILED and newest.digest == digest else None


def deciding(revisions: Sequence[Revision]) -> list[Revision]:
    """Return those that say what is wanted: repairs and advice change nothing about it."""
    return [one for one in revisions if one.cause is not Cause.REPAIR and one.ending is not Ending.ADVISED]


def before(revisions: Sequence[Revision]) -> Revision | None:
    """Return the newest revision that was applied and is another version than the last that was tried.

    `revisions` are oldest first.
    """
    decided = deciding(revisions)
    return next(
        (
            one
            for one in reversed(decided)
            if one.ending is Ending.APPLIED and one.spec and one.digest != decided[-1].digest
        ),
        None,
    )


def revision_as_data(revision: Revision) -> dict[str, Any]:
    """Return a revision as plain JSON."""
    return {name: getattr(revision, name) for name in Revision.__dataclass_fields__} | {
        "cause": str(revision.cause),
        "ending": str(revision.ending),
        "spec": dict(revision.spec),
        "actions": list(revision.actions),
        "forecast": None if revision.forecast is None else forecast_as_data(revision.forecast),
    }


def revision_in(data: Mapping[str, Any], number: int) -> Revision:
    """Read back what `revision_as_data` made."""
    forecast = data["forecast"]
    changed = {
        "number": number,
        "cause": Cause(data["cause"]),
        "ending": Ending(data["ending"]),
        "actions": tuple(data["actions"]),
        "forecast": None if forecast is None else forecast_in(forecast),
    }
    return Revision(**(dict(data) | changed))
