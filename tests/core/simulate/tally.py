"""An observer that keeps everything, for tests that look at single requests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from enova.core.simulate.engine import Served
from enova.core.workload.request import Request


@dataclass
class Tally:
    """What became of each request, in the order in which it was known."""

    answers: list[Served] = field(default_factory=list)
    refusals: list[Request] = field(default_factory=list)
    losses: list[tuple[Request, float, str]] = field(default_factory=list)

    def served(self, served: Served) -> None:
        self.answers.append(served)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        pass

    def rejected(self, request: Request, reason: str) -> None:
        self.refusals.append(request)

    def lost(self, request: Request, at_s: float, reason: str) -> None:
        self.losses.append((request, at_s, reason))

    @property
    def numbers(self) -> list[int]:
        """Return the number of every request heard of, sorted."""
        requests = [served.request for served in self.answers] + self.refusals + [loss[0] for loss in self.losses]
        return sorted(request.number for request in requests)

    def waits_s(self) -> NDArray[np.float64]:
        """Return how long requests waited until they were scheduled, in the order of their numbers."""
        return self._by_number([served.scheduled_s - served.request.arrival_s for served in self.answers])

    def ttfts_s(self) -> NDArray[np.float64]:
        return self._by_number([served.first_token_s - served.request.arrival_s for served in self.answers])

    def latencies_s(self) -> NDArray[np.float64]:
        return self._by_number([served.finished_s - served.request.arrival_s for served in self.answers])

    def _by_number(self, values: list[float]) -> NDArray[np.float64]:
        order = np.argsort([served.request.number for served in self.answers])
        return np.array(values)[order]
