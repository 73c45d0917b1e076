"""What a simulated run comes to: latencies, throughput, use, each with the band the truth is expected in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enova.core.engine.step_time import Origin

LEVEL = 0.9
"""Share of cases in which the truth is to lie within a band."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
"""By the names the spec's targets have."""
STATISTICS = ("mean", *QUANTILES)


class Metric(StrEnum):
    """A latency, in seconds."""

    TTFT = "ttft"
    """From arrival to the first token."""
    TPOT = "tpot"
    """(E2E - TTFT) / (output tokens - 1), of requests with more than one token."""
    ITL = "itl"
    """Between two tokens of a stream, over all tokens."""
    E2E = "e2e"
    """From arrival to the last token."""
    QUEUE = "queue"
    """From arrival until the first piece of the prompt is computed."""


class Factors(NamedTuple):
    """Measured over predicted: the quantiles that leave 5 % below and 5 % above."""

    low: float
    high: float


NO_ERROR = Factors(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class ModelError:
    """How wrong the model was where it could be checked, by origin of the step times and by metric.

    A key is a metric, or one statistic of it (`ttft.p99`), which goes first; `throughput` is a metric here too.
    """

    factors: Mapping[tuple[Origin, str], Factors] = field(default_factory=dict)

    def of(self, origin: Origin, metric: str, statistic: str = "mean") -> Factors:
        """Return the factors, (1, 1) where nothing is known."""
        specific = self.factors.get((origin, f"{metric}.{statistic}"))
        return specific or self.factors.get((origin, metric), NO_ERROR)


NO_MODEL_ERROR = ModelError()


class Band(NamedTuple):
    """Where the truth is expected, with probability `level`."""

    low: float
    high: float
    level: float = LEVEL

    def widened(self, value: float, error: Factors, others: Sequence[float] = ()) -> Band:
        """Return this band of noise around a value, with the error of the model added.

        `others` are what the same figure is with step times that may as well be the true ones: the error is as
        large as they show if that is more. Noise and error are independent, so their distances from the value add
        up in quadrature, on a log scale.
        """
        known = [other for other in others if math.isfinite(other)]
        if math.isnan(value):
            return self
        if not 0 < value < math.inf:
            return Band(min(self.low, *known, value), max(self.high, *known, value), self.level)
        least, most = min(error.low * value, *known, value), max(error.high * value, *known, value)
        down = math.hypot(_distance(self.low, value), _distance(least, value))
        up = math.hypot(_distance(value, self.high), _distance(value, most))
        return Band(value * math.exp(-down), value * math.exp(up), self.level)


class Figure(NamedTuple):
    """One predicted number."""

    value: float
    band: Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The distribution of one metric in seconds; NaN where nothing was served."""

    count: int
    mean: Figure
    p50: Figure
    p90: Figure
    p95: Figure
    p99: Figure
    p99_9: Figure
    highest: float

    def of(self, statistic: str) -> Figure:
        """Return the mean or a percentile by its name."""
        figure: Figure = getattr(self, statistic)
        return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """Requests that met every target; rejected and lost ones did not."""

    share: Figure
    per_s: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassResults:
    """What one class of requests saw. Gaps between tokens are not told apart by class."""

    served: int
    rejected: int
    latencies: Mapping[Metric, Latency]
    goodput: Goodput | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """One entry a request, in the order they were done."""

    arrival_s: NDArray[np.float64]
    scheduled_s: NDArray[np.float64]
    first_token_s: NDArray[np.float64]
    finished_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    preemptions: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """What happened in each interval; NaN where nobody looked."""

    interval_s: float
    running: NDArray[np.float64]
    """Mean over the looks at the fleet, all replicas together."""
    waiting: NDArray[np.float64]
    kv_use: NDArray[np.float64]
    """Mean share of KV blocks in use, 0 to 1."""
    replicas: NDArray[np.float64]
    """Mean number of those that get requests."""
    arrived: NDArray[np.float64]
    """Requests that arrived, of those that were served."""
    served: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    """Made in the interval, of requests that were served in the end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """A forecast. Everything counts from the end of the warm-up, except preemptions and utilisation."""

    origin: Origin
    warmup_s: float
    duration_s: float
    """From the end of the warm-up to the last answer."""
    served: int
    rejected: int
    """Can never run, for example because they are too long."""
    lost: int
    """Without an answer, or with part of one, after failures."""
    reasons: Mapping[str, int]
    """Why requests were rejected or lost, and how many."""
    latencies: Mapping[Metric, Latency]
    requests_per_s: Figure
    prompt_tokens_per_s: Figure
    output_tokens_per_s: Figure
    goodput: Goodput | None
    """None without targets."""
    utilisation: float
    """Share of time in which an engine computed, mean of all replicas."""
    cached_share: float
    """Of the prompt tokens, what was found in the prefix cache; 0 of nothing."""
    kv_use_mean: float
    """NaN if nobody looked."""
    kv_use_highest: float
    preemptions: int
    classes: Mapping[str, ClassResults]
    """Empty where all requests are of one kind."""
    series: Series | None = None
    records: Records | None = None

    @property
    def availability(self) -> Figure:
        """Return which share of the requests was answered without an error, 0 to 1; NaN if there were none.

        Its noise is that of requests which fail independently of each other.
        """
        requests = self.served + self.rejected + self.lost
        if not requests:
            return Figure(math.nan, Band(math.nan, math.nan))
        share = self.served / requests
        margin = NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt(share * (1 - share) / requests)
        return Figure(share, Band(max(0.0, share - margin), min(1.0, share + margin)))

    def of(self, metric: str, statistic: str) -> Figure:
        """Return one latency by the names the spec uses, for example ttft and p95."""
        return self.latencies[Metric(metric)].of(statistic)


def _distance(low: float, high: float) -> float:
    """Return how far apart two values are on a log scale."""
    return abs(math.log(high / low)) if low > 0 and math.isfinite(high) else math.inf
