"""The search: shapes by what they could cost at best, each with the fewest replicas that keep the promises.

Best first: the next number of replicas is tried of the shape whose best case is the cheapest. At first that is as
the bounds have it (enova.core.recommend.bounds), and it rises with every number that will not do. The search ends
when no best case is cheaper than what was found. So the order in which shapes are listed changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from enova.core.recommend.bounds import SLACK
from enova.core.recommend.limits import Allowed
from enova.core.recommend.shape import Lost, Shape
from enova.core.recommend.trial import Bench, Trial
from enova.core.recommend.variants import variants
from enova.core.simulate.promises import Promise

MOST_REPLICAS = 1024
"""No more are tried of one shape; a shape that needs more is the wrong one."""
IDLE_SHARE = 1 / 50
"""Of a replica's best throughput: what is broken there is broken at any rate."""
NEAR = 4
"""Times the fewest replicas that could do: up to there the most that are allowed are tried at once."""
PATIENCE = 2
"""Numbers of replicas that are tried before it is asked whether any number would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A way that keeps the promises."""

    trial: Trial
    replicas: int

    @property
    def shape(self) -> Shape:
        """Return the way one replica is run."""
        return self.trial.shape

    @property
    def usd_per_h(self) -> float | None:
        """Return what all replicas cost; None: no price is known."""
        price = self.shape.usd_per_h
        return None if price is None else self.replicas * price

    def order(self) -> tuple[Any, ...]:
        """Return what is compared: dollars, GPUs, changes of defaults, name. What has no price comes last."""
        return (*_cost(self.shape, self.replicas), *self.shape.order())


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What became of every way."""

    best: Found | None
    others: tuple[Found, ...]
    """That keep the promises too, by cost."""
    lost: tuple[Lost, ...]


def search(bench: Bench, shapes: Sequence[Shape], allowed: Allowed) -> Searched:
    """Return the cheapest way among shapes within what is allowed."""
    lost: list[Lost] = []
    hunts: list[Hunt] = []
    for shape in sorted(shapes, key=Shape.order):
        begun = _begun(bench, shape, allowed)
        (hunts if isinstance(begun, Hunt) else lost).append(begun)  # type: ignore[arg-type]
    best: Found | None = None
    waiting = [(hunt.best_case(), place) for place, hunt in enumerate(hunts)]
    heapify(waiting)
    while waiting and (best is None or waiting[0][0] <= best.order()):
        _, place = heappop(waiting)
        hunt = hunts[place]
        hunt.probe(_affordable(hunt, best))
        if hunt.found is not None and (best is None or hunt.found.order() < best.order()):
            best = hunt.found
        if not hunt.over:
            heappush(waiting, (hunt.best_case(), place))
    found = sorted((hunt.found for hunt in hunts if hunt.found and hunt.over), key=Found.order)
    lost += [_lost(hunt, best) for hunt in hunts if not (hunt.found and hunt.over)]
    return Searched(best=best, others=tuple(one for one in found if one is not best), lost=tuple(lost))


@dataclass(slots=True)
class Hunt:
    """The search for the fewest replicas of one shape that keep the promises, one number of them at a time."""

    bench: Bench
    shape: Shape
    least: int
    """Fewer will not do."""
    most: float
    """More are not allowed."""
    why: str
    """What says so."""
    found: Found | None = None
    """The fewest known to do."""
    over: bool = False
    """Whether `found` are the fewest, or none will do."""
    tried: int = 0

    def best_case(self) -> tuple[Any, ...]:
        """Return what it would be in the order of Found with the fewest replicas that may do."""
        return (*_cost(self.shape, self.least), *self.shape.order())

    def probe(self, limit: float) -> None:
        """Try one more number of replicas, but none above a limit."""
        number = self._next(limit)
        doubtful = self.tried == PATIENCE and self.found is None
        if number < self.least or (doubtful and not _could_ever(self.bench, self.shape)):
            self.over = True
            return
        self.tried += 1
        trial = _any(self.bench, self.shape, number)
        if trial is None:
            self.least = number + 1
        else:
            self.found = Found(trial=trial, replicas=number)
        self.over = self.found is not None and self.found.replicas <= self.least

    def _next(self, limit: float) -> int:
        if self.found is not None:
            return (self.least - 1 + self.found.replicas) // 2
        if self.tried and limit <= NEAR * self.least:
            # Most shapes are out with this one look at as many as they may cost.
            return int(limit)
        # From below: a few more replicas usually do, and each trial of many is as long as one of few.
        return int(min(self.least - 1 + (1 << max(0, self.tried - 1)), limit))


def least_replicas(bench: Bench, shape: Shape, allowed: Allowed) -> int:
    """Return the fewest replicas that could do, from bounds alone; MOST_REPLICAS + 1: no number would."""
    most_per_s = bench.bounds(shape).most_per_s
    if not most_per_s:
        return MOST_REPLICAS + 1
    if bench.demand.closed:
        return allowed.least
    wanted = bench.demand.peak * bench.demand.burst
    return max(allowed.least, math.ceil(wanted / (SLACK * most_per_s)))


def _cost(shape: Shape, replicas: int) -> tuple[float, float, int]:
    price, gpus = shape.usd_per_h, replicas * shape.setup.gpus
    if price is None:
        return 1.0, 0.0, gpus
    # In tenths of a cent: rounding of sums must not decide what ties should.
    return 0.0, round(price * replicas, 3), gpus


def _begun(bench: Bench, shape: Shape, allowed: Allowed) -> Hunt | Lost:
    """Return the search for a shape, or why it is out from the start."""
    try:
        bounds, least = bench.bounds(shape), least_replicas(bench, shape, allowed)
    except KeyError as missing:
        return Lost(words=shape.words, reason=f"nothing was measured of GPUs like it ({missing})")
    most, why = allowed.replicas(shape)

    def lost(reason: str, replicas: int | None = None) -> Lost:
        price = shape.usd_per_h
        usd = price * replicas if price is not None and replicas is not None else None
        return Lost(words=shape.words, reason=reason, usd_per_h=usd)

    if allowed.usd_per_h is not None and shape.usd_per_h is None:
        return lost("no price is known for it, so budget.cost cannot be held; ENOVA_PRICES can say one")
    if bounds.broken:
        return lost(
            "; ".join(f"{over(promise, taken_s)} for a request alone" for promise, taken_s in bounds.broken)
        )
    if not bounds.most_per_s:
        return lost("its decode steps take longer than promised, at any batch size")
    if most < 1:
        return lost(f"one replica is more than is allowed: {why}", 1)
    if allowed.least > most:
        return lost(f"scaling.min is {allowed.least}, and {why}")
    if least > most:
        return lost(f"needs at least {least} replicas, and {why}", least)
    most = min(most, MOST_REPLICAS)
    if bench.demand.closed:
        # With more replicas than users nobody has one less to share with.
        most = min(most, max(least, math.ceil(bench.demand.peak * bench.demand.burst)))
    return Hunt(bench, shape, least, most, why)


def _affordable(hunt: Hunt, best: Found | None) -> float:
    """Return the most replicas with which a shape is not dearer than the best one."""
    price = hunt.shape.usd_per_h
    if best is None or best.usd_per_h is None or not price:
        return hunt.most
    return min(hunt.most, math.floor(best.usd_per_h / price + 1e-9))


def _lost(hunt: Hunt, best: Found | None) -> Lost:
    """Return why a shape is not among those that will do."""
    shape, price = hunt.shape, hunt.shape.usd_per_h
    reason = _why_not(hunt, _affordable(hunt, best))
    if reason is None and best is not None and _cost(shape, hunt.least)[:2] == best.order()[:2]:
        reason = "costs as much, and takes more GPUs or changes more of vLLM's defaults"
    usd = None if price is None else price * hunt.least
    return Lost(words=shape.words, reason=reason or "costs more at best", usd_per_h=usd)


def _could_ever(bench: Bench, shape: Shape) -> bool:
    """Tell whether promises are kept where there is hardly any traffic; more replicas do not help else."""
    if bench.demand.closed:
        return True
    return _any(bench, shape, _idle(bench, shape)) is not None


def _idle(bench: Bench, shape: Shape) -> float:
    """Return among how many replicas the traffic is shared where there is hardly any for each."""
    wanted = bench.demand.peak * bench.demand.burst
    return max(1.0, wanted / (IDLE_SHARE * bench.bounds(shape).most_per_s))


def _any(bench: Bench, shape: Shape, replicas: float) -> Trial | None:
    """Return the first trial that will do, of the shape as it is and then of its variants."""
    plain = bench.trial(shape, replicas)
    if plain.kept:
        return plain
    for variant in variants(bench, plain):
        if _could_serve(bench, variant, replicas):
            trial = bench.trial(variant, replicas)
            if trial.kept:
                return trial
    return None


def _could_serve(bench: Bench, shape: Shape, replicas: float) -> bool:
    """Tell whether so many replicas with these seats may serve as much as comes, from bounds alone."""
    if bench.demand.closed or "engine.max_num_seqs" not in shape.chosen:
        return True
    return bench.demand.peak * bench.demand.burst <= SLACK * bench.bounds(shape).most_per_s * replicas


def _why_not(hunt: Hunt, limit: float) -> str | None:
    """Return what is broken with as many replicas as were tried up to a limit; None: nothing was tried."""
    bench, shape, why = hunt.bench, hunt.shape, hunt.why
    trials = bench.trials_of(shape)
    idle = trials.get(_idle(bench, shape)) if not bench.demand.closed else None
    if idle is not None and idle.broken:
        return broken_words(idle) + (" even with little traffic" if idle.results.served else "")
    tried = [trial for trial in trials.values() if trial.replicas <= limit and not trial.kept]
    if not tried:
        return None
    last = max(tried, key=lambda trial: trial.replicas)
    number = f"{last.replicas:g} replica{'s' if last.replicas != 1 else ''}"
    if last.piles_up and not last.broken:
        return never_served(last) or f"requests pile up with {number}" + (f", and {why}" if why else "")
    reason = f"{broken_words(last)} with {number}"
    return reason + (f", and {why}" if why and limit <= last.replicas else "; more would cost more")


def never_served(trial: Trial) -> str:
    """Return why requests are not served, whatever the number of replicas; empty where all can be."""
    reasons = ", ".join(trial.results.reasons)
    which = "some requests are" if trial.results.served else "no request is"
    return f"{which} ever served: {reasons}" if reasons else ""


def broken_words(trial: Trial) -> str:
    """Return by how much each promise is broken, or why nothing is served."""
    if not trial.results.served:
        return never_served(trial)
    words = [over(promise, trial.bad_end_s(promise)) for promise in trial.broken]
    return ", ".join(words)


def over(promise: Promise, taken_s: float) -> str:
    """Return by how much a promise is broken: `ttft.p95 up to 640 ms, promised 500 ms`."""
    return f"{promise.metric}.{promise.statistic} up to {_ms(taken_s)}, promised {_ms(promise.target_s)}"


def _ms(value_s: float) -> str:
    return f"{value_s:.3g} s" if value_s >= 1 else f"{1000 * value_s:.3g} ms"
