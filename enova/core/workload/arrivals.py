"""When requests come: each process of the spec as ascending times, drawn in blocks.

Blocks are drawn one after another from one generator, so that memory does not grow with the number of requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from enova.core.spec.injection import (
    Arrival,
    ClosedLoop,
    Constant,
    Diurnal,
    Gamma,
    Normal,
    Poisson,
    Stages,
    Trace,
)
from enova.core.workload.recording import Recording

Times = NDArray[np.float64]

BLOCK = 4096


def times_of(arrival: Arrival, rng: Generator, recording: Recording | None = None) -> Iterator[Times]:
    """Yield arrival times in seconds from the start, ascending. Endless, except for stages and traces.

    In a closed loop everything waits from the start, and what comes next is up to the users. A process whose rate
    is zero yields nothing. `recording` is what a trace's file holds.
    """
    match arrival:
        case Constant():
            return _constant(arrival.rate)
        case Poisson():
            return _gaps(rng, shape=1.0, rate=arrival.rate)
        case Gamma():
            return _gaps(rng, shape=arrival.cv**-2, rate=arrival.rate)
        case Normal():
            return _normal(rng, arrival.rate, arrival.std)
        case Stages():
            return _stages(rng, arrival)
        case Diurnal():
            return _diurnal(rng, arrival)
        case ClosedLoop():
            return repeat(np.zeros(BLOCK))
        case Trace():
            return _trace(recording, arrival.speed)


def mean_rate(arrival: Arrival, recording: Recording | None = None) -> float | None:
    """Return the mean rate in requests/s; None for a closed loop, which has none of its own."""
    match arrival:
        case ClosedLoop():
            return None
        case Stages():
            ends = [(float(stage.duration), *_ends(stage.rate, stage.to_rate)) for stage in arrival.stages]
            requests = sum(duration * (first + last) / 2 for duration, first, last in ends)
            return requests / sum(duration for duration, _, _ in ends)
        case Diurnal():
            return (arrival.low + arrival.high) / 2
        case Trace():
            if recording is None or recording.at_s is None or len(recording) < 2 or recording.at_s[-1] == 0:
                return None
            return float((len(recording) - 1) / recording.at_s[-1] * arrival.speed)
    return float(arrival.rate)


def _constant(rate: float) -> Iterator[Times]:
    first = 0
    while rate > 0:
        yield np.arange(first, first + BLOCK) / rate
        first += BLOCK


def _gaps(rng: Generator, *, shape: float, rate: float) -> Iterator[Times]:
    """A renewal process: gaps of mean 1/rate and coefficient of variation shape^-1/2."""
    last_s = 0.0
    while rate > 0:
        gaps = rng.standard_gamma(shape, BLOCK) if shape != 1 else rng.standard_exponential(BLOCK)
        times = last_s + np.cumsum(gaps) / (rate * shape)
        last_s = float(times[-1])
        yield times


def _normal(rng: Generator, rate: float, std: float) -> Iterator[Times]:
    """Poisson arrivals within each second, at a rate drawn for that second."""
    first_s = 0
    seconds = min(max(1, math.ceil(BLOCK / (rate + std))), BLOCK) if rate + std > 0 else 0
    while seconds:
        rates = np.maximum(rng.normal(rate, std, seconds), 0.0)
        starts = np.repeat(np.arange(first_s, first_s + seconds), rng.poisson(rates))
        yield np.sort(starts + rng.random(len(starts)))
        first_s += seconds


def _stages(rng: Generator, arrival: Stages) -> Iterator[Times]:
    """A Poisson process of unit rate, with time stretched so that it has the rate wanted at every moment.

    Within a stage of duration D whose rate goes from a to b, a t + (b - a) t² / 2D requests are expected after t;
    solved for t in the form that does not cancel.
    """
    durations = np.array([float(stage.duration) for stage in arrival.stages])
    first, last = np.array([_ends(stage.rate, stage.to_rate) for stage in arrival.stages]).T
    starts_s = np.concatenate(([0.0], np.cumsum(durations)))
    expected = np.concatenate(([0.0], np.cumsum(durations * (first + last) / 2)))
    for unit in _gaps(rng, shape=1.0, rate=1.0):
        inside = unit[unit < expected[-1]]
        stage = np.searchsorted(expected, inside, side="right") - 1
        left = inside - expected[stage]
        slope = (last[stage] - first[stage]) / durations[stage]
        root = np.sqrt(np.maximum(first[stage] ** 2 + 2 * slope * left, 0.0))
        yield starts_s[stage] + 2 * left / np.maximum(first[stage] + root, np.finfo(float).tiny)
        if len(inside) < len(unit):
            return


def _diurnal(rng: Generator, arrival: Diurnal) -> Iterator[Times]:
    """Poisson arrivals at the highest rate, thinned to a cosine between low and high (Lewis and Shedler 1979)."""
    middle, swing = (arrival.high + arrival.low) / 2, (arrival.high - arrival.low) / 2
    for times in _gaps(rng, shape=1.0, rate=arrival.high):
        rates = middle + swing * np.cos(2 * np.pi * (times - arrival.peak_at) / arrival.period)
        yield times[rng.random(len(times)) * arrival.high < rates]


def _trace(recording: Recording | None, speed: float) -> Iterator[Times]:
    if recording is None or recording.at_s is None:
        return
    for first in range(0, len(recording), BLOCK):
        yield recording.at_s[first : first + BLOCK] / speed


def _ends(rate: float, to_rate: float | None) -> tuple[float, float]:
    return float(rate), float(rate if to_rate is None else to_rate)
