"""From a question to the cheapest answer, or to why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from enova.core.inventory import Inventory
from enova.core.recommend.demand import SAMPLE, Demand, warm_up_s
from enova.core.recommend.fields import GPU, REPLICAS, pinned
from enova.core.recommend.limits import Allowed, allowed_of
from enova.core.recommend.nearest import binding_of, closest_of, found_of, nearest_of
from enova.core.recommend.pins import pin_costs
from enova.core.recommend.question import Question
from enova.core.recommend.recommendation import (
    Considered,
    Infeasible,
    Outcome,
    Point,
    Recommendation,
    considered_of,
)
from enova.core.recommend.search import Found, search
from enova.core.recommend.shape import Lost, Shape, shapes_of
from enova.core.recommend.trial import REQUESTS, Bench
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.results import Metric

ROOM_TO_GROW = 2
"""Times the replicas that are needed now: scaling.max, where neither user, budget nor inventory says less."""
WORTH_SHARING = 0.2
"""Share of prompt tokens that other prompts begin with, from which on routing by prefix is tried."""
BETTER_BY = 0.1
"""Share by which a policy has to be faster than round robin to be chosen."""
MAX_TOKENS_SHARE = 0.99
"""Of the answers of a class, as long as max_tokens is advised to be."""
MAX_TOKENS_STEP = 64


def recommend(question: Question, *, rentable: Inventory = Inventory()) -> Outcome:  # noqa: B008 - frozen
    """Return the cheapest way to keep every promise, or why there is none.

    Args:
        question: what is wanted, and what there is.
        rentable: kinds of GPU that are suggested where nothing there is will do.
    """
    shapes, lost = shapes_of(question)
    allowed = allowed_of(question.service)
    if question.demand is None:
        return _without_traffic(question, shapes, lost, allowed)
    bench = Bench(question, question.demand)
    searched = search(bench, shapes, allowed)
    considered = considered_of(found_of(searched), [*searched.lost, *lost], searched.best)
    if searched.best is not None:
        best = searched.best
        policy = _policy(bench, best)
        return replace(
            _answer(question, best.shape, best.replicas, best, considered, policy),
            pins=tuple(pin_costs(question, best)),
            points=_points(bench),
        )
    closest = closest_of(bench, shapes, allowed)
    fallback = None
    if closest is not None:
        found = Found(trial=closest, replicas=int(closest.replicas))
        fallback = _answer(question, closest.shape, int(closest.replicas), found, considered, None)
    return Infeasible(
        binding=binding_of(shapes, [*searched.lost, *lost], closest),
        considered=considered,
        nearest=tuple(nearest_of(question, bench, shapes, allowed, closest, rentable)),
        fallback=fallback,
        points=_points(bench),
    )


def _without_traffic(question: Question, shapes: list[Shape], lost: list[Lost], allowed: Allowed) -> Outcome:
    """Return the cheapest way in which the model starts; how many replicas it takes, only traffic could tell."""
    replicas = allowed.least
    roomy = [shape for shape in shapes if allowed.replicas(shape)[0] >= replicas]
    best = min(
        roomy, key=lambda shape: (shape.usd_per_h is None, shape.usd_per_h or 0.0, shape.order()), default=None
    )
    considered = tuple(
        Considered(
            shape.words,
            replicas,
            None if shape.usd_per_h is None else replicas * shape.usd_per_h,
            "chosen" if shape is best else "starts" if shape in roomy else allowed.replicas(shape)[1],
        )
        for shape in sorted(shapes, key=lambda shape: (shape is not best, shape.order()))
    )
    considered += considered_of([], lost, None)
    if best is None:
        reasons = [f"scaling.min is {replicas}, and {allowed.replicas(shape)[1]}" for shape in shapes]
        binding = reasons[0] if reasons else binding_of(shapes, lost, None)
        return Infeasible(binding=binding, considered=considered, nearest=(), fallback=None)
    return _answer(question, best, replicas, None, considered, None)


def _answer(
    question: Question,
    shape: Shape,
    replicas: int,
    found: Found | None,
    considered: tuple[Considered, ...],
    policy: str | None,
) -> Recommendation:
    service = question.service
    chosen: dict[str, Any] = dict(shape.chosen)
    kinds = {pool.gpu.name for pool in question.inventory.pools}
    if shape.gpus and (found is not None or len(kinds) > 1):
        chosen[GPU] = shape.pool.gpu.name
    if policy is not None:
        chosen["gateway.policy"] = policy
    if found is not None and question.demand is not None:
        if not pinned(service, REPLICAS):
            chosen[REPLICAS] = replicas
        if not pinned(service, "scaling.min"):
            chosen["scaling.min"] = _fewest(question.demand, replicas)
        if not pinned(service, "scaling.max"):
            most = allowed_of(service).replicas(shape)[0]
            chosen["scaling.max"] = max(replicas, int(min(most, ROOM_TO_GROW * replicas)))
    return Recommendation(
        shape=shape,
        replicas=replicas,
        found=found,
        chosen=dict(sorted(chosen.items())),
        why=dict(sorted(_why(question, shape, replicas, chosen, found).items())),
        considered=considered,
        max_tokens=_max_tokens(question.demand) if question.demand else {},
    )


def _fewest(demand: Demand, replicas: int) -> int:
    """Return the replicas that the quietest traffic takes, in proportion."""
    if not demand.peak:
        return replicas
    # 3 x 0.1 / 0.1 is a bit more than 3.
    return max(1, math.ceil(replicas * demand.trough / demand.peak - 1e-9))


def _why(
    question: Question, shape: Shape, replicas: int, chosen: Mapping[str, Any], found: Found | None
) -> dict[str, str]:
    demand, price = question.demand, shape.usd_per_h
    cost = "" if price is None else f" at {price * replicas:.2f} USD/h"
    traffic = ""
    if demand is not None:
        unit = " users" if demand.closed else "/s"
        traffic = f"{demand.burst:g} x {demand.peak:g}{unit}"
    promised = ", ".join(
        f"{promise.metric}.{promise.statistic} <= {1000 * promise.target_s:g} ms" for promise in question.promises
    )
    promise = f"{traffic} with {promised}" if promised else traffic
    kept = found is None or found.trial.kept
    reasons = {
        GPU: f"the cheapest that will do{cost}" if found else "the cheapest on which it starts",
        REPLICAS: f"the fewest that hold {promise}",
        "engine.tensor_parallel_size": f"with it, {replicas} x {shape.gpus} GPUs will do{cost}"
        if found
        else "the fewest GPUs on which it starts",
        "engine.pipeline_parallel_size": "the model cannot be shared by ranks alone",
        "engine.max_num_seqs": "with more, decode steps take longer than promised",
        "engine.max_num_batched_tokens": "so that prompts and decode steps hold each other up less",
        "engine.max_model_len": "the longest for which a whole sequence fits into memory",
        "engine.gpu_memory_utilization": "it does not start with less",
        "engine.kv_cache_dtype": "allowed by may_quantize, and it takes less",
        "engine.quantization": "allowed by may_quantize, and it takes less",
        "gateway.policy": "prompts that begin alike find their prefix cached",
        "scaling.min": "what the quietest traffic takes",
        "scaling.max": f"{ROOM_TO_GROW} times what is needed, as far as budget and inventory go",
    }
    if not kept:
        closest = f"nothing holds {promise}; this comes closest{cost}"
        reasons |= dict.fromkeys((GPU, REPLICAS, "engine.tensor_parallel_size"), closest)
    return {field: reasons[field] for field in chosen}


def _policy(bench: Bench, best: Found) -> str | None:
    """Return cache_aware where it is faster than round robin, by simulating both; None: leave the default."""
    service = bench.question.service
    shared = bench.demand.shared >= WORTH_SHARING
    if best.replicas < 2 or not shared or pinned(service, "gateway.policy"):
        return None
    medians = {}
    for policy in ("round_robin", "cache_aware"):
        load, rate = bench.demand.share(1)
        requests = REQUESTS * best.replicas
        results = run_of(
            [bench.replica(best.shape)] * best.replicas,
            load,
            Conditions(policy=policy, requests=requests, warmup_s=warm_up_s(load, requests, rate)),
        )
        medians[policy] = results.of(Metric.TTFT, "p95").value
    return "cache_aware" if medians["cache_aware"] < (1 - BETTER_BY) * medians["round_robin"] else None


def _max_tokens(demand: Demand) -> dict[str, int]:
    lengths: dict[str, list[int]] = {}
    for request in demand.load.requests(SAMPLE):
        lengths.setdefault(request.kind, []).append(request.output_tokens)
    return {
        kind: int(math.ceil(float(np.quantile(tokens, MAX_TOKENS_SHARE)) / MAX_TOKENS_STEP) * MAX_TOKENS_STEP)
        for kind, tokens in sorted(lengths.items())
    }


def _points(bench: Bench) -> tuple[Point, ...]:
    """Return what was tried with whole replicas under the burst, for a picture of cost against latency."""
    promises = bench.question.promises
    metric, statistic = promises[0][:2] if promises else (Metric.TTFT, "p95")
    found: list[Point] = []
    for (_, replicas, times), trial in bench.trials.items():
        price = trial.shape.usd_per_h
        if price is None or replicas != int(replicas) or times != bench.demand.burst:
            continue
        value, band = trial.results.of(metric, statistic)
        if math.isfinite(value) and trial.results.served:
            latency = f"{metric}.{statistic}"
            count = int(replicas)
            high_s = trial.bad_end_s(promises[0]) if promises else band.high
            found.append(Point(trial.shape.words, count, price * count, latency, value, high_s, trial.kept))
    return tuple(sorted(found))
