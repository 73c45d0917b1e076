"""How wide a band around predictions has to be, from how far they were off where they could be checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from enova.core.accuracy.score import Comparison
from enova.core.simulate.results import LEVEL, Factors

ENOUGH = 50
"""Fewer comparisons than this say too little about tails; those of all origins together are used instead."""
WIDER = 1.15
"""What was measured are few models, and the next one differs from each of them: with this, bands that were learnt
from all models but one hold what they should of that one (docs/accuracy.md)."""


def factors_of(comparisons: Sequence[Comparison]) -> Factors:
    """Return the quantiles of measured over predicted that leave as much above as below.

    Every model counts the same, however many of its points there are.
    """
    ratios = np.log([compared.measured / compared.predicted for compared in comparisons])
    points = Counter(compared.model for compared in comparisons)
    weights = np.array([1 / points[compared.model] for compared in comparisons])
    order = np.argsort(ratios)
    below = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    low, middle, high = np.interp(((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), below, ratios[order])
    return Factors(*np.exp((middle + WIDER * (low - middle), middle + WIDER * (high - middle))).tolist())


def factors_by_origin(comparisons: Iterable[Comparison]) -> Mapping[tuple[str, str], Factors]:
    """Return the factors by origin and metric, for all origins there are."""
    listed = list(comparisons)
    found = {}
    for metric in sorted({compared.metric for compared in listed}):
        every = [compared for compared in listed if compared.metric == metric]
        for origin in sorted({compared.origin for compared in listed}):
            own = [compared for compared in every if compared.origin == origin]
            found[origin, metric] = factors_of(own if len(own) >= ENOUGH else every)
    return found


def with_bands_of_others(comparisons: Sequence[Comparison], field: str) -> list[Comparison]:
    """Return the comparisons, each with a band learnt from those of other groups only.

    `field` is what makes a group (model, gpu). This is how bands do on what they have not seen.
    """
    banded: list[Comparison] = []
    for group in sorted({getattr(compared, field) for compared in comparisons}):
        others = [compared for compared in comparisons if getattr(compared, field) != group]
        if not others:
            continue
        factors = factors_by_origin(others)
        pooled = factors_by_origin([compared._replace(origin="") for compared in others])
        for compared in comparisons:
            if getattr(compared, field) == group and (("", compared.metric) in pooled):
                key = (compared.origin, compared.metric)
                low, high = factors.get(key) or pooled["", compared.metric]
                banded.append(compared._replace(low=compared.predicted * low, high=compared.predicted * high))
    return banded
