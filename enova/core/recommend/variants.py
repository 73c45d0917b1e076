"""Other batch limits for a way that breaks a promise on latency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from enova.core.recommend.bounds import decode_seats
from enova.core.recommend.fields import pinned
from enova.core.recommend.shape import Shape, shape_with
from enova.core.recommend.trial import Bench, Trial
from enova.core.simulate.results import Metric

BATCHED_TOKENS = (2048, 1024, 512)
"""Smaller steps, so that prompts hold up decoding less."""
MORE_BATCHED_TOKENS = (16_384,)
LARGER_GAINS = 1.5
"""Factor on time to first token that larger steps may gain at most."""


def variants(bench: Bench, trial: Trial) -> Iterator[Shape]:
    """Yield shapes with other batch limits that may keep what this trial broke, the likeliest first."""
    question, shape = bench.question, trial.shape
    service = question.service
    broken = {promise.metric for promise in trial.broken}
    seats_open = not pinned(service, "engine.max_num_seqs")
    tokens_open = not pinned(service, "engine.max_num_batched_tokens")
    between = [promise.target_s for promise in trial.broken if promise.metric in (Metric.TPOT, Metric.ITL)]
    if between and trial.piles_up and not trial.results.preemptions:
        # Smaller batches serve even less, unless they save that work is done twice.
        return
    changes: list[dict[str, Any]] = []
    if between and seats_open:
        changes += [{"engine.max_num_seqs": seats} for seats in _seats(bench, shape, min(between))]
    if between and tokens_open:
        smaller = [tokens for tokens in BATCHED_TOKENS if tokens < shape.setup.max_num_batched_tokens]
        changes += [{"engine.max_num_batched_tokens": tokens} for tokens in smaller[:2]]
        if changes and smaller and seats_open and "engine.max_num_seqs" in changes[0]:
            changes.append(changes[0] | {"engine.max_num_batched_tokens": smaller[0]})
    if Metric.TTFT in broken and not between and tokens_open and _nearly(trial):
        larger = [tokens for tokens in MORE_BATCHED_TOKENS if tokens > shape.setup.max_num_batched_tokens]
        changes += [{"engine.max_num_batched_tokens": tokens} for tokens in larger]
    for change in changes:
        merged = dict(shape.chosen) | change
        seats = int(merged.get("engine.max_num_seqs") or shape.setup.max_num_seqs)
        tokens = int(merged.get("engine.max_num_batched_tokens") or shape.setup.max_num_batched_tokens)
        if tokens >= seats:
            yield shape_with(question, shape.pool, merged)


def _nearly(trial: Trial) -> bool:
    """Tell whether larger batches, which compute prompts somewhat sooner, may be enough."""
    return trial.shape.setup.gpu.vendor != "cpu" and trial.excess() <= LARGER_GAINS


def _seats(bench: Bench, shape: Shape, target_s: float) -> list[int]:
    """Return batch sizes that keep decode steps within a target on TPOT, with room for prompts in between."""
    most = shape.setup.max_num_seqs
    step_time = bench.replica(shape).step_time
    factor = bench.question.evidence.error.of(step_time.origin, Metric.TPOT).high
    found = [decode_seats(step_time, bench.demand, share * target_s / factor, most) for share in (0.9, 0.6)]
    rounded = [_rounded(seats) for seats in found if 0 < seats < most]
    return list(dict.fromkeys(rounded))


def _rounded(seats: int) -> int:
    """Return a number of seats people would write: a power of two, or one and a half times one."""
    power = 1 << (seats.bit_length() - 1)
    return power + power // 2 if seats >= power + power // 2 > power else power
