"""Watches a simulation and makes Results of what it sees, at a few microseconds a request.

What is seen waits in flat arrays until there is enough for numpy to be worth its while. Short runs wait until
their end, so that they are cut into batches as well as long ones are.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from enova.core.engine.step_time import Origin
from enova.core.simulate.batches import Batch, Batches
from enova.core.simulate.observer import Served
from enova.core.simulate.replica import ReplicaView, Stage
from enova.core.simulate.results import NO_MODEL_ERROR, Metric, ModelError, Records
from enova.core.simulate.statistics import Distribution, Floats
from enova.core.simulate.timeline import Timeline
from enova.core.workload.request import Request

_ROWS, _COLUMNS = 1 << 16, 9
_ARRIVAL, _SCHEDULED, _FIRST, _FINISHED, _PROMPT, _OUTPUT, _KIND, _PREEMPTIONS, _CACHED = range(_COLUMNS)
_RAMPS, _RAMP_COLUMNS = 1 << 18, 5
_MARK = _RAMP_COLUMNS - 1
"""Where a ramp says how many requests had been served before."""
_FEWEST_IN_BATCH, _BATCHES = 10, 20


class PerKind:
    """What one class of requests saw, but for gaps between tokens, which nobody tells apart by class."""

    def __init__(self) -> None:
        self.latencies: dict[Metric, Distribution] = {metric: Distribution() for metric in Metric}
        self.served = 0
        self.rejected = 0
        self.good = np.zeros(3)

    def add(self, latencies: Mapping[Metric, Floats], good: Floats) -> None:
        """Add requests."""
        self.served += good.shape[1]
        self.good += good.sum(axis=1)
        for metric, values in latencies.items():
            self.latencies[metric].add_all(values[~np.isnan(values)])


class Collector:
    """An observer of engines and fleets. `targets` are what every single request is judged by, in seconds.

    Requests that arrive before `warmup_s` are left out of latencies and goodput, and answers before it out of
    throughput. Goodput is counted at both ends of the model's `error` too. `changing` says that the traffic is not
    the same all the time, which is no noise; `closed`, that users wait for their answers.
    """

    def __init__(
        self,
        *,
        targets: Mapping[Metric, float] | None = None,
        error: ModelError = NO_MODEL_ERROR,
        origin: Origin = Origin.ROOFLINE,
        warmup_s: float = 0.0,
        interval_s: float = 1.0,
        changing: bool = False,
        closed: bool = False,
        keep_records: bool = False,
    ) -> None:
        self.targets = {metric: target for metric, target in (targets or {}).items() if metric in _JUDGED}
        self.error = error
        self.origin = origin
        self.warmup_s = warmup_s
        self.timeline = Timeline(interval_s)
        self.kinds: dict[str, int] = {}
        self.per_kind: list[PerKind] = []
        self.reasons: dict[str, int] = {}
        """How many were rejected or lost, by reason."""
        self.losses = 0
        self.closed = closed
        self.batches = Batches(1, changing=changing)
        self._chunks: list[Floats] | None = [] if keep_records else None
        self._rows = array("d")
        self._ramps = array("d")
        self._seen = 0
        self._flushed = 0
        self._first_kept = math.inf
        """Index of the first request after the warm-up."""

    def served(self, served: Served) -> None:
        """Take note of an answer."""
        (_, arrival_s, prompt, output, kind, *_), scheduled_s, first_s, finished_s, preemptions, cached = served
        which = self.kinds.get(kind)
        if which is None:
            which = self._add_kind(kind)
        self._rows.extend(
            (arrival_s, scheduled_s, first_s, finished_s, prompt, output, which, preemptions, cached)
        )
        self._seen += 1
        if len(self._rows) >= _ROWS * _COLUMNS or len(self._ramps) >= _RAMPS * _RAMP_COLUMNS:
            self.flush()

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        """Take note of gaps between tokens."""
        self._ramps.extend((first_s, last_s, steps, sequences, self._seen))

    def decoded_many(self, gaps_s: Floats) -> None:
        """Take note of single gaps between tokens, many at once."""
        ramps = np.ones((len(gaps_s), _RAMP_COLUMNS))
        ramps[:, :2] = gaps_s[:, None]
        ramps[:, _MARK] = self._seen
        self._ramps.frombytes(ramps.tobytes())
        # Before the first answer it is not known how long batches are to be.
        if len(self._ramps) >= _RAMPS * _RAMP_COLUMNS and self._seen:
            self.flush()

    def rejected(self, request: Request, reason: str) -> None:
        """Take note of a request that can never run."""
        self._refuse(request, reason)

    def lost(self, request: Request, at_s: float, reason: str) -> None:  # noqa: ARG002 - as FleetObserver has it
        """Take note of a request that got no whole answer."""
        self.losses += self._refuse(request, reason)

    def look(self, now_s: float, views: Sequence[ReplicaView]) -> None:
        """Take note of the state of a fleet."""
        serving = [view for view in views if view.stage is Stage.READY]
        for view in serving:
            if now_s >= self.warmup_s:
                self.timeline.crowded(view.kv_use)
        self.timeline.look(
            now_s,
            running=sum(view.running for view in serving),
            waiting=sum(view.waiting for view in serving),
            kv_use=sum(view.kv_use for view in serving) / max(1, len(serving)),
            replicas=len(serving),
        )

    def flush(self) -> None:
        """Bin what waits. At the end of a run the caller does that too."""
        rows = np.asfortranarray(np.array(self._rows).reshape(-1, _COLUMNS))
        ramps = np.asfortranarray(np.array(self._ramps).reshape(-1, _RAMP_COLUMNS))
        del self._rows[:], self._ramps[:]
        if not self._flushed:
            batches = min(max(len(rows) // _FEWEST_IN_BATCH, 2), _BATCHES)
            self.batches = Batches(max(1, math.ceil(len(rows) / batches)), changing=self.batches.changing)
        if self._chunks is not None:
            self._chunks.append(rows)
        self.timeline.served(*(rows[:, column] for column in (_ARRIVAL, _FIRST, _FINISHED, _PROMPT, _OUTPUT)))
        kept = np.flatnonzero(rows[:, _ARRIVAL] >= self.warmup_s)
        if len(kept):
            self._first_kept = min(self._first_kept, self._flushed + int(kept[0]))
        start, self._flushed = self._flushed, self._flushed + len(rows)
        end = max(self._flushed, start + 1)
        # What was noted when no request was kept yet is left out; what came after the last answer is of its batch.
        ramps = ramps[int(np.searchsorted(ramps[:, _MARK], self._first_kept)) :]
        while start < end:
            batch = self.batches.at(start)
            until = min((start // self.batches.size + 1) * self.batches.size, end)
            self._bin(batch, rows[: until - start])
            mine = len(ramps) if until == end else int(np.searchsorted(ramps[:, _MARK], until))
            batch.latencies[Metric.ITL].add_ramps(*ramps[:mine, :_MARK].T)
            rows, ramps, start = rows[until - start :], ramps[mine:], until

    def records(self) -> Records | None:
        """Return every request, if they were kept."""
        if self._chunks is None:
            return None
        rows = np.concatenate([*self._chunks, np.empty((0, _COLUMNS))])
        whole = rows.astype(np.int64)
        names = list(self.kinds)
        return Records(
            arrival_s=rows[:, _ARRIVAL],
            scheduled_s=rows[:, _SCHEDULED],
            first_token_s=rows[:, _FIRST],
            finished_s=rows[:, _FINISHED],
            prompt_tokens=whole[:, _PROMPT],
            output_tokens=whole[:, _OUTPUT],
            preemptions=whole[:, _PREEMPTIONS],
            cached_tokens=whole[:, _CACHED],
            kinds=tuple(names[kind] for kind in whole[:, _KIND].tolist()),
        )

    def _refuse(self, request: Request, reason: str) -> bool:
        """Count a request without an answer if it came after the warm-up; return whether it did."""
        if request.arrival_s < self.warmup_s:
            return False
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        which = self.kinds.get(request.kind)
        self.per_kind[self._add_kind(request.kind) if which is None else which].rejected += 1
        return True

    def _add_kind(self, kind: str) -> int:
        self.per_kind.append(PerKind())
        return self.kinds.setdefault(kind, len(self.kinds))

    def _bin(self, batch: Batch, rows: Floats) -> None:
        done = rows[rows[:, _FINISHED] >= self.warmup_s]
        if len(done):
            batch.done += (len(done), done[:, _PROMPT].sum(), done[:, _OUTPUT].sum())
            batch.cached_tokens += float(done[:, _CACHED].sum())
            batch.until_s = max(batch.until_s, float(done[:, _FINISHED].max()))
        rows = rows[rows[:, _ARRIVAL] >= self.warmup_s]
        if not len(rows):
            return
        latencies = _latencies(rows)
        for metric, values in latencies.items():
            batch.latencies[metric].add_all(values[~np.isnan(values)])
        good = self._good(latencies)
        batch.judged += len(rows)
        batch.good += good.sum(axis=1)
        for kind, which in self.kinds.items():
            if kind:
                mine = rows[:, _KIND] == which
                self.per_kind[which].add(
                    {metric: values[mine] for metric, values in latencies.items()}, good[:, mine]
                )

    def _good(self, latencies: Mapping[Metric, Floats]) -> Floats:
        """Return 1 for each request that meets all targets: as predicted, at the high and the low end of error."""
        count = len(latencies[Metric.E2E])
        good = np.ones((3, count))
        for metric, target in self.targets.items():
            error = self.error.of(self.origin, metric)
            for row, factor in enumerate((1.0, error.high, error.low)):
                # Without a second token there is no time between tokens to be too long.
                good[row] *= ~(latencies[metric] * factor > target)
        return good


_JUDGED = (Metric.TTFT, Metric.TPOT, Metric.E2E)


def _latencies(rows: Floats) -> dict[Metric, Floats]:
    """Return the latencies of requests by metric; NaN where one has none."""
    arrival, scheduled, first, finished = rows[:, : _FINISHED + 1].T
    queue = {Metric.QUEUE: np.maximum(scheduled - arrival, 0.0)}
    return latencies_of(arrival, first, finished, rows[:, _OUTPUT]) | queue


def latencies_of(arrival: Floats, first: Floats, finished: Floats, output: Floats) -> dict[Metric, Floats]:
    """Return what users see of answers, from their times and output tokens; NaN where one has none."""
    further = np.where(output > 1, output - 1, math.nan)
    return {
        Metric.TTFT: first - arrival,
        Metric.TPOT: (finished - first) / further,
        Metric.E2E: finished - arrival,
    }
