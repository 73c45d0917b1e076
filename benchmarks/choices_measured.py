"""Choices judged by what was measured: groups of rows that serve the same, cases, choosers and verdicts.

Used by recommend_measured.py, which says what they mean.
"""

from __future__ import annotations

import csv
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import NamedTuple

from accuracy import PEER, Part, predict

from enova.adapters.model_error import measured_error
from enova.cli.accuracy import a_judge
from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.protocol import Protocol, protocol_of
from enova.core.accuracy.score import Comparison
from enova.core.engine.step_time import Origin

GOOD = 0.9
"""Share of the best's throughput per GPU with which a choice is right."""
SINGLE, PAIRED = 12, 4
"""At most so many limits on one metric alone, and on each of two at once."""
METRICS = ("ttft", "tpot")

ENOVA, LEFT_OUT, HALF, BAD_END, PEER_NAME = CHOOSERS = (
    "Enova",
    "Enova, model left out",
    "same, half way to the bad end",
    "same, bad end of its band",
    "AIConfigurator 0.12",
)
EARLIER = "an earlier measurement"
CAUTION = {LEFT_OUT: 0.0, HALF: 0.5, BAD_END: 1.0}
"""How far towards the bad end of its band, on a log scale, a prediction is held against a limit."""


class Means(NamedTuple):
    """Mean TTFT and mean TPOT, in seconds."""

    ttft: float
    tpot: float


NO_BAND = Means(1.0, 1.0)


class Judged(NamedTuple):
    """What a chooser believes: what users will see, and what it holds against a limit."""

    expected: Means
    held: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to serve, measured once or several times."""

    words: str
    gpus: int
    users: int
    output_tokens: float
    """Mean."""
    rows: tuple[Means, ...]
    """As measured."""
    high: Means
    """Factors: the bad end of the band of predictions."""
    judged: Mapping[str, Judged]
    """By chooser; those that do not predict it are absent."""

    @property
    def measured(self) -> Means:
        """Return the medians of its rows."""
        return medians(self.rows)

    def per_gpu(self, seen: Means) -> float:
        """Return tokens/s per GPU of a closed loop whose users see this."""
        answer_s = seen.ttft + (self.output_tokens - 1) * seen.tpot
        return self.users * self.output_tokens / answer_s / self.gpus


class Limits(NamedTuple):
    """In seconds; inf: none."""

    ttft: float = math.inf
    tpot: float = math.inf

    def kept(self, seen: Means, margin: float = 1.0) -> bool:
        return seen.ttft <= margin * self.ttft and seen.tpot <= margin * self.tpot

    def clear(self, rows: Sequence[Means], margin: float) -> bool:
        """Return whether all rows keep them, or none does, also if they were a margin higher or lower."""
        return len({self.kept(row, factor) for row in rows for factor in (margin, 1 / margin)}) == 1

    def excess(self, seen: Means, band: Means) -> float:
        """Return by what share the worse limit is exceeded, beyond a band; 0: none is."""
        return max(0.0, seen.ttft / self.ttft / band.ttft - 1, seen.tpot / self.tpot / band.tpot - 1)


@dataclass(frozen=True, slots=True)
class Case:
    """Limits, and the configurations of a group of which the rows say whether they keep them."""

    group: str
    limits: Limits
    candidates: tuple[Configuration, ...]

    @property
    def keeping(self) -> list[Configuration]:
        """Return the candidates that keep the limits."""
        return [one for one in self.candidates if self.limits.kept(one.measured)]

    @property
    def best(self) -> float:
        """Return the highest measured throughput per GPU of those that keep the limits; 0: none does."""
        return max((one.per_gpu(one.measured) for one in self.keeping), default=0.0)

    @property
    def tells(self) -> bool:
        """Return whether it makes a difference what is chosen."""
        keeping = self.keeping
        worse = [one for one in keeping if one.per_gpu(one.measured) < GOOD * self.best]
        return bool(worse) and len(keeping) < len(self.candidates)

    def known_to(self, chooser: str) -> bool:
        """Return whether a chooser predicts all candidates."""
        return all(chooser in one.judged for one in self.candidates)


class Verdict(NamedTuple):
    """What became of a choice; without one, `share` is 0."""

    case: Case
    chosen: Configuration | None
    share: float
    """Its throughput per GPU, of the best's."""
    excess: float
    """By what share it exceeds a limit."""
    beyond: float
    """The same beyond the band."""

    @property
    def right(self) -> bool:
        return self.share >= GOOD and not self.beyond

    @property
    def strict(self) -> bool:
        return self.share >= GOOD and not self.excess


def choice(case: Case, chooser: str) -> Verdict:
    """Return the verdict on what a chooser takes."""
    keeping = [
        one for one in case.candidates if chooser in one.judged and case.limits.kept(one.judged[chooser].held)
    ]
    if not keeping:
        return Verdict(case, None, 0.0, 0.0, 0.0)
    chosen = max(keeping, key=lambda one: (one.per_gpu(one.judged[chooser].expected), one.words))
    seen = chosen.measured
    share = chosen.per_gpu(seen) / case.best
    excess, beyond = (case.limits.excess(seen, band) for band in (NO_BAND, chosen.high))
    return Verdict(case, chosen, share, excess, beyond)


def cases_of(groups: Mapping[str, Sequence[Configuration]], margin: float) -> list[Case]:
    """Return the cases about which the rows can tell, of candidates measured a margin away from the limits."""
    return [case for group, ways in groups.items() for case in _cases(group, ways, margin) if case.tells]


