"""Measure how fast autoscaling is: a day's backtest, and deciding for many replicas.

    uv run python benchmarks/bench_autoscale.py

The backtest is of 24 hours at 10 requests/s in the mean, a wave from 4 to 16 (864,000 requests), of Qwen3-8B on
L40S with the autoscaler deciding every 5 s. Goals: under 30 s on one core; deciding for 200 replicas every 5 s
under 5 % of a core. CPU seconds of one thread; drawing the traffic is timed apart, as is finding the capacity.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from autoscale_scenes import CHAT, SMALL

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.core.backtest.backtest import traffic_of
from enova.core.backtest.rehearsal import INTERVAL_S, rehearse
from enova.core.backtest.scene import Scene
from enova.core.control.autoscaler import Autoscaler
from enova.core.control.capacities import plant_of
from enova.core.control.history import BIN_S, History
from enova.core.control.plant import Curve, Plant
from enova.core.control.sight import Moment, ReplicaSight, Sight
from enova.core.engine.defaults import engine_setup
from enova.core.simulate.forecast import Conditions, replica_of
from enova.core.simulate.promises import promises_of
from enova.core.simulate.replica import Stage
from enova.core.simulate.results import Metric
from enova.core.spec.injection import Injection
from enova.core.spec.service import Slo
from enova.core.workload.load import load_of

START_UP_S = 100.0
DAY_S = 86_400
REPLICAS = 200
LOOKS = 720


class Steady:
    """What is seen of a service whose traffic does not change."""

    def arrived(self, over_s: float) -> float | None:
        """Return requests."""
        return 1800.0 * over_s

    def finished(self, over_s: float) -> float | None:
        """Return answers."""
        return 1800.0 * over_s

    def met(self, over_s: float) -> tuple[float, float] | None:
        """Return good answers and all."""
        return 1795.0 * over_s, 1800.0 * over_s

    def latency_s(self, _metric: Metric, _share: float, _over_s: float) -> float | None:
        """Return seconds."""
        return 0.5

    def moments(self, _over_s: float) -> tuple[Moment, ...]:
        """Return no looks."""
        return ()


def backtested() -> None:
    """Time a day of traffic."""
    setup = engine_setup(model_card(SMALL.model), gpu_card(SMALL.gpu), tensor_parallel=SMALL.gpus)
    replica = replica_of(setup, measured_curves(), start_up_s=START_UP_S)
    arrival = {"process": "diurnal", "low": "4/s", "high": "16/s", "period": "1d"}
    injection = Injection.model_validate({"arrival": arrival, "duration": "24h", **CHAT})
    load = load_of(injection, seed=1)
    slo = Slo.model_validate({"ttft": {"p99": f"{SMALL.ttft_s}s"}, "tpot": {"p99": f"{SMALL.tpot_s}s"}})
    promises = promises_of(slo)
    begin = time.process_time()
    plant = plant_of(replica, load, Conditions(promises=promises, policy="power_of_two"))
    found_s = time.process_time() - begin
    begin = time.process_time()
    traffic = traffic_of(tuple(load.requests()), load.duration_s)
    drawn_s = time.process_time() - begin
    scene = Scene(
        replica=replica, requests=lambda: traffic.requests, until_s=traffic.until_s, promises=promises, seed=1
    )
    begin = time.process_time()
    score = rehearse(replace(scene, first=traffic.first(plant)), Autoscaler(plant))
    took_s = time.process_time() - begin
    requests = len(traffic.requests)
    print(
        f"a day of {requests:,} requests: {took_s:.1f} s ({1e6 * took_s / requests:.1f} us a request, "
        f"{DAY_S / took_s:,.0f} times real time), drawing the traffic {drawn_s:.1f} s, its capacity "
        f"{found_s:.1f} s; {score.attainment:.2%} attained, {score.gpu_h:.1f} GPU-h, "
        f"{score.ups + score.downs} changes"
    )


def decided() -> None:
    """Time decisions for many replicas."""
    plant = Plant(capacity=Curve((1, 2, 4), (9.0, 19.0, 40.0)), start_up_s=START_UP_S, target=0.99)
    autoscaler = Autoscaler(plant, history=History([1800.0] * round(2 * DAY_S / BIN_S)))
    replicas = tuple(ReplicaSight(number, Stage.READY, 9.0, 9.0, 0.0, 0.4) for number in range(REPLICAS))
    begin = time.process_time()
    for look in range(LOOKS):
        autoscaler.decide(Sight(at_s=INTERVAL_S * look, replicas=replicas, held=0, seen=Steady()))
    took_s = (time.process_time() - begin) / LOOKS
    print(f"deciding for {REPLICAS} replicas: {1e3 * took_s:.2f} ms a look, {took_s / INTERVAL_S:.3%} of a core")


if __name__ == "__main__":
    decided()
    backtested()
    sys.exit(0)
