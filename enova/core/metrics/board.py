"""All that is watched, and the last quarter of an hour of it: samples go in, what is known of a service comes out.

Whatever a target says or does not say, it is a sample that counts, or it is a reason why the target is Unknown.
Silence, nonsense and old news are never taken for idleness.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.core.metrics.gateway_page import ATTEMPTS, GatewayLook, arrived
from enova.core.metrics.series import KEPT_S, Group, Increase, Key, Series
from enova.core.metrics.target import COUNTED, Gauges, Target, absurd, counters_of, gauges_of
from enova.core.metrics.vitals import (
    LATENCY_WINDOW_S,
    WINDOWS_S,
    Quantiles,
    ReplicaVitals,
    Vitals,
    histogram_in,
    quantiles_of,
    unseen_replica,
)
from enova.core.observed import Unknown

STALE_AFTER = 3
"""Intervals without a good sample, after which what was last seen says nothing of now."""
MOST_REQUESTS_PER_S = 1e5
"""To one gateway."""
MOST_PER_S = 1e8
"""Of anything that a replica counts."""
SILENT_S = 60.0
SILENT_ATTEMPTS = 5.0
"""Requests handed to a replica within `SILENT_S`, of which at least one must show in what it says."""


@dataclass(slots=True)
class _Watched:
    target: Target
    series: Series = field(default_factory=Series)
    gauges: Gauges | None = None
    began_s: float | None = None
    """When its process began, as it says itself."""
    why: Unknown | None = field(default_factory=lambda: Unknown("it was not looked at yet"))
    """Why there is no sample of the last look; None: there is."""
    gone_s: float | None = None

    def stale(self, now_s: float, stale_s: float) -> Unknown | None:
        """Return why its last sample says nothing of now; None: it does."""
        seen_s = self.series.last_s
        if seen_s is None:
            return self.why or Unknown("it was not looked at yet")
        if now_s - seen_s <= stale_s:
            return None
        return self.why or Unknown("nobody looks at it any more")


@dataclass(slots=True)
class Board:
    """Every time is one of a monotonic clock, so that no jump of the wall clock ages anything."""

    interval_s: float = 5.0
    """Between looks."""
    _watched: dict[str, _Watched] = field(default_factory=dict)

    def watch(self, targets: Collection[Target], now_s: float) -> None:
        """Take in what there is now. What is gone is kept for as long as windows reach back."""
        there = {one.id: one for one in targets}
        for name, target in there.items():
            known = self._watched.setdefault(name, _Watched(target))
            known.target, known.gone_s = target, None
        for name, one in list(self._watched.items()):
            if name not in there and one.gone_s is None:
                one.gone_s = now_s
            elif one.gone_s is not None and now_s - one.gone_s > KEPT_S:
                del self._watched[name]

    def begin(self, target_id: str, raw: Mapping[Key, float], began_s: float | None) -> None:
        """Go on from what an earlier Enova saw last of a target."""
        one = self._watched.get(target_id)
        if one is not None and one.series.last_s is None:
            one.series.begin(raw)
            one.began_s = began_s

    def targets(self) -> tuple[Target, ...]:
        """Return all that is watched, and what is gone and not forgotten."""
        return tuple(one.target for one in self._watched.values())

    def raw(self, target_id: str) -> tuple[Mapping[Key, float], float | None]:
        """Return what the next Enova has to begin with."""
        one = self._watched[target_id]
        return one.series.raw, one.began_s

    def last_s(self, target_id: str) -> float | None:
        """Return when the last good sample of a target was taken; None: there is none."""
        one = self._watched.get(target_id)
        return one.series.last_s if one else None

    def take(self, target_id: str, look: Look | GatewayLook | Unknown, at_s: float) -> Mapping[Key, float] | None:
        """Take in a look at a target, and return what its counters grew by; None: the look does not count."""
        one = self._watched.get(target_id)
        if one is None:
            return None
        grown = self._taken(one, look, at_s)
        if isinstance(grown, Unknown):
            one.why = grown
            return None
        one.why = None
        return grown

    def vitals(self, service: str, now_s: float) -> Vitals:
        """Return what is known of a service."""
        own = [one for one in self._watched.values() if one.target.service == service]
        gateways = [one for one in own if one.target.gateway]
        replicas = [one for one in own if not one.target.gateway]
        attempts = self._attempts(gateways)
        there = sorted((one for one in replicas if one.gone_s is None), key=lambda one: one.target.name)
        gateway_seen_s = self._gateway_seen_s(gateways, now_s)
        why = gateway_seen_s if isinstance(gateway_seen_s, Unknown) else None
        vitals = {one.target.name: self._replica(one, attempts, now_s) for one in there}
        lately = [one.series.over(LATENCY_WINDOW_S) for one in there]
        unseen = next((one.running for one in vitals.values() if isinstance(one.running, Unknown)), None)
        return Vitals(
            at_s=now_s,
            arrived_per_s=why or _latest(gateways),
            arrived_over={window_s: why or _over(gateways, window_s, now_s) for window_s in WINDOWS_S},
            gateway_seen_s=gateway_seen_s,
            replicas=vitals,
            ttft=unseen or _quantiles(lately, "ttft"),
            tpot=unseen or _quantiles(lately, "tpot", "itl"),
        )

    def histogram(self, service: str, metric: str, over_s: float) -> Histogram | None:
        """Return what came into the histogram of a latency of a service's replicas; None: nothing did."""
        own = [one for one in self._watched.values() if one.target.service == service and not one.target.gateway]
        grown = [increase for one in own if isinstance(increase := one.series.over(over_s), Increase)]
        found = [histogram for one in grown if (histogram := histogram_in(one, metric)) is not None]
        try:
            return reduce(add, found) if found else None
        except ValueError:
            return None

    def _taken(
        self, one: _Watched, look: Look | GatewayLook | Unknown, at_s: float
    ) -> Mapping[Key, float] | Unknown:
        if isinstance(look, Unknown):
            return look
        if isinstance(look, GatewayLook):
            wrong = absurd(look.counters) or _leaps(one.series, at_s, look.counters, MOST_REQUESTS_PER_S)
            if wrong:
                return wrong
            return one.series.add(at_s, look.counters, anew=one.series.fallen(look.counters))
        gauges = gauges_of(look)
        if isinstance(gauges, Unknown):
            return gauges
        counters = counters_of(look)
        if isinstance(counters, Unknown):
            return counters
        anew = _leaps(one.series, at_s, counters, MOST_PER_S) or _anew(one, look.started_s, counters)
        if isinstance(anew, Unknown):
            return anew
        one.gauges = gauges
        one.began_s = one.began_s if look.started_s is None else look.started_s
        return one.series.add(at_s, counters, anew=anew)

    def _gateway_seen_s(self, gateways: Sequence[_Watched], now_s: float) -> float | Unknown:
        there = [one for one in gateways if one.gone_s is None]
        if not there:
            return Unknown("no gateway runs")
        for one in there:
            why = one.stale(now_s, STALE_AFTER * self.interval_s)
            if why:
                return Unknown(f"{one.target.name}: {why.reason}")
        return max(now_s - (one.series.last_s or 0.0) for one in there)

    def _attempts(self, gateways: Sequence[_Watched]) -> dict[str, float]:
        """Return how many requests each worker was handed lately."""
        found: dict[str, float] = {}
        for one in gateways:
            increase = one.series.over(SILENT_S)
            if isinstance(increase, Increase) and one.gone_s is None:
                for (kind, worker), count in increase.counts.items():
                    if kind == ATTEMPTS:
                        found[str(worker)] = found.get(str(worker), 0.0) + count
        return found

    def _replica(self, one: _Watched, attempts: Mapping[str, float], now_s: float) -> ReplicaVitals:
        seen_s = Unknown("it was never seen") if one.series.last_s is None else now_s - one.series.last_s
        minute, lately = one.series.over(SILENT_S), one.series.over(LATENCY_WINDOW_S)
        why = one.stale(now_s, STALE_AFTER * self.interval_s) or _silent(one, minute, attempts)
        if why or one.gauges is None:
            return unseen_replica(seen_s, why or one.why or Unknown("it was not looked at yet"))
        use = one.gauges.kv_use
        return ReplicaVitals(
            seen_s=seen_s,
            running=one.gauges.running,
            waiting=one.gauges.waiting,
            kv_use=Unknown("its metrics do not tell kv_use") if use is None else use,
            finished_per_s=_rate(minute, "finished"),
            ttft=_quantiles([lately], "ttft"),
            tpot=_quantiles([lately], "tpot", "itl"),
        )


