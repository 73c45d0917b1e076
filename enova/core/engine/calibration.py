"""Step times learnt from a live engine: a few costs of a step, fitted to what was measured there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from enova.core.engine.regression import Estimate, Floats, fit_costs
from enova.core.engine.step_time import Chunk, Line, Origin, StepTime

NOMINAL_ERROR = 0.05
"""Relative error of a good observation before the data say better: what repeated runs on idle GPUs scatter by."""
FLOOR = 0.05
"""A cost that the prior holds to be nothing may still be this share of what would explain everything by itself."""


class Work(NamedTuple):
    """What one step, or several together, computed. A step's costs are added up in the same order."""

    steps: float
    chunks: float
    """Pieces of prompts."""
    sequences: float
    """Tokens decoded: over the steps, the sum of how many sequences were decoding."""
    prompt_tokens: float
    """Computed, not found in the prefix cache."""
    pairs: float
    """A prompt token and a token it looks back at, itself included: `pairs_of` a chunk."""
    kv_tokens: float
    """Over the steps, the sum of the decoding sequences' contexts."""


class StepCosts(NamedTuple):
    """Seconds that each thing of `Work` costs."""

    step_s: float
    chunk_s: float
    sequence_s: float
    prompt_token_s: float
    pair_s: float
    kv_token_s: float

    def seconds(self, work: Work) -> float:
        """Return how long work takes."""
        return sum(amount * cost for amount, cost in zip(work, self, strict=True))


class Observation(NamedTuple):
    """How long some work took."""

    work: Work
    seconds: float
    noise: float = 1.0
    """How much noisier than the best observations it is."""


class Prior(NamedTuple):
    """What is believed before measuring."""

    costs: StepCosts
    spread: float
    """Relative standard deviation of each."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A step time that is a sum of costs: of the step itself, of its chunks, of its decoding sequences."""

    costs: StepCosts

    @property
    def origin(self) -> Origin:
        """Return that it was calibrated."""
        return Origin.CALIBRATED

    @property
    def window_tokens(self) -> int | None:
        """Return that contexts are not told apart by a window: what was measured has its effect in it."""
        return None

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:  # noqa: ARG002
        """Return seconds for a step."""
        costs = self.costs
        total_s = costs.step_s + costs.sequence_s * decodes + costs.kv_token_s * kv_tokens
        for chunk in chunks:
            pairs = pairs_of(chunk.new_tokens, chunk.context_tokens)
            total_s += costs.chunk_s + costs.prompt_token_s * chunk.new_tokens + costs.pair_s * pairs
        return total_s

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:  # noqa: ARG002
        """Return the line, which holds for ever."""
        costs = self.costs
        base_s = costs.step_s + costs.sequence_s * decodes
        return Line(base_s, costs.kv_token_s, 0.0, float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Estimate learnt, and how sure they are."""

    estimate: Estimate

    @property
    def costs(self) -> StepCosts:
        """Return the best guess."""
        return StepCosts(*self.estimate.values.tolist())

    @property
    def standard_errors(self) -> StepCosts:
        """Return one standard deviation of each coefficient."""
        return StepCosts(*self.estimate.standard_errors.tolist())

    @property
    def scatter(self) -> float:
        """Return the relative standard deviation of one good observation about the fit."""
        return self.estimate.scatter

    def step_time(self) -> Calibrated:
        """Return step times by the best guess."""
        return Calibrated(self.costs)

    def draws(self, rng: np.random.Generator, count: int) -> tuple[Calibrated, ...]:
        """Return step times by costs that may as well be the true ones: simulate with each, and see the band."""
        return tuple(Calibrated(StepCosts(*row)) for row in self.estimate.draws(rng, count).tolist())

    def predict(self, work: Work) -> tuple[float, float]:
        """Return the seconds that work takes, and the standard deviation that not knowing the costs gives it."""
        mean_s, error_s = self.estimate.predict(np.array([work], dtype=np.float64))
        return float(mean_s[0]), float(error_s[0])


def pairs_of(new_tokens: float, context_tokens: float) -> float:
    """Return how many pairs of tokens causal attention compares for a chunk."""
    return new_tokens * context_tokens + new_tokens * (new_tokens + 1) / 2


def prefill_work(prompt_tokens: int) -> Work:
    """Return the work of a step that computes one prompt and nothing else."""
    return Work(1, 1, 0, prompt_tokens, pairs_of(prompt_tokens, 0), 0)


def decode_work(sequences: int, context_tokens: float, steps: int = 1) -> Work:
    """Return the work of steps in which sequences of a mean context decode."""
    return Work(steps, 0, steps * sequences, 0, 0, steps * sequences * context_tokens)


def calibrate(observations: Sequence[Observation], prior: Prior | None = None) -> Calibration:
    """Return the costs that explain observations best.

    Observations should follow each other as they did in time, so that slow spells of the machine can be told from
    noise. Without a prior a cost is believed to be anything up to what would explain all time by itself, so at
    least one observation is needed.
    """
    amounts = np.array([row.work for row in observations], dtype=np.float64).reshape(
        len(observations), len(Work._fields)
    )
    seconds = np.array([row.seconds for row in observations], dtype=np.float64)
    noise = np.array([row.noise for row in observations], dtype=np.float64)
    believed, errors = _belief(amounts, seconds, prior)
    return Calibration(fit_costs(amounts, seconds, noise, believed, errors, nominal=NOMINAL_ERROR))


def costs_like(step_time: StepTime, *, most_sequences: int = 256, longest: int = 8192) -> StepCosts:
    """Return the costs that come nearest to another source's step times: a prior for the same engine."""
    rows = [
        Observation(prefill_work(new), step_time.step_s([Chunk(new, 0, last=True)], 0, 0.0, 0.0))
        for new in _powers(64, longest)
    ]
    for sequences in _powers(1, most_sequences):
        for context in _powers(128, longest):
            total = float(sequences * context)
            window = float(sequences * min(context, step_time.window_tokens or context))
            rows.append(
                Observation(decode_work(sequences, context), step_time.step_s([], sequences, total, window))
            )
    return calibrate(rows).costs


def _powers(least: int, most: int) -> list[int]:
    return [least * 4**power for power in range(16) if least * 4**power <= most]


def _belief(amounts: Floats, seconds: Floats, prior: Prior | None) -> tuple[Floats, Floats]:
    totals = amounts.sum(axis=0)
    # What a cost would be if it alone explained all the time.
    alone = np.divide(seconds.sum(), totals, out=np.zeros_like(totals), where=totals > 0)
    if prior is None:
        # Nothing in a chunk that does not go by its length takes longer than a step that has no chunk.
        plain = (amounts[:, 1] == 0) & (amounts[:, 0] > 0)
        if plain.any():
            alone[1] = min(alone[1], float(np.median(seconds[plain] / amounts[plain, 0])))
        return np.zeros_like(alone), alone
    values = np.array(prior.costs, dtype=np.float64)
    return values, prior.spread * np.maximum(values, FLOOR * alone)
