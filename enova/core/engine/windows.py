"""Turn what an engine's counters did between snapshots into observations of how long its steps take.

Best are windows in which one sequence decoded from beginning to end, for sure: fewer requests ended than were
decoding when it began. Then there was no idle time and no step without decodes, and steps show in two ways. The
gaps between tokens add up each step's length as often as sequences decoded in it: their mean is exact while the
batch stays what it is, however short the window. And the window's own length is that of its steps but for the two
cut by its edges: nearly exact for many steps, however much the batch changes.

Long windows with idle times between still tell something by the laws of queues; short ones tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from enova.core.engine.calibration import NOMINAL_ERROR, Observation, Work, pairs_of
from enova.core.engine.snapshot import GROWING, Snapshot, known

NEEDED = (
    "steps", "gaps", "gaps_s", "first_tokens", "prompt_tokens", "cached_tokens", "output_tokens", "finished",
    "finished_prompt_tokens", "finished_output_tokens",
)  # fmt: skip
FOR_PREFILL = ("prefill_s", "queue_s")
EDGE = 0.4
"""Standard deviation of what the edges of a window cut off, in steps: of the difference of two uniform shares."""
LONG_EDGE = 10.0
"""How much longer than the mean a step may be that an edge falls into, where prompts are computed too."""
PER_CHANGE = 0.1
"""Relative error of the mean gap for each request that joins or leaves, by the batch it joins: when is unknown."""
FEWEST = 8
"""Requests that are taken together where only their mean says something."""
SELDOM = 0.3
"""Share of the time in which prompts may be computed, if one of them alone is to be told from several together."""
MEAN_NOISE = 3.0
"""Of observations that assume what a mean request met."""


class Reading(NamedTuple):
    """What a series of snapshots says about an engine's steps."""

    observations: tuple[Observation, ...]
    """In the order of time."""
    windows: int
    """How many there were; one without an observation was idle, or too short to tell."""
    unknown: tuple[str, ...]
    """Fields of `Snapshot` that would have been needed."""


def reading_of(snapshots: Sequence[Snapshot]) -> Reading:
    """Return observations of steps.

    Where a counter went back the engine was started anew: nothing is concluded across that.
    """
    lacking = {name for snapshot in snapshots for name in snapshot.lacks(*NEEDED, *FOR_PREFILL)}
    unknown = tuple(name for name in GROWING if name in lacking)
    pairs = windows_of(snapshots)
    if lacking & set(NEEDED):
        return Reading((), len(pairs), unknown)
    variance = prompt_variance(pairs)
    observations = [seen for a, b in pairs if (seen := _busy(a, b, variance) or _sparse(a, b))]
    if not lacking:
        observations += _prefills(pairs, variance)
    return Reading(tuple(observations), len(pairs), unknown)


def windows_of(snapshots: Sequence[Snapshot]) -> list[tuple[Snapshot, Snapshot]]:
    """Return the pairs of successive snapshots between which the engine was not started anew."""
    return [(a, b) for a, b in pairwise(snapshots) if all(known(getattr(b - a, name)) >= 0 for name in GROWING)]


def quiet_stretches(pairs: Sequence[tuple[Snapshot, Snapshot]]) -> Iterator[tuple[Snapshot, list[Snapshot]]]:
    """Yield what happened in stretches in which prompts met no queue, and the snapshots windows began with."""
    began: list[Snapshot] = []
    last: Snapshot | None = None
    for a, b in pairs:
        if a is not last:
            began = []
        began.append(a)
        last = b
        grown = b - began[0]
        if known(grown.finished) < FEWEST:
            continue
        if not grown.preemptions and known(grown.queue_s) < known(grown.prefill_s) / 4:
            yield grown, began
        began = []


