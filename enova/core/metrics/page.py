"""vLLM's metrics page read into snapshots, one for each engine behind the address, and into histograms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from enova.core.engine.snapshot import Snapshot
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.core.metrics import names
from enova.core.metrics.exposition import Reader
from enova.core.metrics.names import HISTOGRAMS, LENGTHS, NAMES, Name


class _Value(NamedTuple):
    """A counter or gauge of one engine."""

    engine: str
    name: str


class _Cell(NamedTuple):
    """A bucket of a histogram."""

    name: str
    edge: float


class _Status(NamedTuple):
    """Answers of a class of status."""

    first: str


class _Answers(NamedTuple):
    """Completions answered over HTTP, or what they took."""

    name: str


class _Capacity(NamedTuple):
    """The tokens an engine's cache holds, which is in the labels."""

    engine: str
    tokens: float


class _Started(NamedTuple):
    """When the process was started."""


_Meaning = _Value | _Cell | _Status | _Answers | _Capacity | _Started

_BUCKET = "_bucket"
_SUM = "_sum"
_CELLS = {
    f"{name}{_BUCKET}": name for name in (LENGTHS, *(one.text for own in HISTOGRAMS.values() for one in own))
}
_VALUES = frozenset(
    [one.text for own in NAMES.values() for one in own]
    + [f"{one.text}{_SUM}" for own in HISTOGRAMS.values() for one in own]
)
_HTTP = frozenset({f"{names.ANSWERS}_count", f"{names.ANSWERS}_sum"})
_SINGLE = frozenset({names.STARTED, names.STATUSES, names.CACHE})


def look_of(page: str, at_s: float) -> Look:
    """Return all that a page read at `at_s` says of its engines and their latencies. Bad text is a ValueError.

    What is not finite is left out, as if it were not offered: a histogram as a whole.
    """
    found = _Found()
    for meaning, value in _READER.read(page):
        found.take(meaning, value)
    return Look(
        engines=_engines(found, at_s),
        histograms=_histograms(found),
        started_s=found.started_s,
        errors=found.statuses.get("5", 0.0) if found.statuses else None,
    )


def snapshots_of(page: str, at_s: float) -> Mapping[str, Snapshot]:
    """Return a snapshot of each engine by its label, from a page read at `at_s`. Bad text is a ValueError."""
    return look_of(page, at_s).engines


class _Found:
    """What lines of a page add up to."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, float]] = {}
        self.cells: dict[str, dict[float, float]] = {}
        self.statuses: dict[str, float] = {}
        self.answers: dict[str, float] = {}
        self.capacities: dict[str, float] = {}
        self.started_s: float | None = None

    def take(self, meaning: _Meaning, value: float) -> None:
        # Most are one of the first two.
        if isinstance(meaning, _Cell):
            name, edge = meaning
            cells = self.cells.setdefault(name, {})
            cells[edge] = cells.get(edge, 0.0) + value
        elif isinstance(meaning, _Value):
            engine, name = meaning
            values = self.values.setdefault(engine, {})
            values[name] = values.get(name, 0.0) + value
        elif isinstance(meaning, _Capacity):
            self.capacities[meaning.engine] = meaning.tokens
        elif isinstance(meaning, _Status):
            self.statuses[meaning.first] = self.statuses.get(meaning.first, 0.0) + value
        elif isinstance(meaning, _Answers):
            self.answers[meaning.name] = self.answers.get(meaning.name, 0.0) + value
        elif math.isfinite(value):
            self.started_s = value


def _meaning(name: str, labels: Mapping[str, str]) -> _Meaning | None:
    engine = labels.get("engine", "0")
    if name in _CELLS:
        return _Cell(_CELLS[name], float(labels.get("le", "")))
    if name in _VALUES:
        return _Value(engine, name)
    if name == names.STARTED:
        return _Started()
    if name == names.CACHE:
        tokens = _capacity(labels)
        return None if tokens is None else _Capacity(engine, tokens)
    if labels.get("handler") not in names.COMPLETIONS:
        return None
    return _Status(labels.get("status", "")[:1]) if name == names.STATUSES else _Answers(name)


WANTED = frozenset({*_CELLS, *_VALUES, *_HTTP, *_SINGLE})
"""Names that are read, as they stand in the text."""
_READER: Reader[_Meaning] = Reader(WANTED, _meaning)


def _engines(found: _Found, at_s: float) -> dict[str, Snapshot]:
    # Answers are counted for the server as a whole; with several engines nobody knows whose they are.
    http = found.answers if len(found.values) == 1 else {}
    return {
        engine: Snapshot(
            at_s=at_s,
            kv_tokens_capacity=found.capacities.get(engine),
            answers=http.get(f"{names.ANSWERS}_count"),
            answers_s=http.get(f"{names.ANSWERS}_sum"),
            **{field: _first(values, own) for field, own in NAMES.items()},
        )
        for engine, values in sorted(found.values.items())
    }


def _first(values: Mapping[str, float], own: tuple[Name, ...]) -> float | None:
    for name in own:
        value = values.get(name.text)
        if value is not None and math.isfinite(value):
            return value
    return None


def _histograms(found: _Found) -> dict[str, Histogram]:
    totals: dict[str, float] = defaultdict(float)
    for values in found.values.values():
        for name, value in values.items():
            totals[name] += value
    result = {}
    for metric, own in HISTOGRAMS.items():
        named = next((one.text for one in own if one.text in found.cells), None)
        if named is not None:
            histogram = _histogram(found.cells[named], totals[f"{named}{_SUM}"])
            if math.isfinite(histogram.total) and all(map(math.isfinite, histogram.counts)):
                result[metric] = histogram
    if "tpot" in result:
        result["tpot"] = _of_several_tokens(result["tpot"], found.cells.get(LENGTHS, {}))
    return result


def _histogram(cells: Mapping[float, float], total: float) -> Histogram:
    edges = tuple(sorted(cells))
    return Histogram(edges, tuple([cells[edge] for edge in edges]), total)


def _of_several_tokens(tpot: Histogram, lengths: Mapping[float, float]) -> Histogram:
    """Return times per token without answers of a single token: they have none, and vLLM counts them as 0.

    An engine that leaves these out itself has that many fewer times than answers.
    """
    answers = max(lengths.values(), default=tpot.count)
    zeros = max(0.0, lengths.get(1.0, 0.0) - (answers - tpot.count))
    return Histogram(tpot.edges, tuple([count - zeros for count in tpot.counts]), tpot.total)


def _capacity(labels: Mapping[str, str]) -> float | None:
    """Return the tokens a cache holds, where it says so, or how many blocks of what size it has."""
    tokens = labels.get("kv_cache_size_tokens", "")
    blocks, size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
    if tokens.isdecimal():
        return float(tokens)
    return float(blocks) * float(size) if blocks.isdecimal() and size.isdecimal() else None
