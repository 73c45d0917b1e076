"""Another source's step times, corrected by what was measured: where data are too few to learn all costs anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from enova.core.engine.calibration import NOMINAL_ERROR, Observation, Work
from enova.core.engine.regression import Estimate, Floats, fit_costs
from enova.core.engine.step_time import Chunk, Line, Origin, StepTime

SPREAD = 0.3
"""Relative error that a source is believed to have in each of its parts before it is measured."""


class Corrections(NamedTuple):
    """What a source's parts are multiplied by, and what is added to each step."""

    added_s: float
    decode: float
    """Of steps that decode, all but what grows with contexts."""
    context: float
    """What grows with the contexts of decoding sequences."""
    prefill: float
    """What chunks of prompts add to a step."""


UNCORRECTED = Corrections(0.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A source of step times with its parts scaled; it has the knots and the window of the one it corrects."""

    base: StepTime
    corrections: Corrections

    @property
    def origin(self) -> Origin:
        """Return that it was calibrated."""
        return Origin.CALIBRATED

    @property
    def window_tokens(self) -> int | None:
        """Return the window of the source that is corrected."""
        return self.base.window_tokens

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        """Return seconds for a step."""
        decode_s = self.corrections.added_s
        if decodes:
            decode_s = _at(self.decode_line(decodes, kv_tokens, window_tokens), kv_tokens, window_tokens)
        if not chunks:
            return decode_s
        return decode_s + self.corrections.prefill * _prefill_s(
            self.base, chunks, decodes, kv_tokens, window_tokens
        )

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:
        """Return the source's line, corrected; it ends where the source's own does."""
        line, corrections = self.base.decode_line(decodes, kv_tokens, window_tokens), self.corrections
        return line._replace(
            base_s=corrections.added_s + corrections.decode * line.base_s,
            per_kv_token_s=corrections.context * line.per_kv_token_s,
            per_window_token_s=corrections.context * line.per_window_token_s,
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrections learnt, and how sure they are."""

    base: StepTime
    estimate: Estimate

    @property
    def corrections(self) -> Corrections:
        """Return the best guess."""
        return Corrections(*self.estimate.values.tolist())

    @property
    def standard_errors(self) -> Corrections:
        """Return one standard deviation of each."""
        return Corrections(*self.estimate.standard_errors.tolist())

    def step_time(self) -> Corrected:
        """Return step times by the best guess."""
        return Corrected(self.base, self.corrections)

    def draws(self, rng: np.random.Generator, count: int) -> tuple[Corrected, ...]:
        """Return step times by corrections that may as well be the true ones."""
        rows = self.estimate.draws(rng, count).tolist()
        return tuple(Corrected(self.base, Corrections(*row)) for row in rows)


def correct(base: StepTime, observations: Sequence[Observation], *, spread: float = SPREAD) -> Correction:
    """Return the corrections that make a source explain observations best; without any, it stays as it is.

    Observations of many steps are compared with the source's time for their mean step.
    """
    parts = np.array([_parts(base, row.work) for row in observations], dtype=np.float64).reshape(
        len(observations), 4
    )
    seconds = np.array([row.seconds for row in observations], dtype=np.float64)
    noise = np.array([row.noise for row in observations], dtype=np.float64)
    step_s = base.decode_line(1, 0.0, 0.0).base_s
    errors = spread * np.array([step_s, 1.0, 1.0, 1.0])
    return Correction(base, fit_costs(parts, seconds, noise, _UNCORRECTED, errors, nominal=NOMINAL_ERROR))


_UNCORRECTED: Floats = np.array(UNCORRECTED, dtype=np.float64)


def _parts(base: StepTime, work: Work) -> tuple[float, float, float, float]:
    """Return what each correction applies to, over all steps of the work."""
    batch, context = work.sequences / work.steps, work.kv_tokens / work.steps
    # A mean batch is seldom whole: between two sizes their lines are mixed.
    below = int(batch)
    fixed_s = growing_s = 0.0
    for decodes, share in ((below, below + 1 - batch), (below + 1, batch - below)):
        if decodes and share > 0:
            window = _window(base, decodes, context)
            line = base.decode_line(decodes, context, window)
            fixed_s += share * line.base_s
            growing_s += share * (_at(line, context, window) - line.base_s)
    prefill_s = 0.0
    if work.chunks:
        decodes = round(batch)
        chunk = _mean_chunk(work)
        prefill_s = _prefill_s(base, [chunk], decodes, context, _window(base, decodes, context))
    return work.steps, work.steps * fixed_s, work.steps * growing_s, work.chunks * prefill_s


def _prefill_s(base: StepTime, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window: float) -> float:
    without_s = base.step_s([], decodes, kv_tokens, window) if decodes else 0.0
    return base.step_s(chunks, decodes, kv_tokens, window) - without_s


def _mean_chunk(work: Work) -> Chunk:
    """Return the chunk that has the mean tokens, after the context with which it makes the mean pairs."""
    new = max(1, round(work.prompt_tokens / work.chunks))
    context = (work.pairs / work.chunks - new * (new + 1) / 2) / new
    return Chunk(new, max(0, round(context)), last=True)


def _window(base: StepTime, decodes: int, context: float) -> float:
    return min(context, float(decodes * base.window_tokens)) if base.window_tokens else 0.0


def _at(line: Line, kv_tokens: float, window_tokens: float) -> float:
    return line.base_s + line.per_kv_token_s * kv_tokens + line.per_window_token_s * window_tokens
