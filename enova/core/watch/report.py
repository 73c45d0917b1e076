"""What a daemon says of itself: written after every look, read by `enova status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA_VERSION = 1
SETTLED = frozenset({"as written", "gone"})
"""What nothing is left to do about; what is gone from the specs is left as it is on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """One service, as its daemon sees it."""

    in_force: str
    """`as written`, `last good`, `rolled back`, `stalled`, or `gone`."""
    reason: str = ""
    doing: tuple[str, ...] = ()
    """The lines of the plan that is being carried out."""
    would: tuple[str, ...] = ()
    """What an adviser would do."""
    waits: str = ""
    """Why nothing is done although there is something to do."""
    scaling: str = ""
    """What its autoscaler sees and decides, where it has one."""
    traffic: str = ""
    """What goes on in it right now; empty: nobody looks."""
    unmeasured: tuple[str, ...] = ()
    """What of that is not known, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The daemon of one set of specs."""

    source: str
    """A folder, a file, or git+URL#branch:folder."""
    holder: str
    """`pid 12 on host`."""
    pid: int
    since_s: float
    """Unix time it began to lead."""
    at_s: float
    """Unix time of the last look."""
    interval_s: float
    revision: str = ""
    """What the specs are from, where they are from git."""
    last_good: str = ""
    """The last revision all of which was in force and in sync."""
    advisory: bool = False
    problems: tuple[str, ...] = ()
    """What is wrong with the specs, each with its place."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at."""
    refusal: str = ""
    """Why services whose specs are gone are not removed."""
    services: Mapping[str, ServiceReport] = field(default_factory=dict)

    @property
    def in_sync(self) -> bool:
        """Return whether all is as the specs say."""
        quiet = all(
            one.in_force in SETTLED and not (one.doing or one.would or one.waits) for one in self.services.values()
        )
        return quiet and not (self.problems or self.unseen or self.refusal)


def report_as_data(report: Report) -> dict[str, Any]:
    """Return a report as plain JSON."""
    return {"schema_version": SCHEMA_VERSION, **asdict(report)}


def report_in(data: Mapping[str, Any]) -> Report:
    """Read back what `report_as_data` made. Raises KeyError, TypeError or ValueError for anything else."""
    values = dict(data)
    if values.pop("schema_version") != SCHEMA_VERSION:
        raise ValueError("another version of Enova wrote it")
    services = {name: ServiceReport(**_tuples(one)) for name, one in values.pop("services").items()}
    return Report(**_tuples(values), services=services)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
