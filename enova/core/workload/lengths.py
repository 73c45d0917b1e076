"""How long requests are: each distribution of the spec as a function that draws whole tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from enova.core.spec.injection import Empirical, Fixed, Lengths, Lognormal, NormalLength, Uniform

Tokens = NDArray[np.int64]
Draw = Callable[[Generator, int], Tokens]
"""Draws so many lengths of at least one token. One draw of n + m gives what draws of n and of m give."""

_LONGEST = 10**8
"""As for lengths in a spec: what no bound is given for is cut here."""


def drawn_from(lengths: Lengths) -> Draw:
    """Return how to draw from a distribution. Cut and rounded, lengths have another mean than was written."""
    match lengths:
        case Fixed():
            return lambda _, count: np.full(count, lengths.tokens, dtype=np.int64)
        case Uniform():
            return lambda rng, count: rng.integers(lengths.min, lengths.max, count, dtype=np.int64, endpoint=True)
        case NormalLength():
            return lambda rng, count: _cut(rng.normal(lengths.mean, lengths.std, count), lengths)
        case Lognormal():
            # From the mean m and standard deviation s of the lengths to those of their logarithms.
            variance = math.log1p((lengths.std / lengths.mean) ** 2)
            mu, sigma = math.log(lengths.mean) - variance / 2, math.sqrt(variance)
            return lambda rng, count: _cut(rng.lognormal(mu, sigma, count), lengths)
        case Empirical():
            values = np.array(lengths.values, dtype=np.int64)
            shares = np.cumsum(np.ones(len(values)) if lengths.weights is None else np.array(lengths.weights))
            shares /= shares[-1]
            return lambda rng, count: values[np.searchsorted(shares, rng.random(count), side="right")]


def _cut(lengths: NDArray[np.float64], bounds: NormalLength | Lognormal) -> Tokens:
    low = 1 if bounds.min is None else bounds.min
    high = _LONGEST if bounds.max is None else bounds.max
    return np.rint(np.clip(lengths, low, high)).astype(np.int64)
