"""Errors may grow a little; more than that is told, line by line."""

from __future__ import annotations

import pytest

from enova.core.accuracy.baseline import worsened
from enova.core.accuracy.score import Comparison, groups_of

KEPT = {"count": 2, "median": 0.10, "mean": 0.10, "p90": 0.10, "bias": 0.1, "coverage": None}
AGGREGATE = {"source": "lab", "metric": "ttft", **KEPT}
PARTITION = {"source": "lab", "gpu": "g", "metric": "ttft", **KEPT}


def groups(error: float, count: int = 2, metric: str = "ttft") -> tuple:  # type: ignore[type-arg]
    row = Comparison("lab", "a", "f:2", "m", "g", "dense", metric, "s", 1.0, 1.0 + error)
    return groups_of([row] * count, by=(("source", "metric"), ("source", "gpu", "metric")))


def test_an_aggregate_may_grow_by_a_twentieth_and_a_partition_by_a_tenth() -> None:
    assert worsened(groups(0.106), [AGGREGATE, PARTITION]) == ()
    assert worsened(groups(0.111), [PARTITION]) == ()
    assert worsened(groups(0.111), [AGGREGATE]) == (
        "lab, ttft: median error 11.10%, 10.00% before",
        "lab, ttft: mean error 11.10%, 10.00% before",
        "lab, ttft: p90 error 11.10%, 10.00% before",
    )
    assert len(worsened(groups(0.115), [PARTITION])) == 3


def test_better_is_never_worse() -> None:
    assert worsened(groups(0.01), [AGGREGATE, PARTITION]) == ()


@pytest.mark.parametrize(("now", "told"), [(0.0015, 0), (0.01, 3)])
def test_errors_near_nothing_may_double_but_not_grow_to_something(now: float, told: int) -> None:
    tiny = AGGREGATE | {"median": 0.0005, "mean": 0.0005, "p90": 0.0005}

    assert len(worsened(groups(now), [tiny])) == told


def test_what_is_predicted_no_more_is_worse() -> None:
    assert worsened(groups(0.1, metric="tpot"), [AGGREGATE]) == ("lab, ttft: no longer predicted",)
    assert worsened(groups(0.1, count=1), [AGGREGATE]) == ("lab, ttft: 1 predicted, 2 before",)


def test_groups_that_are_new_are_no_concern() -> None:
    assert worsened(groups(5.0, metric="new"), []) == ()