def _anew(one: _Watched, started_s: float | None, counters: Mapping[Key, float]) -> Collection[Group] | Unknown:
    """Return what of a replica was started anew. Unknown: its counters fell, and nothing was.

    Of its counters a replica's latencies are not asked: a page is written while they are counted, so that one
    that is worked out from two may be a little behind.
    """
    everything = frozenset(key[0] for key in counters)
    if None not in (one.began_s, started_s) and one.began_s != started_s:
        return everything
    if not one.series.fallen({key: value for key, value in counters.items() if key[1] in COUNTED}):
        return ()
    # A page that lacks its past for once would be counted as all of it again by the next.
    same = one.began_s is not None and one.began_s == started_s
    return Unknown("its counters fell, and yet it was not started anew") if same else everything


def _leaps(series: Series, at_s: float, counters: Mapping[Key, float], most_per_s: float) -> Unknown | None:
    """Return that a counter grew faster than anything can; None: none did."""
    if series.last_s is None:
        return None
    most, raw = most_per_s * (at_s - series.last_s), series.raw
    leapt = next((key for key, value in counters.items() if value - raw.get(key, 0.0) > most), None)
    return leapt and Unknown(f"its metrics say that {leapt[1]} grew faster than it can")


def total(counts: Mapping[Key, float], name: str) -> float:
    """Return what all engines of a replica counted of a field."""
    return sum(count for (_, of), count in counts.items() if of == name)


