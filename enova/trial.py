"""Watch new replicas beside old ones for a while, and say what the new ones do worse."""

from __future__ import annotations

from collections.abc import Sequence

from enova.core.canary import Canary, Side, side_of, worse
from enova.core.ledger.window import Look, window_of
from enova.core.observed import Unknown
from enova.core.runtime import Report
from enova.errors import ApplyError, Interrupted, ObserveError
from enova.wait import Stop
from enova.world import World

LOOK_EVERY_S = 5.0
LONGEST = 3.0
"""Times the duration: so long it is waited for enough answers, or for metrics that could not be read."""


def watch_trial(
    world: World, new: Sequence[str], old: Sequence[str], canary: Canary, report: Report, stop: Stop
) -> tuple[str, ...]:
    """Return in what the replicas at `new` do worse than those at `old`; nothing: they may be followed.

    Errors end the trial at once. Raises ApplyError, which is worth another try, where nothing could be seen of
    them, and Interrupted on request.
    """
    began_s = world.now()
    before = {url: _look(world, url) for url in (*new, *old)}
    while True:
        world.pause(min(LOOK_EVERY_S, canary.duration_s))
        if stop.is_set():
            raise Interrupted("interrupted", hint="it goes on serving; apply again to try it anew")
        passed_s = world.now() - began_s
        sides = [_side(world, urls, before) for urls in (new, old)]
        unseen = next((side for side in sides if isinstance(side, Unknown)), None)
        seen = [side for side in sides if isinstance(side, Side)]
        found = worse(seen[0], seen[1], canary) if len(seen) == len(sides) else ()
        if found and (passed_s >= canary.duration_s or seen[0].errors):
            return found
        enough = len(seen) == len(sides) and all(side.enough for side in seen)
        if passed_s >= canary.duration_s and (enough or passed_s >= LONGEST * canary.duration_s):
            if unseen:
                raise ApplyError(
                    f"the canary could not be judged: {unseen.reason}", hint="apply again to try it anew"
                )
            report("passed" if enough else "passed: too few requests to judge by")
            return ()
        report(f"on trial: {passed_s:.0f} of {canary.duration_s:.0f} s")


def _side(world: World, urls: Sequence[str], before: dict[str, Look | Unknown]) -> Side | Unknown:
    windows = []
    for url in urls:
        then, now = before[url], _look(world, url)
        if isinstance(then, Unknown):
            # What could not be read at the beginning is compared from now on.
            before[url] = now
            return then
        if isinstance(now, Unknown):
            return now
        window = window_of(then, now)
        if isinstance(window, Unknown):
            before[url] = now
            return window
        windows.append(window)
    try:
        return side_of(windows)
    except ValueError as error:
        return Unknown(str(error))


def _look(world: World, url: str) -> Look | Unknown:
    try:
        return world.metrics(url, world.now)
    except ObserveError as error:
        return Unknown(error.message)
