"""Every measurement beside the forecast that was in force, number by number, and whether it tells of an error.

A row counts as an error of the forecast only if it was measured under what was forecast:

- traffic: requests came at the forecast's rate, and answers had the forecast's mean length, both within a fifth
  (ALIKE). What comes is compared, not what is answered, or an overload nobody foresaw would pass for other
  traffic. Without a rate on both sides nobody knows, and the row does not count. Lengths are compared where both
  sides know them;
- replicas: as many as forecast, where that is known;
- no other forecast was applied while it was measured;
- enough: at least FEWEST requests, and of a percentile BEYOND of them beyond it;
- fine: a percentile from a histogram is known to within a factor of FINE;
- a limit: rates count where less is answered than comes, measured or forecast (SERVED). Else they are the traffic.

The others are shown with the reason, and are in no summary.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from enova.core.engine.step_time import Origin
from enova.core.forecast import Forecast
from enova.core.ledger.records import Applied, Measured, Measurement
from enova.core.simulate.results import QUANTILES, Figure

ANSWERED = "requests_per_s"
ALIKE = 1.2
"""Rates and lengths that are no more than so many times each other are alike."""
FEWEST = 20
BEYOND = 5
SERVED = 0.9
"""Share of what comes."""
FINE = 2.5
"""As vLLM's buckets are, but for the lowest and the highest."""


class Span(NamedTuple):
    """The ends between which a number is."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number, forecast and measured.

    Of a percentile that is known to its bucket only, errors are known between two ends.
    """

    service: str
    fingerprint: str
    """Of the forecast."""
    origin: Origin
    """Of the forecast."""
    began_s: float
    ended_s: float
    source: str
    requests: int
    metric: str
    """As in Forecast.figures: `ttft.p95`."""
    predicted: Figure
    measured: Measured
    emulated: bool
    doubt: str
    """Why it does not count, in words; empty: it does."""

    @property
    def counts(self) -> bool:
        """Return whether it was measured under what was forecast."""
        return not self.doubt

    @property
    def error(self) -> Span:
        """Return by what share of the measured value the prediction is too high; negative: too low."""
        predicted, (_, low, high) = self.predicted.value, self.measured
        return Span(predicted / high - 1, predicted / low - 1 if low else math.inf)

    @property
    def size(self) -> Span:
        """Return the same without its sign."""
        low, high = self.error
        return Span(max(low, -high, 0.0), max(-low, high))

    @property
    def in_band(self) -> bool | None:
        """Return whether the band holds what was measured; None: it holds part of where that may be."""
        band = self.predicted.band
        if band.low <= self.measured.low and self.measured.high <= band.high:
            return True
        apart = self.measured.high < band.low or band.high < self.measured.low
        return False if apart else None


class Ledger(NamedTuple):
    """All rows, in the order of time, then of metrics."""

    rows: tuple[Row, ...]
    unmatched: int
    """Measurements for which no forecast was in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the rows of one metric of a service come to, of those that count."""

    service: str
    metric: str
    count: int
    error: Span
    """Median of the sizes of errors, as shares of what was measured."""
    bias: Span
    """Median of the errors: above 0, predictions are mostly too high."""
    inside: int
    """In the band for sure."""
    outside: int
    """Out of it for sure; of the rest nobody knows."""


def ledger_of(applied: Iterable[Applied], measurements: Iterable[Measurement]) -> Ledger:
    """Join every measurement with the forecast in force when it began.

    That is the latest applied before, of the same service and fingerprint. Where a measurement does not know the
    fingerprint, it is the latest of the service.
    """
    by_service: defaultdict[str, list[Applied]] = defaultdict(list)
    for one in sorted(applied, key=lambda one: one.at_s):
        by_service[one.service].append(one)
    rows: list[Row] = []
    unmatched = 0
    for measurement in sorted(measurements, key=lambda m: (m.began_s, m.service, m.source)):
        found = _in_force(by_service[measurement.service], measurement)
        if found is None:
            unmatched += 1
        else:
            rows += _rows(found, measurement, by_service[measurement.service])
    return Ledger(tuple(rows), unmatched)


