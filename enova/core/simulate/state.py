"""What an engine is doing, as of the moment it was last advanced to."""

from __future__ import annotations

from enova.core.simulate.decodes import Decodes
from enova.core.simulate.leap import Leap
from enova.core.simulate.limits import Limits
from enova.core.simulate.scheduler import Scheduler
from enova.core.simulate.sequence import Sequence


class State:
    """The part of an engine that can be asked without changing anything."""

    def __init__(self, limits: Limits, window_tokens: int | None) -> None:
        self._limits = limits
        self._decodes = Decodes(limits.pages, limits.tokens_per_step, window_tokens)
        self._scheduler = Scheduler(limits, self._decodes)
        self._pending: list[tuple[float, int, Sequence]] = []
        """Submitted, but not yet taken into the queue: a heap by the time the scheduler may see them."""
        self._flight = Leap()
        """The steps that run."""
        self.now_s = 0.0
        self.leaps = 0
        self.prompt_tokens = 0
        self._steps = 0
        self._busy_s = 0.0
        self._output_tokens = 0

    @property
    def running(self) -> int:
        """Return how many requests have a seat."""
        return len(self._scheduler.running) - len(self._scheduler.leaving)

    @property
    def waiting(self) -> int:
        """Return how many requests the scheduler has seen and not let in."""
        arrived = sum(1 for ready_s, _, _ in self._pending if ready_s <= self.now_s)
        return len(self._scheduler.waiting) + arrived

    @property
    def kv_used_blocks(self) -> int:
        """Return the blocks in use, those allocated for the step in flight included."""
        scheduler = self._scheduler
        in_flight = self._flight.ended(self.now_s) + 1 if self._flight.steps else 0
        leaving = sum(sequence.blocks for sequence in scheduler.leaving)
        return self._limits.kv_blocks - scheduler.room() - leaving + self._decodes.blocks(in_flight)

    @property
    def steps(self) -> int:
        """Return how many steps have ended."""
        return self._steps + self._flight.ended(self.now_s)

    @property
    def output_tokens(self) -> int:
        """Return how many tokens have come out."""
        return self._output_tokens + self._decodes.count * self._decodes.gain(self._flight.ended(self.now_s))

    @property
    def busy_s(self) -> float:
        """Return seconds in which a step ran."""
        return self._busy_s + (max(0.0, self.now_s - self._flight.start_s) if self._flight.steps else 0.0)

    @property
    def preemptions(self) -> int:
        """Return how often a sequence lost its place."""
        return self._scheduler.preemptions

    def tokens(self) -> dict[int, int]:
        """Return the tokens that each request with a seat has produced, by number."""
        ended = self._flight.ended(self.now_s)
        seated, leaving = self._scheduler.running.items(), self._scheduler.leaving
        return {number: self._produced(one, ended) for number, one in seated if one not in leaving}

    def tokens_of(self, number: int) -> int:
        """Return the tokens an unfinished request has produced. KeyError if there is none so numbered."""
        return self._produced(self._find(number), self._flight.ended(self.now_s))

    def _find(self, number: int) -> Sequence:
        scheduler = self._scheduler
        seated = scheduler.running.get(number)
        if seated is not None and seated not in scheduler.leaving:
            return seated
        for queued in (*scheduler.waiting, *(entry[2] for entry in self._pending)):
            if queued.request.number == number:
                return queued
        raise KeyError(number)

    def _produced(self, sequence: Sequence, steps: int) -> int:
        return self._decodes.produced(sequence, steps) if sequence.decoding else sequence.produced
