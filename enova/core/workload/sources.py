"""What the requests of a load look like: for every class a source of lengths and prefixes, and whose turn it is.

Everything random has a stream of its own, named after what it decides and seeded with the load's seed. So
lengths do not change with the rate, and a class added to a mix takes requests away from others but draws nothing
of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng

from enova.core.spec.injection import Injection, RequestClass, Requests
from enova.core.workload.lengths import Draw, Tokens, drawn_from
from enova.core.workload.recording import Recording


class Shapes(NamedTuple):
    """Requests without their times, as columns of equal length."""

    prompt_tokens: Tokens
    output_tokens: Tokens
    prefixes: Tokens
    prefix_tokens: Tokens
    rows: Tokens
    """Which row of its class's dataset each is; -1 where there is none."""
    kinds: Tokens | None
    """Index of each one's class; None where there are no classes."""


def stream(seed: int, name: str) -> Generator:
    """Return the random stream of this name."""
    return default_rng(SeedSequence([seed, *name.encode()]))


def kinds_of(injection: Injection) -> tuple[Requests, ...]:
    """Return the classes, or the injection itself where it describes the only kind of request."""
    return injection.classes or (injection,)


class Sources:
    """The sources of all classes. `trace` is the recording that arrivals come from, if they do."""

    def __init__(
        self, injection: Injection, seed: int, recordings: Mapping[str, Recording], trace: Recording | None
    ) -> None:
        kinds = kinds_of(injection)
        counts = (kind.shared_prefix.count if kind.shared_prefix else 0 for kind in kinds)
        self._sources = [
            _Source(kind, seed, recordings.get(kind.dataset or ""), trace, first)
            for kind, first in zip(kinds, accumulate(counts, initial=0), strict=False)
        ]

    def shapes(self, first: int, count: int) -> Shapes:
        """Draw `count` requests, the first of which is number `first` of the load."""
        prompts, outputs, prefixes, prefix_tokens, rows = (np.empty(count, dtype=np.int64) for _ in range(5))
        kinds = self._kinds(count)
        for index, source in enumerate(self._sources):
            mine = np.arange(count) if kinds is None else np.flatnonzero(kinds == index)
            prompts[mine], outputs[mine], rows[mine] = source.lengths(first + mine)
            prefixes[mine], prefix_tokens[mine] = source.prefixes(prompts[mine], first + mine)
        return Shapes(prompts, outputs, prefixes, prefix_tokens, rows, kinds)

    def _kinds(self, count: int) -> Tokens | None:
        """Return whose turn each request is.

        A race: every class draws an exponential time of rate `weight`, and the first wins, each as often as its
        weight says. Another class then wins some of the races and leaves the others as they were.
        """
        if len(self._sources) == 1:
            return None
        finishes = [source.turns.standard_exponential(count) / source.weight for source in self._sources]
        first: Tokens = np.argmin(np.stack(finishes), axis=0)
        return first


class _Source:
    def __init__(
        self, kind: Requests, seed: int, dataset: Recording | None, trace: Recording | None, first_prefix: int
    ) -> None:
        name = kind.name if isinstance(kind, RequestClass) else ""
        self.weight = kind.weight if isinstance(kind, RequestClass) else 1.0
        self.turns = stream(seed, f"{name}/turn")
        self._rows = stream(seed, f"{name}/row")
        self._dataset = dataset
        self._columns = [
            _Column(
                column, drawn_from(lengths) if lengths else None, stream(seed, f"{name}/{column}"), dataset, trace
            )
            for column, lengths in (("prompt_tokens", kind.prompt_tokens), ("output_tokens", kind.output_tokens))
        ]
        self._prefix = kind.shared_prefix
        # Recorded prefixes belong to recorded prompts; as long as these, they cannot be longer.
        played = kind.prompt_tokens is None and dataset is None
        self._recorded = trace.prefixes if played and trace is not None else None
        self._first_prefix = first_prefix
        self._prefixes = stream(seed, f"{name}/prefix")

    def lengths(self, places: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        """Return prompt and output tokens and rows of the dataset for the requests at these places of the load."""
        rows = np.full(len(places), -1)
        if self._dataset is not None:
            # A row's prompt and answer belong together, so one draw chooses both.
            rows = self._rows.integers(0, len(self._dataset), len(places))
        prompts, outputs = (column.of(rows, places) for column in self._columns)
        return prompts, outputs, rows

    def prefixes(self, prompts: Tokens, places: Tokens) -> tuple[Tokens, Tokens]:
        """Return the numbers and the lengths of the prefixes that these prompts, at these places, begin with."""
        if self._prefix is None and self._recorded is not None:
            which, tokens = self._recorded
            return which[places], tokens[places]
        if self._prefix is None:
            return np.full(len(prompts), -1), np.zeros(len(prompts), dtype=np.int64)
        which = self._prefixes.integers(0, self._prefix.count, len(prompts))
        return self._first_prefix + which, np.minimum(prompts, self._prefix.tokens)


class _Column:
    """One kind of length: drawn where the spec has a distribution, else from the dataset, else from the trace."""

    def __init__(
        self, name: str, draw: Draw | None, rng: Generator, dataset: Recording | None, trace: Recording | None
    ) -> None:
        self._draw, self._rng = draw, rng
        self._drawn_rows: Tokens | None = getattr(dataset, name, None)
        self._recorded: Tokens | None = getattr(trace, name, None)

    def of(self, rows: Tokens, places: Tokens) -> Tokens:
        if self._draw is not None:
            return self._draw(self._rng, len(places))
        if self._drawn_rows is not None:
            return self._drawn_rows[rows]
        if self._recorded is None:
            raise ValueError("neither a distribution nor a recording says how long requests are")
        return self._recorded[places]
