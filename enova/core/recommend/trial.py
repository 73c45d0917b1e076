"""One way to run a replica, simulated under its share of the traffic: are the promises kept, and by how much?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from enova.core.engine.scaled import Scaled
from enova.core.recommend.bounds import Bounds, bounds_of
from enova.core.recommend.demand import Demand, warm_up_s
from enova.core.recommend.question import Question
from enova.core.recommend.shape import Shape
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Metric, Results

REQUESTS = 1600
"""Of one trial, at least."""
PER_USER = 12
"""Of a closed loop, at least."""
SETTLED_AFTER = 20
"""Mean answers that a trial lasts at least, one after another; a queue that grows shows by then."""
MOST_REQUESTS = 12_000
SERVED = 0.93
"""Share of what comes that must be served as it comes; less, and requests pile up. 1,600 random arrivals alone
come within 4 % of their rate in 9 of 10 cases."""
WITHOUT_PROMISES = 0.85
"""Share of what can be served at all that is planned with where nothing is promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one replica does with its share."""

    shape: Shape
    replicas: float
    """Among how many the traffic was shared."""
    results: Results
    slow: Results | None
    """The same with every step as much longer as the error of the model allows; None: it is out without that."""
    promises: tuple[Promise, ...]
    piles_up: bool
    """More comes than is served."""

    @property
    def kept(self) -> bool:
        """Tell whether it will do."""
        return not self.broken and not self.piles_up

    @property
    def broken(self) -> tuple[Promise, ...]:
        """Return the promises not kept for sure; not a number is no promise kept."""
        return tuple(promise for promise in self.promises if not self.bad_end_s(promise) <= promise.target_s)

    def bad_end_s(self, promise: Promise) -> float:
        """Return the bad end of what is expected of a promise; NaN where nothing was served.

        That is the bad end of the band, or what users see with longer steps if that is more, as it is close to
        capacity.
        """
        end_s = self.results.of(promise.metric, promise.statistic).band.high
        if self.slow is None:
            return end_s
        slow_s = self.slow.of(promise.metric, promise.statistic).value
        return slow_s if math.isnan(slow_s) else max(end_s, slow_s)

    def excess(self) -> float:
        """Return the worst promise's bad end over its target; inf where nothing was served."""
        worst = max((self.bad_end_s(promise) / promise.target_s for promise in self.promises), default=1.0)
        return math.inf if math.isnan(worst) or self.piles_up else worst


@dataclass(slots=True)
class Bench:
    """Where shapes are tried. It remembers every trial, so that nothing is simulated twice."""

    question: Question
    demand: Demand
    trials: dict[tuple[str, float, float], Trial] = field(default_factory=dict)
    _replicas: dict[str, ReplicaSetup] = field(default_factory=dict)
    _bounds: dict[str, Bounds] = field(default_factory=dict)

    def replica(self, shape: Shape) -> ReplicaSetup:
        """Return the replica of a shape. Raises KeyError where nothing was measured of its GPU's kind."""
        key = shape.key
        if key not in self._replicas:
            self._replicas[key] = self.question.evidence.replica(shape.setup)
        return self._replicas[key]

    def bounds(self, shape: Shape) -> Bounds:
        """Return what a shape can do at best."""
        key = shape.key
        if key not in self._bounds:
            self._bounds[key] = bounds_of(
                self.replica(shape), self.demand, self.question.promises, self.question.evidence.error
            )
        return self._bounds[key]

    def trial(self, shape: Shape, replicas: float, *, times: float | None = None) -> Trial:
        """Return what becomes of one replica's share of the peak, `times` over; by default the burst's."""
        factor = self.demand.burst if times is None else times
        key = shape.key, replicas, factor
        if key not in self.trials:
            self.trials[key] = self._run(shape, replicas, factor)
        return self.trials[key]

    def trials_of(self, shape: Shape) -> dict[float, Trial]:
        """Return the trials of a shape, without its variants, by the replicas the burst was shared among."""
        return {
            replicas: trial
            for (key, replicas, times), trial in self.trials.items()
            if key == shape.key and times == self.demand.burst
        }

    def _run(self, shape: Shape, replicas: float, times: float) -> Trial:
        load, rate = self.demand.share(replicas, times=times)
        replica, promises = self.replica(shape), self.question.promises
        requests = self._requests(shape, rate, load.users.number if load.users else 0)
        conditions = Conditions(
            requests=requests,
            warmup_s=warm_up_s(load, requests, rate),
            promises=promises,
            error=self.question.evidence.error,
        )
        results = run_of([replica], load, conditions)
        piles_up = rate is not None and not results.requests_per_s.value >= SERVED * rate
        if not promises and rate is not None:
            piles_up = piles_up or rate > WITHOUT_PROMISES * self.bounds(shape).most_per_s
        trial = Trial(
            shape=shape, replicas=replicas, results=results, slow=None, piles_up=piles_up, promises=promises
        )
        if not promises or not trial.kept or load.users:
            # Users who wait hold the queue at its length: the band says all.
            return trial
        return replace(trial, slow=run_of([self._slower(replica)], load, conditions))

    def _slower(self, replica: ReplicaSetup) -> ReplicaSetup:
        """Return the replica with steps as much longer as their error allows; what TPOT is off by is theirs."""
        step_time = replica.step_time
        factor = self.question.evidence.error.of(step_time.origin, Metric.TPOT).high
        return replace(replica, step_time=Scaled(step_time, factor))

    def _requests(self, shape: Shape, rate: float | None, users: int) -> int:
        if rate is None:
            return min(MOST_REQUESTS, max(REQUESTS, PER_USER * users))
        bounds = self.bounds(shape)
        answer_s = bounds.batch / bounds.most_per_s if bounds.most_per_s else 0.0
        return min(MOST_REQUESTS, max(REQUESTS, math.ceil(SETTLED_AFTER * answer_s * rate)))
