"""How wrong forecasts of one service were, made into the width of the bands of its next ones.

The rule, for each statistic of each latency that was measured (`ttft.p95`), on the log of measured over predicted:

- Only rows that count are used, and none of emulated engines: these run the very model that is on trial.
- What was measured within STRETCH_S is one observation, their mean: it met the same moment of traffic and machine.
- Below ENOUGH observations nothing is learnt: the packaged factors stay.
- What is expected of the next observation is Bayes' answer for a normal of unknown mean and spread (the prior is
  normal-inverse-gamma). Half of the packaged variance is taken for what this service is off by, half for scatter
  about that; the first counts as one observation, the second as SPREAD of them. So a handful that agrees narrows a
  band a little, dozens make it that of the service, and those that disagree with the prior widen it.
- A percentile from a histogram may be anywhere in its bucket, at each look in the same place: it is put to the
  middle, and the variance of which the bucket is the band is added in full, however many looks there were.
- A band holds its own figure: where all are off to one side, the other end stays at 1.

Rates are left alone: while everything that comes is served, they say how much came and not how good the model is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from enova.core.engine.step_time import Origin
from enova.core.ledger.rows import Row
from enova.core.simulate.results import LEVEL, NO_ERROR, Factors, Metric, ModelError

STRETCH_S = 600.0
ENOUGH = 8
"""Observations."""
SPREAD = 4.0
"""Observations that the packaged scatter counts as."""
VAGUE = Factors(1 / 1.5, 1.5)
"""What is assumed of a model nothing is known of; no error at all would be much to assume."""
NORMAL = 1.6449
"""Standard deviations that leave 5 % above."""


class _Observation(NamedTuple):
    ratio: float
    """Log of measured over predicted."""
    blur: float
    """Variance of where it is within its bucket."""


def error_with(rows: Iterable[Row], base: ModelError) -> ModelError:
    """Return `base` with factors of a service's own, by statistic, that go before the packaged ones.

    `rows` are those of the engine that is to be forecast: of one service, and of the fingerprint that is to run.
    Other settings, above all another model or GPU, are off by something else.
    """
    learnt = {
        (origin, metric): _factors(observations, base.of(origin, *metric.split(".", 1)))
        for (origin, metric), observations in sorted(_observations(rows).items())
        if len(observations) >= ENOUGH
    }
    return ModelError({**base.factors, **learnt})


def _observations(rows: Iterable[Row]) -> Mapping[tuple[Origin, str], Sequence[_Observation]]:
    stretches: defaultdict[tuple[Origin, str], defaultdict[int, list[Row]]]
    stretches = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.counts and not row.emulated and row.metric.partition(".")[0] in set(Metric):
            stretches[row.origin, row.metric][int(row.began_s // STRETCH_S)].append(row)
    return {key: [_observation(found) for found in of_key.values()] for key, of_key in stretches.items()}


def _observation(rows: Sequence[Row]) -> _Observation:
    # Rows that count have no bucket that begins at 0 or is open. Where values crowd together, interpolation within
    # a bucket is off by up to all its width; its middle is off by half of that at most.
    ratios = [math.log(math.sqrt(row.measured.low * row.measured.high) / row.predicted.value) for row in rows]
    widths = [math.log(row.measured.high / row.measured.low) for row in rows]
    return _Observation(float(np.mean(ratios)), float(np.mean(np.square(widths))) / (2 * NORMAL) ** 2)


def _factors(observations: Sequence[_Observation], packaged: Factors) -> Factors:
    low, high = np.log(VAGUE if packaged == NO_ERROR else packaged)
    middle, each = (low + high) / 2, ((high - low) / 2 / NORMAL) ** 2 / 2
    ratios = np.array([seen.ratio for seen in observations])
    count, mean = len(ratios), float(ratios.mean())
    freedom = SPREAD + count
    scatter = SPREAD * each + float(np.square(ratios - mean).sum()) + count / (1 + count) * (mean - middle) ** 2
    centre = (middle + count * mean) / (1 + count)
    variance = scatter / freedom * (1 + 1 / (1 + count)) + float(np.mean([seen.blur for seen in observations]))
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(variance)
    return Factors(min(1.0, math.exp(centre - reach)), max(1.0, math.exp(centre + reach)))