def _busy(a: Snapshot, b: Snapshot, variance: float) -> Observation | None:
    """Observe a window in which the engine was surely decoding throughout."""
    window = b - a
    steps, gaps, prompts = known(window.steps), known(window.gaps), known(window.first_tokens)
    finished = known(window.finished)
    # Work done anew after a preemption is counted nowhere.
    if not steps or not gaps or window.preemptions or finished >= a.decoding:
        return None
    new, pairs = _prompt_work(window, variance)
    context = steps * (a.context_tokens + b.context_tokens) / 2
    by_gaps = 1 + PER_CHANGE * (prompts + finished) * steps / gaps / NOMINAL_ERROR
    by_clock = max(1.0, EDGE * (LONG_EDGE if prompts else 1.0) / steps / NOMINAL_ERROR)
    if by_clock < by_gaps:
        return Observation(Work(steps, prompts, gaps, new, pairs, context), window.at_s, by_clock)
    # Those who decode while a prompt is computed see it; those who join with it or later do not. Several prompts
    # are taken to be computed together half of the time; those who end, to do so before or after.
    saw = a.decoding + (prompts - 1) / 4 - finished / 2
    share = max(0.0, saw) * steps / gaps
    work = Work(steps, prompts * share, gaps, new * share, pairs * share, context)
    return Observation(work, steps * known(window.gaps_s) / gaps, by_gaps)


def _sparse(a: Snapshot, b: Snapshot) -> Observation | None:
    """Observe the mean gap of a long window with idle times.

    Where requests come and go independently of each other, the number that decode is Poisson with the mean that
    Little's law gives: an arriving prompt meets that many, and a decoding sequence one more, itself.
    """
    window = b - a
    gaps, finished = known(window.gaps), known(window.finished)
    if finished < FEWEST or not gaps or window.preemptions:
        return None
    met = known(window.gaps_s) / window.at_s
    context = (known(window.finished_prompt_tokens) + known(window.finished_output_tokens) / 2) / finished
    share = met / gaps
    prompts = known(window.first_tokens)
    new, pairs = _prompt_work(window, 0.0)
    work = Work(1, prompts * share, 1 + met, new * share, pairs * share, (1 + met) * context)
    return Observation(work, known(window.gaps_s) / gaps, MEAN_NOISE)


def _prefills(pairs: Sequence[tuple[Snapshot, Snapshot]], variance: float) -> Iterator[Observation]:
    """Observe the step that computes a prompt, where prompts met no queue.

    With it are computed those that arrived in the same step, the one before, which is longer than a mean one: an
    arrival is as likely to fall into a step as the step is long.
    """
    for grown, began in quiet_stretches(pairs):
        prompts = known(grown.finished)
        tokens = (known(grown.finished_prompt_tokens) - known(grown.cached_tokens)) / prompts
        batch = float(np.mean([snapshot.decoding for snapshot in began]))
        context = float(np.mean([snapshot.context_tokens for snapshot in began]))
        mean_s, share = known(grown.prefill_s) / prompts, known(grown.prefill_s) / grown.at_s
        if share > SELDOM:
            continue
        before_s = share * mean_s + (1 - share) * known(grown.gaps_s) / max(known(grown.gaps), 1.0)
        together = 1 + prompts / grown.at_s * before_s
        pairs_each = pairs_of(tokens, 0) + min(variance, tokens**2) / 2
        work = Work(1, together, batch, together * tokens, together * pairs_each, context)
        yield Observation(work, mean_s, MEAN_NOISE)


def _prompt_work(window: Snapshot, variance: float) -> tuple[float, float]:
    """Return the prompt tokens computed, and the pairs they made."""
    prompts = known(window.first_tokens)
    if not prompts:
        return 0.0, 0.0
    cached = known(window.cached_tokens)
    new = max(known(window.prompt_tokens) - cached, 0.0)
    # Of independent lengths with a known sum, the expected squares add up to this. Where lengths change in time,
    # those of a window scatter less than all: hardly by more than their mean.
    squares = new**2 / prompts + (prompts - 1) * min(variance, (new / prompts) ** 2)
    return new, (squares + new) / 2 + new * cached / prompts


def prompt_variance(pairs: Sequence[tuple[Snapshot, Snapshot]]) -> float:
    """Return the variance of prompt lengths: the means of windows scatter with it, divided by their prompts."""
    windows = [b - a for a, b in pairs]
    counts = np.array([known(window.first_tokens) for window in windows])
    tokens = np.array([known(window.prompt_tokens) for window in windows])
    some = counts > 0
    free = int(some.sum()) - 1
    if free < 1:
        return 0.0
    mean = tokens.sum() / counts.sum()
    return float((counts[some] * (tokens[some] / counts[some] - mean) ** 2).sum() / free)
