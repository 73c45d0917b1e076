"""What is expected of a service as it is planned: latencies, goodput, use and cost, each figure with its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enova.core.engine.step_time import Origin
from enova.core.simulate.promises import Promise, Verdict, verdict_of
from enova.core.simulate.results import Figure, Metric, Results

SHOWN = (Metric.TTFT, Metric.TPOT, Metric.E2E)
STATISTICS = ("mean", "p50", "p95", "p99")
"""Of each latency, beside those that are promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A promise, and what is expected of it."""

    promise: Promise
    figure: Figure
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One service under the traffic its spec states."""

    origin: Origin
    gpu: str
    """Name of the card; `cpu` without GPUs."""
    gpus: int
    """Of all replicas together."""
    replicas: int
    figures: Mapping[str, Figure]
    """By name, sorted: `ttft.p95`, `tpot.p50`, `e2e.p99` in seconds; `requests_per_s`, `output_tokens_per_s`;
    `goodput.share`, 0 to 1, and `goodput.per_s`, where something is promised; `capacity.per_s`, the highest rate
    that keeps the promises."""
    expected: tuple[Expected, ...] = ()
    """Promises in the spec's order."""
    utilisation: float
    """Share of time in which engines compute, 0 to 1."""
    kv_use: float
    """Mean share of the KV blocks in use, 0 to 1; NaN: nobody looked."""
    usd_per_h: float | None
    """None: no price is known."""
    usd_per_million_tokens: float | None
    """Of output tokens under this traffic; None: no price is known, or no token is made."""
    notes: tuple[str, ...] = field(default=())

    @property
    def attainment(self) -> float | None:
        """Return the share of promises that the figures keep; None without promises."""
        if not self.expected:
            return None
        kept = sum(one.verdict in (Verdict.KEPT, Verdict.LIKELY) for one in self.expected)
        return kept / len(self.expected)


def forecast_of(
    results: Results,
    promises: Sequence[Promise],
    *,
    gpu: str,
    gpus: int,
    replicas: int,
    usd_per_h: float | None,
    times: float = 1.0,
    notes: tuple[str, ...] = (),
) -> Forecast:
    """Return what a simulated run says of a service that costs so much.

    `times` is how much greater the service is than the part of it that was simulated: rates grow with it.
    """
    figures = {
        f"{metric}.{statistic}": latency.of(statistic)
        for metric, latency in results.latencies.items()
        if metric in SHOWN
        for statistic in STATISTICS
    }
    figures |= {
        f"{promise.metric}.{promise.statistic}": results.of(promise.metric, promise.statistic)
        for promise in promises
    }
    rates = {"output_tokens_per_s": results.output_tokens_per_s, "requests_per_s": results.requests_per_s}
    if results.goodput is not None:
        rates["goodput.per_s"] = results.goodput.per_s
        figures["goodput.share"] = results.goodput.share
    figures |= {name: _times(figure, times) for name, figure in rates.items()}
    tokens_per_h = 3600 * figures["output_tokens_per_s"].value
    return Forecast(
        origin=results.origin,
        gpu=gpu,
        gpus=gpus,
        replicas=replicas,
        figures=dict(sorted(figures.items())),
        expected=tuple(
            Expected(
                promise=promise,
                figure=results.of(promise.metric, promise.statistic),
                verdict=verdict_of(results, promise),
            )
            for promise in promises
        ),
        utilisation=results.utilisation,
        kv_use=results.kv_use_mean,
        usd_per_h=usd_per_h,
        usd_per_million_tokens=1e6 * usd_per_h / tokens_per_h if usd_per_h is not None and tokens_per_h else None,
        notes=notes,
    )


def _times(figure: Figure, times: float) -> Figure:
    band = figure.band
    return Figure(figure.value * times, band._replace(low=band.low * times, high=band.high * times))
