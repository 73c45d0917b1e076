"""A run as a report: figures that are numbers, with their ends, beside what was promised and predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from enova.core.inject.job import Job
from enova.core.inject.measured import Measured
from enova.core.inject.overtime import MOST_INTERVALS, Overtime, quantile_of
from enova.core.inject.validity import notes_of, problems_of
from enova.core.simulate.forecast import Conditions
from enova.core.simulate.promises import Promise
from enova.core.simulate.results import (
    QUANTILES,
    STATISTICS,
    ClassResults,
    Figure,
    Latency,
    Metric,
    Results,
    Series,
)
from enova.core.workload.report import (
    Asked,
    Delivery,
    Figures,
    Foretold,
    Found,
    InjectionReport,
    Kept,
    OverTime,
    Part,
    Predicted,
    Seen,
    Sent,
    Tested,
)

LATENCIES = (Metric.TTFT, Metric.TPOT, Metric.ITL, Metric.E2E)
RATES = ("requests_per_s", "prompt_tokens_per_s", "output_tokens_per_s")


def report_of(
    measured: Measured,
    overtime: Overtime,
    job: Job,
    conditions: Conditions,
    *,
    name: str,
    tested: Tested | None,
    predicted: Results | str,
    began_s: float,
    ended_s: float,
) -> InjectionReport:
    """Return the report of a run.

    Args:
        measured: what it came to.
        overtime: the same, interval by interval.
        job: what was sent, and to whom.
        conditions: what is promised, and what was warm-up.
        name: of the service, or the address.
        tested: the engine, as far as it is known.
        predicted: what was foretold of the same requests; or why nothing was.
        began_s: Unix time, as is `ended_s`.
        ended_s: when the last answer came.
    """
    target = job.target
    return InjectionReport(
        name=name,
        asked=Asked(
            url=target.url,
            api=target.api,
            model=target.model,
            stream=target.stream,
            ignore_eos=target.ignore_eos,
            emulated=measured.emulated,
        ),
        tested=tested,
        began_s=began_s,
        ended_s=ended_s,
        problems=problems_of(measured),
        notes=notes_of(measured),
        sent=Sent(
            injection=job.load.injection,
            seed=job.load.seed,
            requests=max(1, measured.sent),
            warmup_s=measured.from_schedule.warmup_s,
            delivery=_delivery(measured, job),
        ),
        found=_found(measured, overtime, streamed=target.stream),
        slo=tuple(_kept(measured.from_schedule, conditions)),
        predicted=None if isinstance(predicted, str) else _predicted(predicted),
        not_predicted=predicted if isinstance(predicted, str) else "",
    )


def _delivery(measured: Measured, job: Job) -> Delivery:
    lag = {"p50": measured.lag.p50_s, "p99": measured.lag.p99_s, "max": measured.lag.highest_s}
    return Delivery(
        asked_per_s=measured.asked_per_s,
        achieved_per_s=measured.achieved_per_s,
        achieved_share=measured.achieved_share,
        lag=Seen(**_known(lag)),
        workers=measured.workers,
        cpu_share=measured.cpu_share,
        deadline_s=job.deadline_s,
        max_in_flight=job.in_flight,
        closed_loop=measured.closed,
        prompt_tokens=measured.prompt_tokens,
        output_tokens=measured.output_tokens,
        stopped=measured.stopped,
    )


def _found(measured: Measured, overtime: Overtime, *, streamed: bool) -> Found:
    results = measured.from_send
    # An answer in one piece has no first token.
    known = LATENCIES if streamed else (Metric.E2E,)
    gaps = {"itl": _seen(measured.from_schedule.latencies[Metric.ITL])} if streamed else {}
    return Found.model_validate(
        {
            **_figures(results, known),
            # Gaps between tokens are counted once.
            **gaps,
            "served": results.served,
            "failed": results.rejected + results.lost,
            "duration_s": measured.from_schedule.duration_s,
            "errors": dict(measured.failures),
            "from_schedule": Figures(**_figures(measured.from_schedule, known)),
            "classes": {kind: _part(found, known) for kind, found in measured.from_schedule.classes.items()},
            "over_time": _over_time(overtime, streamed=streamed),
        }
    )


def _predicted(results: Results) -> Predicted:
    return Predicted.model_validate(
        {
            **_figures(results, LATENCIES),
            "basis": str(results.origin),
            "classes": {kind: _part(found, LATENCIES) for kind, found in results.classes.items()},
            "over_time": None if results.series is None else _foretold(results.series),
        }
    )


def _foretold(series: Series) -> Foretold:
    """Return a run over time in whole seconds at least, as what is measured."""
    many = max(1, math.ceil(1.0 / series.interval_s - 1e-9))
    while len(series.served) > many * MOST_INTERVALS:
        many *= 2
    starts = range(0, len(series.served), many)
    return Foretold(
        interval_s=many * series.interval_s,
        answered=tuple(round(series.served[start : start + many].sum()) for start in starts),
        output_tokens=tuple(round(series.output_tokens[start : start + many].sum()) for start in starts),
    )


def _figures(results: Results, known: Sequence[Metric]) -> dict[str, object]:
    """Return the fields of `Figures`."""
    figures = {name: getattr(results, name) for name in RATES}
    if results.goodput is not None:
        figures |= {"goodput": results.goodput.share, "goodput_per_s": results.goodput.per_s}
    if not results.served:
        figures = {}
    return {
        **_known({name: figure.value for name, figure in figures.items()}),
        "ends": _ends(figures),
        **{str(metric): _seen(results.latencies[metric]) for metric in known},
    }


def _part(found: ClassResults, known: Sequence[Metric]) -> Part:
    good = found.goodput
    goodput = {} if good is None else {"goodput": good.share, "goodput_per_s": good.per_s}
    return Part.model_validate(
        {
            "served": found.served,
            "failed": found.rejected,
            **_known({name: figure.value for name, figure in goodput.items()}),
            "ends": _ends(goodput),
            **{str(metric): _seen(latency) for metric, latency in found.latencies.items() if metric in known},
        }
    )


def _seen(latency: Latency) -> Seen:
    if not latency.count:
        return Seen()
    figures = {name: latency.of(name) for name in STATISTICS}
    values = {name: figure.value for name, figure in figures.items()} | {"max": latency.highest}
    return Seen(**_known(values), ends=_ends(figures))


def _ends(figures: Mapping[str, Figure]) -> dict[str, tuple[float, float]]:
    bands = {name: (figure.band.low, figure.band.high) for name, figure in figures.items()}
    return {name: ends for name, ends in bands.items() if all(map(math.isfinite, ends))}


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _kept(results: Results, conditions: Conditions) -> Iterable[Kept]:
    for promise in conditions.promises:
        value = results.of(promise.metric, promise.statistic).value
        yield _promise(promise, value)
    if conditions.availability is not None:
        share = results.availability.value
        known = None if math.isnan(share) else share
        kept = known is not None and known >= conditions.availability - 1e-9
        yield Kept(metric="availability", target=conditions.availability, measured=known, kept=kept)


def _promise(promise: Promise, value: float) -> Kept:
    assert promise.metric in LATENCIES  # noqa: S101 - nothing else is promised
    return Kept.model_validate(
        {
            "metric": str(promise.metric),
            "statistic": promise.statistic,
            "target": promise.target_s,
            "measured": value if math.isfinite(value) else None,
            # Not a number is no promise kept.
            "kept": value <= promise.target_s,
        }
    )


def _over_time(overtime: Overtime, *, streamed: bool) -> OverTime | None:
    intervals = overtime.intervals
    if not intervals:
        return None

    def quantiles(counts: str, share: float) -> tuple[float | None, ...]:
        if not streamed and counts == "ttft":
            return (None,) * len(intervals)
        values = (quantile_of(getattr(one, counts), share) for one in intervals)
        return tuple(None if math.isnan(value) else value for value in values)

    return OverTime(
        interval_s=overtime.interval_s,
        due=tuple(one.due for one in intervals),
        sent=tuple(one.sent for one in intervals),
        answered=tuple(one.answered for one in intervals),
        failed=tuple(one.failed for one in intervals),
        output_tokens=tuple(one.output_tokens for one in intervals),
        ttft_p50=quantiles("ttft", QUANTILES["p50"]),
        ttft_p95=quantiles("ttft", QUANTILES["p95"]),
        e2e_p95=quantiles("e2e", QUANTILES["p95"]),
    )
