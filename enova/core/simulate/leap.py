"""Steps in flight whose durations grow by a constant: when they end, and which has ended by a moment."""

from __future__ import annotations

from math import ceil, inf, sqrt


class Leap:
    """So many steps from `start_s` on, of which the first lasts `first_s` and each `slope_s` more than the last.

    `steps` is 0 while none are in flight. All answers come from one closed form, so they agree to the last bit.
    """

    __slots__ = ("end_s", "first_s", "slope_s", "start_s", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.start_s = -inf
        self.end_s = -inf
        self.first_s = 0.0
        self.slope_s = 0.0

    def begin(self, start_s: float, first_s: float, slope_s: float, steps: int) -> None:
        """Put steps in flight."""
        self.start_s = start_s
        self.first_s = first_s
        self.slope_s = slope_s
        self.steps = steps
        self.end_s = start_s + steps * first_s + slope_s * (steps * (steps - 1) // 2)

    def after(self, steps: int) -> float:
        """Return the moment at which so many of the steps have ended."""
        return self.start_s + steps * self.first_s + self.slope_s * (steps * (steps - 1) // 2)

    def cut(self, moment_s: float, *, then: int = 0) -> None:
        """Leave only the steps up to the first boundary at or after a moment, and `then` more, if it has more."""
        steps = self._steps_to(moment_s) + then
        if steps < self.steps:
            self.steps = steps
            self.end_s = self.after(steps)

    def ended(self, now_s: float) -> int:
        """Return how many steps have ended by now; never all, since someone else has to see that."""
        if not self.steps or now_s < self.start_s + self.first_s:
            return 0
        steps = self._steps_to(now_s)
        if self.after(steps) > now_s:
            steps -= 1
        return min(steps, self.steps - 1)

    def _steps_to(self, moment_s: float) -> int:
        """Return the least number of steps, at least one, that end at or after a moment.

        The root of a parabola is a first guess, which rounding may have moved over a whole number.
        """
        start_s, first_s, slope_s = self.start_s, self.first_s, self.slope_s
        apart_s = moment_s - start_s
        if apart_s <= 0.0:
            return 1
        if slope_s:
            middle_s = first_s - slope_s / 2
            square = middle_s * middle_s + 2 * slope_s * apart_s
            root = sqrt(square) if square > 0 else 0.0
            # Two forms of one root, each without a difference of numbers that are nearly alike.
            guess = (root - middle_s) / slope_s if middle_s < 0 else 2 * apart_s / (root + middle_s)
        else:
            guess = apart_s / first_s
        steps = ceil(guess) or 1
        while start_s + steps * first_s + slope_s * (steps * (steps - 1) // 2) < moment_s:
            steps += 1
        while steps > 1 and self.after(steps - 1) >= moment_s:
            steps -= 1
        return steps
