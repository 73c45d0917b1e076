"""What a replica can do at best, in microseconds of arithmetic instead of a simulation: it prunes, nothing else.

A request costs its share of the steps that make its answer, and what its prompt adds to the step that it shares
with as many other prompts as fit. Simulated fleets under more traffic than they can serve reach 0.6 to 1.01 of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.engine.step_time import Chunk, StepTime
from enova.core.recommend.demand import Demand
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import QUANTILES, Metric, ModelError

SLACK = 1.05
"""How far above its estimate the best case is taken to be, so that a bound does not throw away the answer."""

MEAN_OVER_MEDIAN = 1.3


@dataclass(frozen=True, slots=True)
class Bounds:
    """The best case of one replica."""

    most_per_s: float
    """Requests/s that can be served, with the promise on TPOT kept by the mean; 0: it cannot be kept."""
    batch: int
    """Sequences at which that is reached."""
    broken: tuple[tuple[Promise, float], ...]
    """Promises that not even a lone request keeps, and the seconds it takes."""


def bounds_of(replica: ReplicaSetup, demand: Demand, promises: tuple[Promise, ...], error: ModelError) -> Bounds:
    """Return the bounds of a replica under a demand."""
    step_time, limits = replica.step_time, replica.limits
    kv_tokens = limits.kv_blocks // max(1, limits.pages.full_groups) * limits.pages.block_size
    context = demand.prompt_tokens + demand.output_tokens / 2
    most = int(max(1, min(limits.max_num_seqs, kv_tokens / max(1.0, context))))
    # The mean is kept where a higher percentile is, model error included; the median may be below it.
    targets = [
        promise.target_s
        * (MEAN_OVER_MEDIAN if promise.statistic == "p50" else SLACK)
        / error.of(step_time.origin, promise.metric, promise.statistic).high
        for promise in promises
        if promise.metric in (Metric.TPOT, Metric.ITL)
    ]
    target_s = min(targets, default=float("inf"))
    best, batch = 0.0, 1
    for size in _sizes(most):
        decode_s = _decode_s(step_time, size, context)
        prompt_s = _prompt_s(replica, demand.computed_tokens, size, context)
        tokens = demand.output_tokens / limits.tokens_per_step
        per_s = 1 / (tokens * decode_s / size + prompt_s)
        # Prompts of the others come between a sequence's own steps.
        if decode_s + prompt_s * size / tokens <= target_s and per_s > best:
            best, batch = per_s, size
    return Bounds(best, batch, tuple(_alone(replica, demand, promises, error)))


def decode_seats(step_time: StepTime, demand: Demand, target_s: float, most: int) -> int:
    """Return the largest batch whose pure decode steps take no longer than a target; 0: not even one."""
    context = demand.prompt_tokens + demand.output_tokens / 2
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _decode_s(step_time, middle, context) <= target_s:
            low = middle
        else:
            high = middle - 1
    return low


def _sizes(most: int) -> list[int]:
    sizes, size = [], 1
    while size < most:
        sizes.append(size)
        size = max(size + 1, size * 5 // 4)
    return [*sizes, most]


def _decode_s(step_time: StepTime, size: int, context: float) -> float:
    kv_tokens = size * context
    window = min(kv_tokens, float(size * step_time.window_tokens)) if step_time.window_tokens else 0.0
    return step_time.step_s([], size, kv_tokens, window)


def _prompt_s(replica: ReplicaSetup, tokens: float, size: int, context: float) -> float:
    """Return what a prompt adds to a step, alone or with as many others as fit into it, whichever is less."""
    step_time, kv_tokens = replica.step_time, size * context
    window = min(kv_tokens, float(size * step_time.window_tokens)) if step_time.window_tokens else 0.0
    without_s = step_time.step_s([], size, kv_tokens, window)
    chunk = Chunk(max(1, round(tokens)), 0, True)
    together = max(1, min(size, int(replica.limits.max_num_batched_tokens // max(1.0, tokens))))
    added = [
        (step_time.step_s([chunk] * count, size, kv_tokens, window) - without_s) / count for count in (1, together)
    ]
    return max(0.0, min(added))


def _alone(
    replica: ReplicaSetup, demand: Demand, promises: tuple[Promise, ...], error: ModelError
) -> list[tuple[Promise, float]]:
    """Return the promises that a request on an idle replica breaks, even where the model is too slow."""
    step_time, frontend = replica.step_time, replica.frontend
    broken = []
    for promise in promises:
        share = QUANTILES.get(promise.statistic, 0.5)
        prompt = demand.prompt_at(share)
        if demand.shared:
            prompt = max(1, round(prompt * (1 - demand.shared)))
        if promise.metric is Metric.TTFT:
            chunk_tokens = min(prompt, replica.limits.max_num_batched_tokens)
            alone_s = frontend.arrival_s(prompt) + step_time.step_s([Chunk(chunk_tokens, 0, True)], 0, 0, 0)
        elif promise.metric in (Metric.TPOT, Metric.ITL):
            alone_s = _decode_s(step_time, 1, demand.prompt_tokens) / replica.limits.tokens_per_step
        else:
            continue
        factor = error.of(step_time.origin, promise.metric, promise.statistic).low
        if alone_s * factor > promise.target_s:
            broken.append((promise, alone_s))
    return broken
