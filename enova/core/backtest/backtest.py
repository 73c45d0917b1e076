"""Laws side by side on one scene, beside the least that would have done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from enova.core.backtest.oracle import BIN_S, oracle
from enova.core.backtest.rehearsal import rehearse
from enova.core.backtest.scene import Scene
from enova.core.backtest.score import Score
from enova.core.control.decision import Decision
from enova.core.control.plant import Plant
from enova.core.control.sight import Law
from enova.core.simulate.statistics import Floats
from enova.core.workload.request import Request

PEAK_S = 300.0
"""Over which the busiest rate is taken that a fixed number of replicas is planned for."""
FIRST_S = 300.0
"""Over whose busiest minute the replicas are planned that are there at the beginning."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic of a scene, as those see it who know all of it."""

    requests: tuple[Request, ...]
    until_s: float
    rates: Floats
    """In requests/s, one for each bin of `BIN_S`."""

    @property
    def peak_per_s(self) -> float:
        """Return the rate of the busiest five minutes."""
        return self._busiest(self.rates, PEAK_S)

    def first(self, plant: Plant) -> int:
        """Return how many replicas there are to be at the beginning: enough for the busiest minute to come."""
        rate = self._busiest(self.rates[: int(FIRST_S / BIN_S)], 60.0)
        needed = max(plant.fewest, plant.capacity.needed(rate))
        return max(1, needed if plant.most is None else min(needed, plant.most))

    @staticmethod
    def _busiest(rates: Floats, over_s: float) -> float:
        bins = min(len(rates), round(over_s / BIN_S))
        return float(np.convolve(rates, np.ones(bins) / bins, "valid").max()) if bins else 0.0


def traffic_of(requests: tuple[Request, ...], until_s: float | None = None) -> Traffic:
    """Return the traffic that requests make, until the last of them or a later end."""
    last_s = requests[-1].arrival_s if requests else 0.0
    end_s = max(last_s, until_s or 0.0)
    edges = np.arange(0.0, end_s + BIN_S, BIN_S)
    counts, _ = np.histogram([request.arrival_s for request in requests], edges)
    return Traffic(requests, end_s, counts / BIN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A law, and what became of the traffic under it."""

    name: str
    score: Score
    decisions: tuple[Decision, ...] = ()
    """Where it tells why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What was tried, and the oracles: None where none of their schedules reaches the target, or nobody asked."""

    plant: Plant
    scene: Scene
    traffic: Traffic
    tried: tuple[Tried, ...]
    oracle: Score | None
    """Knows the traffic, and has to wait for replicas to start."""
    oracle_at_once: Score | None
    """Knows the traffic, and has replicas that start at once."""
    asked_oracle: bool = True

    def regret(self, score: Score) -> float | None:
        """Return the GPU-hours of a score over those of the oracle that waits for starts."""
        return score.gpu_h / self.oracle.gpu_h if self.oracle and self.oracle.gpu_h else None


def backtest(
    scene: Scene, plant: Plant, traffic: Traffic, laws: Mapping[str, Callable[[], Law]], *, oracles: bool = True
) -> Backtest:
    """Return what becomes of the traffic under each of the laws, all of which begin with the same replicas."""
    setting = replace(scene, first=traffic.first(plant))
    tried = []
    for name, make in laws.items():
        law = make()
        score = rehearse(setting, law)
        tried.append(Tried(name=name, score=score, decisions=tuple(getattr(law, "decisions", ()))))

    def known(*, delayed: bool) -> Score | None:
        if not oracles or not plant.feasible:
            return None
        return oracle(setting, traffic.rates, plant, target=plant.target, delayed=delayed)

    return Backtest(
        plant=plant,
        scene=setting,
        traffic=traffic,
        tried=tuple(tried),
        oracle=known(delayed=True),
        oracle_at_once=known(delayed=False),
        asked_oracle=oracles,
    )
