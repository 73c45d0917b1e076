"""Look at the metrics of services' replicas twice, and say what happened between. Unknown where a look failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from enova.core.launch import Kind, Role
from enova.core.ledger.records import Measurement
from enova.core.ledger.window import Look, Window, measurement_of, window_of
from enova.core.observed import Instance, Observed, State, Unknown
from enova.errors import ObserveError
from enova.observe import LOOKS_AT_ONCE, observe
from enova.world import World

SAID_EVERY_S = 10.0

Outcome = Measurement | Unknown | None
"""None: no request was answered, so that there is nothing to measure."""
Looks = list[Look] | Unknown
"""At all replicas of a service, in their order."""


class Measuring(NamedTuple):
    """What became of each service, sorted by name, and why runtimes could not be looked at."""

    outcomes: Mapping[str, Outcome]
    unseen: tuple[str, ...]


def measure(
    world: World,
    *,
    needed: Collection[str],
    services: Collection[str] | None,
    length_s: float,
    began_s: float,
    say: Callable[[str], None] = lambda _: None,
) -> Measuring:
    """Measure services for `length_s` from now, which is `began_s` as Unix time; None: all that run.

    The `needed` runtimes must answer: a service that was not found may run in one that did not.
    """
    observed = observe(world, needed=needed, gpus=False)
    unseen = tuple(look.reason for look in observed.runtimes.values() if isinstance(look, Unknown))
    replicas = _replicas(observed)
    names = sorted(replicas if services is None else services)
    unfit = {name: _unfit(replicas.get(name, []), unseen) for name in names}
    outcomes: dict[str, Outcome] = {name: Unknown(reason) for name, reason in unfit.items() if reason}
    before = _looks(world, {name: replicas[name] for name in names if not unfit[name]})
    outcomes |= {name: looks for name, looks in before.items() if isinstance(looks, Unknown)}
    watched = {name: replicas[name] for name in before if name not in outcomes}
    if watched:
        _wait(world, length_s, say)
        after = _looks(world, watched)
        again = _replicas(observe(world, needed=needed, gpus=False))
        for name, own in watched.items():
            changed = {replica.id for replica in own} != {replica.id for replica in again.get(name, [])}
            outcomes[name] = _outcome(own, before[name], after[name], changed=changed, began_s=began_s)
    return Measuring({name: outcomes[name] for name in names}, unseen)


def _replicas(observed: Observed) -> dict[str, list[Instance]]:
    """Return the running replicas of each service."""
    found: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in observed.instances():
        if instance.role is Role.REPLICA and instance.state is State.RUNNING:
            found[instance.service].append(instance)
    return dict(found)


def _unfit(replicas: Sequence[Instance], unseen: Sequence[str]) -> str:
    """Return why a service cannot be measured now; empty: it can."""
    if not replicas:
        return unseen[0] if unseen else "no replica of it runs"
    if len({replica.fingerprint for replica in replicas}) > 1:
        return "its replicas are being replaced: they have different settings"
    return next((f"{replica.target} has no address" for replica in replicas if replica.url is None), "")


def _looks(world: World, replicas: Mapping[str, Sequence[Instance]]) -> dict[str, Looks]:
    """Return looks at the replicas of each service, all at once."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="measure") as pool:
        asked = {name: [pool.submit(_look, world, replica) for replica in own] for name, own in replicas.items()}
        return {name: _whole([future.result() for future in futures]) for name, futures in asked.items()}


def _look(world: World, replica: Instance) -> Look | Unknown:
    try:
        return world.metrics(replica.url or "", world.now)
    except ObserveError as error:
        return Unknown(f"{replica.target}: {error.message}")


def _whole(looks: Sequence[Look | Unknown]) -> Looks:
    """Return all looks, or why one of them failed: a sum without it would be too small."""
    seen = [look for look in looks if isinstance(look, Look)]
    return next((look for look in looks if isinstance(look, Unknown)), seen)


def _wait(world: World, length_s: float, say: Callable[[str], None]) -> None:
    until_s = world.now() + length_s
    left_s = length_s
    while left_s > 0:
        world.pause(min(left_s, SAID_EVERY_S))
        left_s = until_s - world.now()
        if left_s > 0:
            say(f"{length_s - left_s:.0f} of {length_s:.0f} s")


def _outcome(
    replicas: Sequence[Instance], before: Looks, after: Looks, *, changed: bool, began_s: float
) -> Outcome:
    if isinstance(before, Unknown):
        return before
    if isinstance(after, Unknown):
        return after
    if changed:
        return Unknown("its replicas changed meanwhile")
    windows: list[Window] = []
    for replica, then, now in zip(replicas, before, after, strict=True):
        window = window_of(then, now)
        if isinstance(window, Unknown):
            return Unknown(f"{replica.target}: {window.reason}")
        windows.append(window)
    return measurement_of(
        windows,
        service=replicas[0].service,
        fingerprint=replicas[0].fingerprint,
        began_s=began_s,
        emulated=any(replica.settings.get("engine.kind") == Kind.EMULATED for replica in replicas),
    )
