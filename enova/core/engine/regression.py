"""Fit what things cost to measured times: never negative, not led by outliers, and knowing how sure that is.

The time of every observation is a sum of a few known amounts, each times an unknown cost. The costs are found by
least squares on relative errors with a soft L1 loss, starting from a prior: what one would say without any
measurement, and how far off that may be. Where the data say little, the prior stays, with its uncertainty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Floats = NDArray[np.float64]

NOMINAL_ROWS = 3.0
"""How many observations the nominal noise is worth when the real one is judged: with few, chance would decide."""
ROUNDS = 4
"""Of fitting and judging the noise in turn; the noise changes by less than 1 % after the third."""
LEAST = 1e-9
"""Stands for nothing where a logarithm is taken or a search begins."""
FEWEST_FOR_MEMORY = 12
"""Successive observations below which nothing is said about whether their errors hang together."""


class Estimate(NamedTuple):
    """The costs found, and how sure they are."""

    values: Floats
    covariance: Floats
    scatter: float
    """Relative standard deviation of one observation about the fit, for an observation of noise 1."""
    observations: int

    @property
    def standard_errors(self) -> Floats:
        """Return one standard deviation of each cost."""
        return np.sqrt(np.diag(self.covariance))

    def predict(self, amounts: Floats) -> tuple[Floats, Floats]:
        """Return the times that rows of amounts take, and the standard deviation from not knowing the costs."""
        return amounts @ self.values, np.sqrt(np.einsum("ij,jk,ik->i", amounts, self.covariance, amounts))

    def draws(self, rng: np.random.Generator, count: int) -> Floats:
        """Return rows of costs that are as likely as not to be the true ones, none of them negative."""
        return np.maximum(rng.multivariate_normal(self.values, self.covariance, size=count, method="eigh"), 0.0)


def fit_costs(
    amounts: Floats, seconds: Floats, noise: Floats, prior: Floats, prior_errors: Floats, *, nominal: float
) -> Estimate:
    """Estimate costs so that `amounts @ costs` gives `seconds`.

    `noise` says how much noisier than the best an observation is (1: the best); `nominal` is the relative error
    expected of an observation of noise 1, which the data may correct. `prior_errors` are standard deviations.
    """
    free = prior_errors > 0
    fixed_s = amounts[:, ~free] @ prior[~free]
    scale, scatter = prior_errors[free], nominal
    problem = _Problem(amounts[:, free] * scale, fixed_s, seconds, prior[free] / scale)
    found, information = np.maximum(problem.anchor, 0.05), np.eye(len(scale))
    memory = 1.0
    for _ in range(ROUNDS):
        found = problem.solve(found, noise * scatter)
        errors = problem.errors(found) / noise
        weights = 1 / np.sqrt(1 + (errors / scatter) ** 2)
        weighted = problem.slopes(found) * (np.sqrt(weights) / noise / scatter)[:, None]
        information = weighted.T @ weighted
        taken = float(np.trace(np.linalg.solve(information + np.eye(len(scale)), information)))
        memory = _memory(errors / scatter * weights)
        scatter = _scatter(errors, taken, nominal)
    covariance = np.linalg.inv(information / memory + np.eye(len(scale)))
    values, full = prior.astype(np.float64), np.zeros((len(prior), len(prior)))
    values[free] = found * scale
    full[np.ix_(free, free)] = covariance * np.outer(scale, scale)
    return Estimate(values, full, scatter, len(seconds))


class _Problem(NamedTuple):
    """Costs in units of their prior's standard deviation; errors are logarithms, so twice weighs as half."""

    amounts: Floats
    fixed_s: Floats
    seconds: Floats
    anchor: Floats

    def errors(self, costs: Floats) -> Floats:
        return np.log(self._times(costs) / self.seconds)

    def slopes(self, costs: Floats) -> Floats:
        return self.amounts / self._times(costs)[:, None]

    def solve(self, start: Floats, sigma: Floats) -> Floats:
        def errors(costs: Floats) -> Floats:
            return np.concatenate([self.errors(costs) / sigma, costs - self.anchor])

        def slopes(costs: Floats) -> Floats:
            return np.vstack([self.slopes(costs) / sigma[:, None], np.eye(len(costs))])

        inside = np.maximum(start, LEAST)
        found: Any = least_squares(errors, inside, jac=slopes, bounds=(0, np.inf), loss="soft_l1", x_scale="jac")
        return np.asarray(found.x, dtype=np.float64)

    def _times(self, costs: Floats) -> Floats:
        return np.maximum(self.amounts @ costs + self.fixed_s, LEAST * self.seconds)


def _scatter(errors: Floats, taken: float, nominal: float) -> float:
    """Return the standard deviation of errors by their median, which outliers do not move."""
    count = len(errors)
    spread = 1.4826 * float(np.median(np.abs(errors))) if count else 0.0
    left = max(count - taken, 0.0)
    squares = left * spread**2 * count / max(count - taken, 1.0) + NOMINAL_ROWS * nominal**2
    return float(np.sqrt(squares / (left + NOMINAL_ROWS)))


def _memory(errors: Floats) -> float:
    """Return how many observations are worth one independent one, from how alike neighbours are.

    A machine has slow spells: errors that follow each other in time then repeat instead of averaging out. For
    errors whose correlation r falls off geometrically the variance of a mean grows by (1 + r) / (1 - r).
    """
    if len(errors) < FEWEST_FOR_MEMORY:
        return 1.0
    centred = errors - errors.mean()
    total = float(centred @ centred)
    alike = float(centred[1:] @ centred[:-1]) / total if total > 0 else 0.0
    alike = min(max(alike, 0.0), 0.9)
    return (1 + alike) / (1 - alike)
