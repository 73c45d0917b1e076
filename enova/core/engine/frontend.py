"""What requests spend in an API server, from what is left of their latencies once the engine's part is off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enova.core.engine.calibration import Calibration, Work, pairs_of
from enova.core.engine.snapshot import Snapshot, known
from enova.core.engine.step_time import Frontend
from enova.core.engine.windows import prompt_variance, quiet_stretches, windows_of

USUAL_S = 0.015
"""What requests spend between the server's front and its scheduler is nearly always less."""
WAIT_SPREAD = 3.0
"""Standard deviation of a wait by its mean: 1 would be exponential, but a few steps are by far the longest."""
STEADY = 1.3
"""By how much requests that begin and that end may outnumber each other, where both meet the same load."""
LEAST_S = 1e-4
"""Below that waits do not matter."""
FOR_FRONTEND = ("latency_s", "queue_s", "prefill_s", "decode_s", "finished")


def measured_frontend(snapshots: Sequence[Snapshot], calibration: Calibration) -> Frontend | None:
    """Return what a request spends outside the scheduler; None if that cannot be told.

    Only stretches without a queue are looked at, and of what is left there the wait for the end of the running
    step is taken off: the scheduler sees an arrival only then, so it is in no queue's time. What few requests wait
    is mostly chance, so a stretch counts by how well its mean is known, against what is usual. All is put before
    the scheduler: means cannot tell, and the sum is what users feel.
    """
    if any(snapshot.lacks(*FOR_FRONTEND) for snapshot in snapshots):
        return None
    pairs = windows_of(snapshots)
    variance = prompt_variance(pairs)
    weighted_s, weights = 0.0, 1 / USUAL_S**2
    for grown, began in quiet_stretches(pairs):
        finished, begun = known(grown.finished), known(grown.first_tokens)
        if not finished / STEADY <= begun <= finished * STEADY:
            continue
        engine_s = known(grown.queue_s) + known(grown.prefill_s) + known(grown.decode_s)
        wait_s = _wait_s(grown, began, calibration, variance)
        weight = finished / (WAIT_SPREAD * max(wait_s, LEAST_S)) ** 2
        weighted_s += weight * ((known(grown.latency_s) - engine_s) / finished - wait_s)
        weights += weight
    if not any(known((b - a).finished) for a, b in pairs):
        return None
    return Frontend(max(0.0, weighted_s / weights) + _http_s(pairs), 0.0, 0.0)


def _wait_s(grown: Snapshot, began: Sequence[Snapshot], calibration: Calibration, variance: float) -> float:
    """Return the mean time an arrival waits for the running step: half the sum of squares, over all time.

    The squares of steps with prompts are each prompt's share of its step, times the step; what the steps of all
    prompts add up to was measured, and knows of prompts that were computed together.
    """
    steps, prompts = known(grown.steps), known(grown.first_tokens)
    decodes = max(steps - prompts, 1.0)
    batch = known(grown.gaps) / max(steps, 1.0)
    context = float(np.mean([snapshot.context_tokens for snapshot in began]))
    tokens = (known(grown.prompt_tokens) - known(grown.cached_tokens)) / max(prompts, 1.0)
    costs = calibration.costs
    decode_s = costs.seconds(Work(1, 0, batch, 0, 0, context))
    share_s = costs.seconds(Work(0, 1, 0, tokens, pairs_of(tokens, 0), 0))
    per_token_s = costs.prompt_token_s + costs.pair_s * tokens
    squares = decodes * decode_s**2 + (decode_s + share_s) * known(grown.prefill_s)
    return (squares + prompts * per_token_s**2 * min(variance, tokens**2)) / 2 / grown.at_s


def _http_s(pairs: Sequence[tuple[Snapshot, Snapshot]]) -> float:
    """Return what an answer takes longer than the server's own view of the request; 0 where it does not say.

    Both sums are of the same requests only between moments at which none had ended for one and not for the other.
    """
    first = pairs[0][0]
    late = known(first.finished) - known(first.answers)
    alike = [b for _, b in pairs if b.answers is not None and known(b.finished) - b.answers == late]
    if not alike or first.answers is None:
        return 0.0
    grown = alike[-1] - first
    finished = known(grown.finished)
    return max(0.0, (known(grown.answers_s) - known(grown.latency_s)) / finished) if finished > 0 else 0.0
