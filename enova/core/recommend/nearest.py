"""Where nothing will do: which constraint binds, by how much, and the nearest change that makes it feasible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from enova.core.inventory import Inventory
from enova.core.recommend.limits import Allowed
from enova.core.recommend.question import Question
from enova.core.recommend.recommendation import Nearest
from enova.core.recommend.search import Found, Searched, broken_words, never_served, search
from enova.core.recommend.shape import Lost, Shape, shapes_of
from enova.core.recommend.trial import Bench, Trial

TIMES_TOLERANCE = 0.05
"""Relative width at which the search for the traffic that can be held ends."""
LEAST_TIMES = 0.01
AS_CLOSE = 1.02
"""Times as far off as the closest, and still called as close."""


def binding_of(shapes: Sequence[Shape], lost: Sequence[Lost], closest: Trial | None) -> str:
    """Return the constraint that binds, in words."""
    if not shapes and not lost:
        return "nothing is left to run it on, others have all there is"
    if closest is None:
        reasons = "; ".join(sorted({f"{one.words}: {one.reason}" for one in lost})[:3])
        return reasons if shapes else f"the model does not start on anything there is: {reasons}"
    number = f"{closest.replicas:g} x " if closest.replicas != 1 else ""
    return f"the closest there is, {number}{closest.shape.words}: {missed(closest)}"


def missed(trial: Trial) -> str:
    """Return what a trial misses: that requests pile up, or by how much promises are broken."""
    if trial.piles_up:
        served = trial.replicas * trial.results.requests_per_s.value
        return never_served(trial) or f"requests pile up, it serves about {served:.3g}/s"
    return broken_words(trial)


def closest_of(bench: Bench, shapes: Sequence[Shape], allowed: Allowed) -> Trial | None:
    """Return the trial that misses the promises by least, with as many replicas as are allowed."""
    trials = []
    for shape in shapes:
        most, _ = allowed.replicas(shape)
        number = _number(bench, most, allowed)
        if number < max(1, allowed.least):
            continue
        try:
            trials.append(bench.trial(shape, number))
        except KeyError:
            continue
    if not trials:
        return None
    # What piles up is ranked by the traffic it can hold, which the bound tells.
    closest = min(
        trials,
        key=lambda trial: (
            trial.excess(),
            -trial.replicas * bench.bounds(trial.shape).most_per_s,
            trial.shape.order(),
        ),
    )
    return closest if closest.piles_up else _fewest_as_close(bench, closest, allowed)


def _fewest_as_close(bench: Bench, closest: Trial, allowed: Allowed) -> Trial:
    """Return the fewest replicas that come as close: money alone does not keep a promise."""
    low, high, best = max(1, allowed.least), int(closest.replicas), closest
    while low < high:
        middle = (low + high) // 2
        trial = bench.trial(closest.shape, middle)
        if trial.excess() <= AS_CLOSE * closest.excess():
            high, best = middle, trial
        else:
            low = middle + 1
    return best


def _number(bench: Bench, most: float, allowed: Allowed) -> int:
    if math.isfinite(most):
        return int(most)
    return max(allowed.least, math.ceil(bench.demand.peak * bench.demand.burst) if not bench.demand.closed else 1)


def nearest_of(
    question: Question,
    bench: Bench,
    shapes: Sequence[Shape],
    allowed: Allowed,
    closest: Trial | None,
    rentable: Inventory,
) -> Iterator[Nearest]:
    """Yield changes, each enough by itself: more budget, looser promises, less traffic, another GPU."""
    free = replace(allowed, gpus=None, usd_per_h=None, most=None)
    richer = search(bench, shapes, free).best or search(bench, shapes, replace(free, room=False)).best
    if richer is not None:
        yield from _limits(richer, allowed)
    if closest is not None:
        yield from _looser(closest)
        yield from _less(bench, closest)
    yield from _other_gpus(question, bench, allowed, rentable)


def _limits(found: Found, allowed: Allowed) -> Iterator[Nearest]:
    """Yield all that has to give way for what was found: less of it is not enough."""
    usd, gpus, shape = found.usd_per_h, found.replicas * found.shape.gpus, found.shape
    room = shape.pool.replicas(shape.gpus) if shape.gpus else None
    needed: dict[str, str] = {}
    if allowed.usd_per_h is not None and usd is not None and usd > allowed.usd_per_h:
        needed["budget.cost"] = f"{math.ceil(100 * usd - 1e-9) / 100:g} USD/h"
    if allowed.gpus is not None and gpus > allowed.gpus:
        needed["budget.gpus"] = str(gpus)
    if allowed.most is not None and found.replicas > allowed.most:
        needed["scaling.max"] = str(found.replicas)
    if room is not None and found.replicas > room:
        needed["inventory"] = f"{gpus} x {shape.pool.gpu.name}"
    if needed:
        yield Nearest(", ".join(needed), ", ".join(needed.values()), _words(found))


def _looser(closest: Trial) -> Iterator[Nearest]:
    if closest.piles_up or not closest.broken:
        return
    targets = {promise: _two_digits(closest.bad_end_s(promise)) for promise in closest.broken}
    field = ", ".join(f"slo.{promise.metric}.{promise.statistic}" for promise in targets)
    value = ", ".join(_duration(target_s) for target_s in targets.values())
    yield Nearest(field, value, f"{closest.replicas:g} x {closest.shape.words}")


def _less(bench: Bench, closest: Trial) -> Iterator[Nearest]:
    """Yield the share of the traffic that the closest way holds."""
    if bench.demand.closed:
        return
    low, high = LEAST_TIMES, 1.0
    burst, shape, replicas = bench.demand.burst, closest.shape, closest.replicas
    if not bench.trial(shape, replicas, times=low * burst).kept:
        return
    while high / low > 1 + TIMES_TOLERANCE:
        middle = math.sqrt(low * high)
        if bench.trial(shape, replicas, times=middle * burst).kept:
            low = middle
        else:
            high = middle
    rate = low * bench.demand.peak
    yield Nearest("injection", f"{rate:.3g}/s at its peak", f"{replicas:g} x {shape.words}")


def _other_gpus(question: Question, bench: Bench, allowed: Allowed, rentable: Inventory) -> Iterator[Nearest]:
    here = {pool.gpu.name for pool in question.inventory.pools}
    pools = tuple(pool for pool in rentable.pools if pool.gpu.name not in here and pool.gpu.price is not None)
    if not pools:
        return
    elsewhere = replace(question, inventory=Inventory(pools=pools))
    shapes, _ = shapes_of(elsewhere)
    found = search(Bench(elsewhere, bench.demand), shapes, allowed).best
    if found is not None:
        yield Nearest("placement.gpu_types", found.shape.pool.gpu.name, _words(found))


def found_of(searched: Searched) -> list[Found]:
    """Return all that keep the promises."""
    return [*([searched.best] if searched.best else []), *searched.others]


def _words(found: Found) -> str:
    price = "" if found.usd_per_h is None else f" at {found.usd_per_h:.2f} USD/h"
    return f"{found.replicas} x {found.shape.words}{price}"


def _two_digits(value_s: float) -> float:
    """Return a time rounded up to two digits, so that the promise is kept."""
    digits = 1 - math.floor(math.log10(value_s))
    scale = 10.0**digits
    return math.ceil(value_s * scale) / scale


def _duration(value_s: float) -> str:
    return f"{value_s:g}s" if value_s >= 1 else f"{1000 * value_s:g}ms"
