"""A load: the spec's injection turned into requests, one after another, never all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from enova.core.spec.injection import Arrival, ClosedLoop, Injection, Trace
from enova.core.workload.arrivals import Times, times_of
from enova.core.workload.recording import Recording
from enova.core.workload.request import Request
from enova.core.workload.sources import Shapes, Sources, kinds_of, stream
from enova.errors import UsageError


@dataclass(frozen=True, slots=True)
class Users:
    """A closed loop: so many users, each of whom sends the next request when the last one is done."""

    number: int
    think_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that come to a service. The same load yields the same requests, however often it is asked."""

    injection: Injection
    arrival: Arrival
    seed: int = 0
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    """What the injection's files hold, by path."""

    @property
    def users(self) -> Users | None:
        """Return the users of a closed loop, None where requests come whether or not others are done."""
        arrival = self.arrival
        return Users(arrival.users, float(arrival.think_time)) if isinstance(arrival, ClosedLoop) else None

    @property
    def duration_s(self) -> float | None:
        """Return how long requests are sent; None: without an end, or until a trace or the stages end."""
        return None if self.injection.duration is None else float(self.injection.duration)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the names of the classes, none where all requests are of one kind."""
        return tuple(kind.name for kind in self.injection.classes)

    @property
    def trace(self) -> Recording | None:
        """Return the recording that arrivals come from, if they do."""
        return self.recordings.get(self.arrival.file) if isinstance(self.arrival, Trace) else None

    def requests(self, limit: int | None = None) -> Iterator[Request]:
        """Yield the requests by arrival, up to `limit` and the duration.

        In a closed loop all have arrival 0: each comes when the user it falls to is free, and whoever runs the
        loop ends it when the duration is over.
        """
        sources = Sources(self.injection, self.seed, self.recordings, self.trace)
        number = 0
        for times in times_of(self.arrival, stream(self.seed, "arrivals"), self.trace):
            count = len(times) if limit is None else min(len(times), limit - number)
            if self.duration_s is not None:
                count = min(count, int(np.searchsorted(times, self.duration_s)))
            yield from self._requests(number, times[:count], sources.shapes(number, len(times)))
            number += count
            if count < len(times) or number == limit:
                return

    def _requests(self, first: int, times: Times, shapes: Shapes) -> Iterator[Request]:
        names: Iterator[str] = repeat("")
        if shapes.kinds is not None:
            names = map(self.kinds.__getitem__, shapes.kinds.tolist())
        elif self.kinds:
            names = repeat(self.kinds[0])
        columns = (column.tolist() for column in (shapes.prompt_tokens, shapes.output_tokens))
        ends = (column.tolist() for column in (shapes.prefixes, shapes.prefix_tokens, shapes.rows))
        # The times are cut to what is wanted, and zip ends with the shortest.
        numbers = range(first, first + len(times))
        return map(Request._make, zip(numbers, times.tolist(), *columns, names, *ends, strict=False))


def load_of(
    injection: Injection, *, seed: int | None = None, recordings: Mapping[str, Recording] | None = None
) -> Load:
    """Return the load of an injection; a seed given here goes before the injection's own.

    Raises UsageError if it is left open when requests come or how long they are, and no recording says so.
    """
    recordings = recordings or {}
    missing = list(_missing(injection, recordings))
    if missing or injection.arrival is None:
        hint = "for example prompt_tokens: {distribution: fixed, tokens: 512}; `enova schema` has all of it"
        raise UsageError(f"the traffic is not known: {', '.join(missing)}", hint=hint)
    chosen = seed if seed is not None else injection.seed or 0
    return Load(injection, injection.arrival, chosen, recordings)


def files_of(injection: Injection) -> tuple[str, ...]:
    """Return the paths of the recordings an injection needs, each once."""
    trace = [injection.arrival.file] if isinstance(injection.arrival, Trace) else []
    datasets = [kind.dataset for kind in kinds_of(injection) if kind.dataset is not None]
    return tuple(dict.fromkeys([*trace, *datasets]))


def _missing(injection: Injection, recordings: Mapping[str, Recording]) -> Iterator[str]:
    if injection.arrival is None:
        yield "injection.arrival is not set"
    trace = recordings.get(injection.arrival.file) if isinstance(injection.arrival, Trace) else None
    if isinstance(injection.arrival, Trace) and (trace is None or trace.at_s is None):
        yield f"{injection.arrival.file} has no times"
    for index, kind in enumerate(kinds_of(injection)):
        place = f"injection.classes.{index}" if injection.classes else "injection"
        recorded = [source for source in (recordings.get(kind.dataset or ""), trace) if source is not None]
        for name in ("prompt_tokens", "output_tokens"):
            if getattr(kind, name) is None and all(getattr(source, name) is None for source in recorded):
                yield f"{place}.{name} is not set"
