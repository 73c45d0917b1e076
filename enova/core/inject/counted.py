"""The answers of a run, counted as simulated ones are: from when they were due, and from when they were sent."""

from __future__ import annotations

from array import array

import numpy as np

from enova.core.inject.outcome import Outcome
from enova.core.simulate.collector import Collector
from enova.core.simulate.forecast import STEADY, Conditions, interval_s_of
from enova.core.simulate.observer import Served
from enova.core.simulate.promises import targets_of
from enova.core.simulate.results import NO_MODEL_ERROR, Results
from enova.core.simulate.summary import Work, results_of
from enova.core.workload.load import Load

_NO_WORK = Work(busy_s=0.0, present_s=0.0, preemptions=0)


class Counted:
    """Two collectors. Gaps between tokens are the same for both, and are counted from the schedule only."""

    def __init__(self, load: Load, conditions: Conditions) -> None:
        self._due, self._sent = _collector(load, conditions), _collector(load, conditions)

    def answered(self, outcome: Outcome) -> None:
        """Take note of an answer. What passes in the client before its request is sent is its queue."""
        request, sent_s, first_s, last_s, prompt_tokens, output_tokens, _ = outcome
        seen = request._replace(
            prompt_tokens=prompt_tokens or request.prompt_tokens, output_tokens=max(1, output_tokens)
        )
        self._due.served(Served(seen, sent_s, first_s, last_s, 0, 0))
        self._sent.served(Served(seen._replace(arrival_s=sent_s), sent_s, first_s, last_s, 0, 0))

    def failed(self, outcome: Outcome) -> None:
        """Take note of a request without a whole answer."""
        for collector in (self._due, self._sent):
            collector.lost(outcome.request, outcome.last_s, outcome.failure)

    def gaps(self, gaps_s: array[float]) -> None:
        """Take note of times between tokens, in seconds."""
        self._due.decoded_many(np.array(gaps_s))

    def results(self) -> tuple[Results, Results]:
        """Return what there is, from the schedule and from the send."""
        return results_of(self._due, _NO_WORK), results_of(self._sent, _NO_WORK)


def _collector(load: Load, conditions: Conditions) -> Collector:
    return Collector(
        targets=targets_of(conditions.promises),
        error=NO_MODEL_ERROR,
        warmup_s=conditions.warmup_s,
        interval_s=interval_s_of(load, conditions),
        changing=not isinstance(load.arrival, STEADY),
        closed=load.users is not None,
    )
