"""The search: shapes by what they could cost at best, each with the fewest replicas that keep the promises.

Branch and bound: a shape whose best case costs more than what was found already is not simulated. The best case
takes the bound of a replica's throughput (enova.core.recommend.bounds), so the order in which shapes are listed
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from enova.core.recommend.bounds import SLACK, decode_seats
from enova.core.recommend.fields import pinned
from enova.core.recommend.limits import Allowed
from enova.core.recommend.shape import Lost, Shape, shape_with
from enova.core.recommend.trial import Bench, Trial
from enova.core.simulate.promises import Promise
from enova.core.simulate.results import Metric

MOST_REPLICAS = 1024
"""No more are tried of one shape; a shape that needs more is the wrong one."""
NEAR = 4
"""Times the fewest replicas that could do: up to there the most that are allowed are tried at once."""
IDLE_SHARE = 1 / 50
"""Of a replica's best throughput: what is broken there is broken at any rate."""
BATCHED_TOKENS = (2048, 1024, 512)
"""Smaller steps, so that prompts hold up decoding less."""
MORE_BATCHED_TOKENS = (16_384,)


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
    found: list[Found] = []
    lost: list[Lost] = []
    ordered = sorted(shapes, key=lambda shape: _best_case(bench, shape, allowed))
    for shape in ordered:
        best = min(found, key=Found.order, default=None)
        outcome = _fewest(bench, shape, allowed, best)
        (found if isinstance(outcome, Found) else lost).append(outcome)  # type: ignore[arg-type]
    found.sort(key=Found.order)
    return Searched(best=found[0] if found else None, others=tuple(found[1:]), lost=tuple(lost))


def least_replicas(bench: Bench, shape: Shape, allowed: Allowed) -> int:
    """Return the fewest replicas that could do, from bounds alone; MOST_REPLICAS + 1: no number would."""
    most_per_s = bench.bounds(shape).most_per_s
    if not most_per_s:
        return MOST_REPLICAS + 1
    if bench.demand.closed:
        return allowed.least
    wanted = bench.demand.peak * bench.demand.burst
    return max(allowed.least, math.ceil(wanted / (SLACK * most_per_s)))


def _best_case(bench: Bench, shape: Shape, allowed: Allowed) -> tuple[Any, ...]:
    try:
        least = least_replicas(bench, shape, allowed)
    except KeyError:
        least = MOST_REPLICAS + 1
    return (*_cost(shape, least), *shape.order())


def _cost(shape: Shape, replicas: int) -> tuple[float, float, int]:
    price, gpus = shape.usd_per_h, replicas * shape.setup.gpus
    if price is None:
        return 1.0, 0.0, gpus
    # In tenths of a cent: rounding of sums must not decide what ties should.
    return 0.0, round(price * replicas, 3), gpus


def _fewest(bench: Bench, shape: Shape, allowed: Allowed, best: Found | None) -> Found | Lost:
    """Return the shape with the fewest replicas that will do, or why it is out."""
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
    if best is not None and (*_cost(shape, least), *shape.order()) > best.order():
        cost = _cost(shape, least)
        if cost[:2] != best.order()[:2]:
            return lost("costs more at best", least)
        return lost("costs as much, and takes more GPUs or changes more of vLLM's defaults", least)
    limit = _affordable(shape, most, best)
    return _search_number(bench, shape, least, limit) or lost(_why_not(bench, shape, limit, why), least)


def _affordable(shape: Shape, most: float, best: Found | None) -> float:
    """Return the most replicas with which the shape is not dearer than the best one."""
    if best is None or best.usd_per_h is None or not shape.usd_per_h:
        return most
    return min(most, math.floor(best.usd_per_h / shape.usd_per_h + 1e-9))