def summaries_of(rows: Iterable[Row]) -> tuple[Summary, ...]:
    """Return one summary for each metric of each service that has rows that count, sorted."""
    groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.counts:
            groups[row.service, row.metric].append(row)
    return tuple(_summary(*key, groups[key]) for key in sorted(groups))


def _summary(service: str, metric: str, rows: Sequence[Row]) -> Summary:
    return Summary(
        service=service,
        metric=metric,
        count=len(rows),
        error=Span(median(row.size.low for row in rows), median(row.size.high for row in rows)),
        bias=Span(median(row.error.low for row in rows), median(row.error.high for row in rows)),
        inside=sum(row.in_band is True for row in rows),
        outside=sum(row.in_band is False for row in rows),
    )


def _in_force(applied: Sequence[Applied], measurement: Measurement) -> Applied | None:
    """`applied` are those of the service, oldest first."""
    before = [
        one
        for one in applied
        if one.at_s <= measurement.began_s and measurement.fingerprint in {"", one.fingerprint}
    ]
    return before[-1] if before else None


def _rows(applied: Applied, measurement: Measurement, others: Sequence[Applied]) -> Iterator[Row]:
    doubt = _doubt(applied, measurement)
    if any(measurement.began_s < one.at_s < measurement.ended_s for one in others):
        doubt = "another forecast was applied meanwhile"
    figures = applied.forecast.figures
    for metric in sorted(figures.keys() & measurement.figures.keys()):
        predicted, measured = figures[metric], measurement.figures[metric]
        if not (_positive(predicted.value) and _positive(measured.value)):
            continue
        yield Row(
            service=measurement.service,
            fingerprint=applied.fingerprint,
            origin=applied.forecast.origin,
            began_s=measurement.began_s,
            ended_s=measurement.ended_s,
            source=measurement.source,
            requests=measurement.requests,
            metric=metric,
            predicted=predicted,
            measured=measured,
            emulated=measurement.emulated,
            doubt=doubt
            or _blur(metric, measured, measurement.requests)
            or _all_served(metric, applied, measurement),
        )


def _doubt(applied: Applied, measurement: Measurement) -> str:
    """Return why nothing of a measurement counts."""
    forecast = applied.forecast
    if measurement.replicas is not None and measurement.replicas != forecast.replicas:
        return f"other replicas: {measurement.replicas}, {forecast.replicas} forecast"
    if applied.rate is None or measurement.rate is None:
        return "whether the traffic is that of the forecast is not known"
    if not _alike(measurement.rate, applied.rate):
        return f"other traffic: {measurement.rate:.3g}/s, {applied.rate:.3g}/s was forecast"
    length = _output_tokens(forecast)
    if (
        length is not None
        and measurement.output_tokens is not None
        and not _alike(measurement.output_tokens, length)
    ):
        return f"other traffic: answers of {measurement.output_tokens:.0f} tokens, {length:.0f} were forecast"
    return ""


def _blur(metric: str, measured: Measured, requests: int) -> str:
    """Return why one number says too little."""
    share = QUANTILES.get(metric.rpartition(".")[2])
    if requests < FEWEST or (share is not None and requests * (1 - share) < BEYOND - 1e-9):
        return f"{requests} requests are too few"
    if measured.high > FINE * measured.low * (1 + 1e-9):
        return "its bucket is too wide"
    return ""


def _all_served(metric: str, applied: Applied, measurement: Measurement) -> str:
    """Return why a rate says nothing about the model; empty: it is a latency, or some waited in vain."""
    if not metric.endswith("_per_s") or not applied.rate or not measurement.rate:
        return ""
    forecast, measured = applied.forecast.figures.get(ANSWERED), measurement.figures.get(ANSWERED)
    shares = [forecast.value / applied.rate] if forecast else []
    shares += [measured.value / measurement.rate] if measured else []
    return "" if any(share < SERVED for share in shares) else "all that came was answered"


def _alike(one: float, other: float) -> bool:
    return one > 0 and other > 0 and max(one, other) / min(one, other) <= ALIKE


def _output_tokens(forecast: Forecast) -> float | None:
    """Return the mean length of the answers a forecast is about."""
    tokens, requests = (forecast.figures.get(name) for name in ("output_tokens_per_s", ANSWERED))
    if tokens is None or requests is None or not _positive(requests.value) or not _positive(tokens.value):
        return None
    return tokens.value / requests.value


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
