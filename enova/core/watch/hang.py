"""Replicas that run, get traffic and answer nothing: noticed over several looks, never in one."""

from __future__ import annotations

from dataclasses import dataclass, field

from enova.core.launch import Role
from enova.core.observed import Health, Instance, Observed, State

LOOKS = 3
SECONDS = 15.0
"""A replica may miss a check while it compiles a kernel or its machine is busy; neither lasts that long."""


@dataclass(slots=True)
class Hangs:
    """What was seen of each replica that does not answer, since it was first seen so."""

    _seen: dict[str, list[float]] = field(default_factory=dict)
    """Instance id -> when it was looked at, seconds of a clock that does not jump."""

    def look(self, observed: Observed, at_s: float) -> dict[str, str]:
        """Take in one look, and return which instances hang, with how that was seen.

        Looking twice at one time is one look. What could not be looked at keeps what is known of it.
        """
        routed = {url for urls in observed.routes.values() if isinstance(urls, frozenset) for url in urls}
        found = {instance.id: instance for instance in observed.instances()}
        for gone in [one for one in self._seen if one in found and not _silent(found[one], routed)]:
            del self._seen[gone]
        for instance in found.values():
            if _silent(instance, routed):
                times = self._seen.setdefault(instance.id, [])
                if not times or times[-1] < at_s:
                    times.append(at_s)
        return {
            one: f"it runs and has answered no health check for {times[-1] - times[0]:.0f} s"
            for one, times in self._seen.items()
            if one in found and len(times) >= LOOKS and times[-1] - times[0] >= SECONDS
        }

    @property
    def suspects(self) -> bool:
        """Return whether any is to be looked at again soon."""
        return bool(self._seen)

    def forget(self, seen: Observed) -> None:
        """Drop what is gone for good, as far as everything could be looked at."""
        there = {instance.id for instance in seen.instances()}
        self._seen = {one: times for one, times in self._seen.items() if one in there}


def _silent(instance: Instance, routed: set[str]) -> bool:
    """One that is not routed to is on its way up or down."""
    serves = instance.role is Role.REPLICA and instance.state is State.RUNNING
    return serves and instance.health is Health.UNHEALTHY and instance.worker_url in routed