def _search_number(bench: Bench, shape: Shape, least: int, limit: float) -> Found | None:
    """Return the fewest replicas from `least` on that will do, None if not even `limit` of them do."""
    if bench.demand.closed:
        # With more replicas than users nobody has one less to share with.
        limit = min(limit, max(least, math.ceil(bench.demand.peak * bench.demand.burst)))
    if least > limit:
        return None
    first = _any(bench, shape, least)
    if first is not None:
        return Found(trial=first, replicas=least)
    high = min(limit, MOST_REPLICAS)
    # Where there is a way already, most others are out with this one look at as many as it may cost.
    kept = _any(bench, shape, high) if high <= NEAR * least else None
    if kept is None and (high <= NEAR * least or not _could_ever(bench, shape)):
        return None
    low, step = least, 1
    while kept is None:
        number = int(min(low + step, high))
        if number <= low:
            return None
        kept = _any(bench, shape, number)
        if kept is None:
            low, step = number, 2 * step
        else:
            high = number
    while high - low > 1:
        middle = int((low + high) // 2)
        trial = _any(bench, shape, middle)
        if trial is None:
            low = middle
        else:
            kept, high = trial, middle
    return Found(trial=kept, replicas=int(high))


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
        trial = bench.trial(variant, replicas)
        if trial.kept:
            return trial
    return None


def variants(bench: Bench, trial: Trial) -> Iterator[Shape]:
    """Yield shapes with other batch limits that may keep what this trial broke, the likeliest first."""
    question, shape = bench.question, trial.shape
    service = question.service
    broken = {promise.metric for promise in trial.broken}
    seats_open = not pinned(service, "engine.max_num_seqs")
    tokens_open = not pinned(service, "engine.max_num_batched_tokens")
    between = [promise.target_s for promise in trial.broken if promise.metric in (Metric.TPOT, Metric.ITL)]
    changes: list[dict[str, Any]] = []
    if between and seats_open:
        changes += [{"engine.max_num_seqs": seats} for seats in _seats(bench, shape, min(between))]
    if between and tokens_open:
        smaller = [tokens for tokens in BATCHED_TOKENS if tokens < shape.setup.max_num_batched_tokens]
        changes += [{"engine.max_num_batched_tokens": tokens} for tokens in smaller[:2]]
        if changes and smaller and seats_open and "engine.max_num_seqs" in changes[0]:
            changes.append(changes[0] | {"engine.max_num_batched_tokens": smaller[0]})
    if Metric.TTFT in broken and not between and tokens_open and shape.setup.gpu.vendor != "cpu":
        larger = [tokens for tokens in MORE_BATCHED_TOKENS if tokens > shape.setup.max_num_batched_tokens]
        changes += [{"engine.max_num_batched_tokens": tokens} for tokens in larger]
    for change in changes:
        merged = dict(shape.chosen) | change
        seats = int(merged.get("engine.max_num_seqs") or shape.setup.max_num_seqs)
        tokens = int(merged.get("engine.max_num_batched_tokens") or shape.setup.max_num_batched_tokens)
        if tokens >= seats:
            yield shape_with(question, shape.pool, merged)


def _seats(bench: Bench, shape: Shape, target_s: float) -> list[int]:
    """Return batch sizes that keep decode steps within a target on TPOT, with room for prompts in between."""
    most = shape.setup.max_num_seqs
    step_time = bench.replica(shape).step_time
    factor = bench.question.evidence.error.of(step_time.origin, Metric.TPOT).high
    found = [decode_seats(step_time, bench.demand, share * target_s / factor, most) for share in (0.9, 0.6)]
    rounded = [_rounded(seats) for seats in found if 0 < seats < most]
    return list(dict.fromkeys(rounded))


def _rounded(seats: int) -> int:
    """Return a number of seats people would write: a power of two, or one and a half times one."""
    power = 1 << (seats.bit_length() - 1)
    return power + power // 2 if seats >= power + power // 2 > power else power


def _why_not(bench: Bench, shape: Shape, limit: float, why: str) -> str:
    trials = bench.trials_of(shape)
    idle = trials.get(_idle(bench, shape)) if not bench.demand.closed else None
    if idle is not None and idle.broken:
        return _broken_words(idle) + (" even with little traffic" if idle.results.served else "")
    tried = [trial for trial in trials.values() if trial.replicas <= limit]
    if not tried:
        return "costs more at best"
    last = max(tried, key=lambda trial: trial.replicas)
    number = f"{last.replicas:g} replica{'s' if last.replicas != 1 else ''}"
    if last.piles_up and not last.broken:
        return never_served(last) or f"requests pile up with {number}" + (f", and {why}" if why else "")
    reason = f"{_broken_words(last)} with {number}"
    return reason + (f", and {why}" if why and limit <= last.replicas else "; more would cost more")


def never_served(trial: Trial) -> str:
    """Return why requests are not served, whatever the number of replicas; empty where all can be."""
    reasons = ", ".join(trial.results.reasons)
    which = "some requests are" if trial.results.served else "no request is"
    return f"{which} ever served: {reasons}" if reasons else ""


def _broken_words(trial: Trial) -> str:
    if not trial.results.served:
        return never_served(trial)
    words = [
        over(promise, trial.results.of(promise.metric, promise.statistic).band.high) for promise in trial.broken
    ]
    return ", ".join(words)


def over(promise: Promise, taken_s: float) -> str:
    """Return by how much a promise is broken: `ttft.p95 up to 640 ms, promised 500 ms`."""
    return f"{promise.metric}.{promise.statistic} up to {_ms(taken_s)}, promised {_ms(promise.target_s)}"


def _ms(value_s: float) -> str:
    return f"{value_s:.3g} s" if value_s >= 1 else f"{1000 * value_s:.3g} ms"
