"""Steps whose durations grow by a constant: how long so many take, and how many fit before a moment."""

from __future__ import annotations

from math import ceil, sqrt


def elapsed_s(first_s: float, slope_s: float, steps: int) -> float:
    """Return seconds that steps take that last `first_s` at first, and each `slope_s` more than the last."""
    return steps * first_s + slope_s * (steps * (steps - 1) // 2)


def steps_to(moment_s: float, start_s: float, first_s: float, slope_s: float) -> int:
    """Return the least number of steps from `start_s` on, at least one, that end at or after a moment.

    The root of the parabola is a first guess, which rounding may have moved over a whole number; comparing its
    neighbours with `elapsed_s` itself makes the answer consistent with it to the last bit.
    """
    apart_s = moment_s - start_s
    if apart_s <= first_s:
        return 1 if start_s + first_s >= moment_s else 2
    middle = first_s - slope_s / 2
    steps = max(1, ceil(2 * apart_s / (middle + sqrt(max(0.0, middle * middle + 2 * slope_s * apart_s)))))
    while steps > 1 and start_s + elapsed_s(first_s, slope_s, steps - 1) >= moment_s:
        steps -= 1
    while start_s + elapsed_s(first_s, slope_s, steps) < moment_s:
        steps += 1
    return steps
