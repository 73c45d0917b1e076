"""From two looks at replicas' metrics to a measurement of what happened between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

from enova.core.engine.snapshot import Snapshot, known
from enova.core.engine.windows import windows_of
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.records import METRICS, Measured, Measurement
from enova.core.observed import Unknown
from enova.core.simulate.results import QUANTILES

NEEDED = ("finished", "finished_output_tokens", "output_tokens", "running", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the metrics of one replica say at a moment."""

    engines: Mapping[str, Snapshot]
    """By label: a replica may have several behind its address."""
    histograms: Mapping[str, Histogram]
    """Latencies in seconds by the names of `Metric`, of all its engines together."""
    started_s: float | None = None
    """When its process started, if it says so."""
    errors: float | None = None
    """Requests it has answered with an error of its own (5xx), if it says so."""


class Window(NamedTuple):
    """What one replica did between two looks."""

    seconds: float
    finished: float
    arrived: float
    """Finished or not: what is in flight at the end and was not at the beginning came too."""
    output_tokens: float
    """Made in this time."""
    finished_output_tokens: float
    """Of the requests that finished."""
    histograms: Mapping[str, Histogram]
    errors: float | None = None
    """Answers with an error of its own; None: it does not tell."""


def window_of(before: Look, after: Look) -> Window | Unknown:
    """Return what a replica did between two looks; Unknown where it was started anew, or does not tell."""
    if before.engines.keys() != after.engines.keys() or not after.engines:
        return Unknown("its engines are not those that they were")
    pairs = [(before.engines[name], after.engines[name]) for name in sorted(after.engines)]
    lacking = sorted({name for pair in pairs for look in pair for name in look.lacks(*NEEDED)})
    if lacking:
        return Unknown(f"its metrics do not offer {', '.join(lacking)}")
    histograms = _grown(before, after)
    anew = before.started_s != after.started_s or not all(windows_of(pair) for pair in pairs)
    if anew or any(min(grown.counts) < 0 for grown in histograms.values()):
        return Unknown("it was started anew meanwhile, and its counters with it")
    spans = [b - a for a, b in pairs]
    finished = sum(known(span.finished) for span in spans)
    return Window(
        seconds=max(span.at_s for span in spans),
        finished=finished,
        arrived=max(0.0, finished + sum(_in_flight(b) - _in_flight(a) for a, b in pairs)),
        output_tokens=sum(known(span.output_tokens) for span in spans),
        finished_output_tokens=sum(known(span.finished_output_tokens) for span in spans),
        histograms=histograms,
        errors=None if after.errors is None else max(0.0, after.errors - (before.errors or 0.0)),
    )


def measurement_of(
    windows: Sequence[Window], *, service: str, fingerprint: str, began_s: float, emulated: bool = False
) -> Measurement | Unknown | None:
    """Return what all replicas of a service did together, one window each; None if no request was answered."""
    requests = round(sum(window.finished for window in windows))
    if not requests:
        return None
    try:
        latencies = latencies_of(windows)
    except ValueError as error:
        return Unknown(f"its replicas cannot be added up: {error}")
    rates = {
        "output_tokens_per_s": sum(window.output_tokens / window.seconds for window in windows),
        "requests_per_s": sum(window.finished / window.seconds for window in windows),
    }
    figures = latencies | {name: Measured.exactly(rate) for name, rate in rates.items()}
    return Measurement(
        service=service,
        fingerprint=fingerprint,
        began_s=began_s,
        ended_s=began_s + max(window.seconds for window in windows),
        source=METRICS,
        requests=requests,
        rate=sum(window.arrived / window.seconds for window in windows),
        replicas=len(windows),
        output_tokens=sum(window.finished_output_tokens for window in windows) / requests,
        emulated=emulated,
        figures=dict(sorted(figures.items())),
    )


def _grown(before: Look, after: Look) -> dict[str, Histogram]:
    """Return what came into the histograms both looks have; buckets that changed are those of another process."""
    both = sorted(before.histograms.keys() & after.histograms.keys())
    found = {name: (after.histograms[name], before.histograms[name]) for name in both}
    return {name: now - then for name, (now, then) in found.items() if now.edges == then.edges}


def latencies_of(windows: Sequence[Window]) -> dict[str, Measured]:
    """Return mean and percentiles of every latency that all replicas tell; of those without a value, nothing.

    Different buckets are a ValueError.
    """
    shared = set.intersection(*(set(window.histograms) for window in windows))
    figures = {}
    for metric in sorted(shared):
        merged = reduce(add, (window.histograms[metric] for window in windows))
        if merged.count > 0:
            figures[f"{metric}.mean"] = Measured.exactly(merged.mean)
            figures |= {f"{metric}.{name}": merged.quantile(share) for name, share in QUANTILES.items()}
    return figures


def _in_flight(snapshot: Snapshot) -> float:
    return known(snapshot.running) + known(snapshot.waiting)