def _cases(group: str, configurations: Sequence[Configuration], margin: float) -> Iterator[Case]:
    between = {metric: list(_between(configurations, metric)) for metric in METRICS}
    single = [Limits(**{metric: limit}) for metric in METRICS for limit in _spread(between[metric], SINGLE)]
    paired = [Limits(*both) for both in product(*(_spread(between[metric], PAIRED) for metric in METRICS))]
    for limits in (*single, *paired):
        yield Case(group, limits, tuple(one for one in configurations if limits.clear(one.rows, margin)))


def _between(configurations: Sequence[Configuration], metric: str) -> Iterator[float]:
    """Yield a limit between each two neighbours."""
    for low, high in pairwise(sorted({getattr(one.measured, metric) for one in configurations})):
        yield math.sqrt(low * high)


def _spread(values: Sequence[float], most: int) -> list[float]:
    """Return so many of the values at most, evenly spread, with both ends."""
    if len(values) <= most:
        return list(values)
    return [values[round(index * (len(values) - 1) / (most - 1))] for index in range(most)]


def medians(rows: Iterable[Means]) -> Means:
    return Means(*(statistics.median(values) for values in zip(*rows, strict=True)))


def repeated(groups: Mapping[str, Sequence[Configuration]]) -> dict[str, list[Configuration]]:
    """Return what was measured more than once, its first row as a chooser's prediction of the others."""
    return {
        group: [
            replace(one, rows=one.rows[1:], judged={**one.judged, EARLIER: Judged(one.rows[0], one.rows[0])})
            for one in ways
            if len(one.rows) > 1
        ]
        for group, ways in groups.items()
    }


def groups_of(points: Sequence[ServingPoint]) -> dict[str, list[Configuration]]:
    """Return the configurations that serve the same, by what that is."""
    fitted, left_out = predictions(points)
    peer = peer_predictions()
    known: dict[str, dict[tuple[int, ...], list[ServingPoint]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        if point.ttft_s is not None and point.tpot_s is not None and point.name in fitted:
            words = (point.source, point.model, point.gpu, point.quantisation, f"{point.isl}/{point.osl}")
            known[" ".join(words)][_way(point)].append(point)
    return {
        group: [_configuration(same, fitted, left_out, peer) for same in ways.values()]
        for group, ways in sorted(known.items())
    }


def _protocol(point: ServingPoint) -> Protocol:
    return protocol_of(point, a_judge().predictor.protocols)


def _way(point: ServingPoint) -> tuple[int, ...]:
    protocol = _protocol(point)
    ranks = protocol.tensor_parallel, point.pipeline_parallel, protocol.data_parallel
    return *ranks, int(protocol.expert_parallel), point.users


def _configuration(
    points: Sequence[ServingPoint],
    fitted: Mapping[str, list[Comparison]],
    left_out: Mapping[str, list[Comparison]],
    peer: Mapping[str, Means],
) -> Configuration:
    tensor, pipeline, data, expert, users = _way(points[0])
    high = _bad_end(fitted[points[0].name])
    expected = medians(_means(fitted[point.name]) for point in points)
    judged = {ENOVA: Judged(expected, expected)}
    without_model = medians(_means(left_out[point.name]) for point in points)
    for chooser, caution in CAUTION.items():
        held = (mean * factor**caution for mean, factor in zip(without_model, high, strict=True))
        judged[chooser] = Judged(without_model, Means(*held))
    peer_rows = [peer[point.name] for point in points if point.name in peer]
    if peer_rows:
        judged[PEER_NAME] = Judged(medians(peer_rows), medians(peer_rows))
    sizes = (("TP", tensor), ("PP", pipeline), ("DP", data))
    split = "".join(f" {name}{size}" for name, size in sizes if size > 1 or name == "TP")
    return Configuration(
        words=f"{split.strip()}{' EP' if expert else ''}, {users} users",
        gpus=tensor * pipeline * data,
        users=users,
        output_tokens=points[0].osl * (1 + _protocol(points[0]).clients.range_ratio) / 2,
        rows=tuple(Means(point.ttft_s or 0.0, point.tpot_s or 0.0) for point in points),
        high=high,
        judged=judged,
    )


def _means(compared: Sequence[Comparison]) -> Means:
    by_metric = {one.metric: one.predicted for one in compared}
    return Means(by_metric["ttft_mean"], by_metric["tpot_mean"])


def _bad_end(compared: Sequence[Comparison]) -> Means:
    origin = Origin(compared[0].origin)
    return Means(*(measured_error().of(origin, metric).high for metric in METRICS))


def predictions(points: Sequence[ServingPoint]) -> tuple[dict[str, list[Comparison]], dict[str, list[Comparison]]]:
    """Return what is predicted of each point, fitted to all, and fitted without its model."""
    same: dict[tuple[str, str], list[ServingPoint]] = defaultdict(list)
    for point in points:
        same[point.model, point.gpu].append(point)
    found: dict[str, dict[str, list[Comparison]]] = {"": defaultdict(list), "model": defaultdict(list)}
    parts = [Part(kind, model, tuple(each)) for kind in found for (model, _), each in same.items()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part, outcomes in zip(parts, pool.map(predict, parts), strict=True):
            for outcome in outcomes:
                if isinstance(outcome, Comparison):
                    found[part.left_out][outcome.point].append(outcome)
    return found[""], found["model"]


def peer_predictions() -> dict[str, Means]:
    """Return what AIConfigurator predicts, by row."""
    with PEER.open(encoding="utf-8", newline="") as file:
        return {
            row["id"]: Means(float(row["predicted_ttft_ms"]) / 1000, float(row["predicted_tpot_ms"]) / 1000)
            for row in csv.DictReader(file)
            if row["predicted_ttft_ms"] and row["predicted_tpot_ms"]
        }
