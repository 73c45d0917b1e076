"""What is expected of a service as it is run: its fleet behind the router, under the traffic that is stated."""

from __future__ import annotations

import math

from enova.core.forecast import Forecast, forecast_of
from enova.core.forecast_data import forecast_as_data, forecast_in
from enova.core.recommend.demand import Demand, warm_up_s
from enova.core.recommend.question import Question
from enova.core.recommend.shape import Shape
from enova.core.simulate.changes import retries_of
from enova.core.simulate.forecast import ENOUGH_REQUESTS, Conditions, run_of
from enova.core.simulate.results import ModelError
from enova.core.spec import Service

LEARNT = "bands are learnt from what was measured of this service (`enova ledger`)"
LONG_ENOUGH_S = 120.0
MOST_REQUESTS = 20_000


def expect(
    question: Question, shape: Shape, replicas: int, service: Service, learnt: ModelError | None = None
) -> Forecast | None:
    """Return the forecast of so many replicas; None where no traffic is stated.

    Waves and stages are taken at their peak, without the burst that is planned for beyond it.

    Args:
        question: the promises, and the traffic they are made for.
        shape: how one replica is run.
        replicas: how many of them.
        service: whose gateway spreads the requests.
        learnt: how wrong forecasts of this very service were, in place of what is known of all.
    """
    demand = question.demand
    if demand is None:
        return None
    part = _part(demand, replicas)
    load, rate = demand.share(replicas / part)
    requests = _requests(demand, rate)
    results = run_of(
        [question.evidence.replica(shape.setup)] * part,
        load,
        Conditions(
            policy=service.gateway.policy or "round_robin",
            retries=retries_of(service.gateway),
            sensitivity=True,
            requests=requests,
            warmup_s=warm_up_s(load, requests, rate),
            promises=question.promises,
            error=learnt or question.evidence.error,
        ),
    )
    price = shape.usd_per_h
    forecast = forecast_of(
        results,
        question.promises,
        gpu=shape.pool.gpu.name,
        gpus=replicas * shape.gpus,
        replicas=replicas,
        usd_per_h=None if price is None else replicas * price,
        times=replicas / part,
        notes=(LEARNT,) if learnt else (),
    )
    # With the digits that a lock file keeps: made anew or read from there, it is the same.
    return forecast_in(forecast_as_data(forecast))


def _part(demand: Demand, replicas: int) -> int:
    """Return how many of the replicas are simulated, with their share of the traffic: all, unless it is a lot."""
    if demand.closed:
        return replicas
    wanted = LONG_ENOUGH_S * demand.peak
    return replicas if wanted <= MOST_REQUESTS else max(1, math.floor(replicas * MOST_REQUESTS / wanted))


def _requests(demand: Demand, rate: float | None) -> int:
    if rate is None:
        return min(MOST_REQUESTS, max(ENOUGH_REQUESTS, 20 * int(demand.peak)))
    return min(MOST_REQUESTS, max(ENOUGH_REQUESTS, math.ceil(LONG_ENOUGH_S * rate)))