def _rate(increase: Increase | Unknown, name: str) -> float | Unknown:
    return increase if isinstance(increase, Unknown) else total(increase.counts, name) / increase.seconds


def _silent(one: _Watched, minute: Increase | Unknown, attempts: Mapping[str, float]) -> Unknown | None:
    """Return that a replica shows nothing of what it was handed; None: it does, or was handed little."""
    handed = attempts.get(one.target.worker_url, 0.0)
    if handed < SILENT_ATTEMPTS or isinstance(minute, Unknown) or minute.seconds < SILENT_S / 2:
        return None
    busy = one.gauges is not None and one.gauges.running + one.gauges.waiting > 0
    if busy or any(total(minute.counts, name) for name in COUNTED):
        return None
    return Unknown(f"its gateway handed it {handed:.0f} requests within a minute, and its metrics show none")


def _latest(gateways: Sequence[_Watched]) -> float | Unknown:
    """Return what came between the last two samples of the gateways that are there."""
    rate = 0.0
    for one in gateways:
        if one.gone_s is None:
            increase = one.series.latest()
            if isinstance(increase, Unknown):
                return increase
            rate += arrived(increase.counts) / increase.seconds
    return rate


def _over(gateways: Sequence[_Watched], window_s: float, now_s: float) -> float | Unknown:
    """Return what came to gateways in a window, those included that were replaced in it."""
    came, longest_s = 0.0, 0.0
    for one in gateways:
        last_s = one.series.last_s
        if last_s is None or last_s <= now_s - window_s:
            continue
        increase = one.series.over(window_s - (now_s - last_s))
        if isinstance(increase, Increase):
            came += arrived(increase.counts)
            longest_s = max(longest_s, increase.seconds + (now_s - last_s if one.gone_s is not None else 0.0))
        elif one.gone_s is None:
            return increase
    return came / longest_s if longest_s else Unknown("it was seen only once so far")


def _quantiles(lately: Sequence[Increase | Unknown], *metrics: str) -> Quantiles | Unknown:
    """Return quantiles of the first of the metrics that the replicas have."""
    some = [one for one in lately if isinstance(one, Increase)]
    if not some:
        return next((one for one in lately if isinstance(one, Unknown)), Unknown("no replica runs"))
    found: Quantiles | Unknown = Unknown("no request was answered in this time")
    for metric in metrics:
        found = quantiles_of(histogram_in(one, metric) for one in some)
        if not isinstance(found, Unknown):
            return found
    return found
