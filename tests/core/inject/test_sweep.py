"""The highest rate is found by doubling and then halving the gap, whatever the service's limit is."""

from __future__ import annotations

from itertools import islice

import pytest

from enova.core.inject.sweep import Tried, highest_of, limits_of, next_rate
from tests.core.inject.runs import report

GOOD, SLOW = report(), report(ttft_s=0.5)
INVALID = GOOD.model_copy(update={"problems": ("the client did not keep up",)})


def search(limit: float, low: float = 1.0, high: float | None = None, tolerance: float = 0.1) -> list[Tried]:
    """Search a service that keeps its promises up to a rate."""
    tried: list[Tried] = []
    while (rate := next_rate(tried, low=low, high=high, tolerance=tolerance)) is not None:
        tried.append(Tried(rate, GOOD if rate <= limit else SLOW))
        assert len(tried) < 50
    return tried


@pytest.mark.parametrize("limit", [0.3, 1.0, 1.5, 7.3, 100.0, 1234.5])
def test_the_limit_is_found_to_within_the_tolerance(limit: float) -> None:
    highest = highest_of(search(limit))

    assert highest is not None
    assert highest <= limit < 1.1 * highest


def test_it_doubles_first_and_then_bisects() -> None:
    assert [round(one.rate, 2) for one in search(5.0)] == [1, 2, 4, 8, 5.66, 4.76, 5.19]


def test_the_highest_rate_asked_for_is_the_last_that_is_tried() -> None:
    tried = search(1e9, high=10.0)

    assert [one.rate for one in tried] == [1, 2, 4, 8, 10]
    assert (highest_of(tried), limits_of(tried)) == (10, ())


def test_a_service_that_keeps_nothing_is_given_up() -> None:
    tried = search(0.0)

    assert [one.rate for one in tried] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]
    assert highest_of(tried) is None


def test_a_finer_tolerance_takes_more_runs() -> None:
    assert len(search(5.0, tolerance=0.01)) > len(search(5.0, tolerance=0.2))


def test_a_run_that_is_not_valid_is_not_kept_and_says_why() -> None:
    tried = [Tried(1.0, GOOD), Tried(2.0, INVALID)]

    assert highest_of(tried) == 1.0
    assert limits_of(tried) == ("the client did not keep up",)
    assert next_rate(tried, low=1.0, high=None, tolerance=0.1) == pytest.approx(2**0.5)


def test_what_breaks_above_is_named() -> None:
    failing = SLOW.model_copy(update={"found": SLOW.found.model_copy(update={"errors": {"http_429": 3}})})

    assert limits_of([Tried(1.0, GOOD), Tried(2.0, failing), Tried(4.0, GOOD), Tried(8.0, failing)]) == (
        "ttft p95",
        "3 http_429",
    )


def test_a_rate_whose_requests_fail_is_not_kept() -> None:
    failing = GOOD.model_copy(update={"found": GOOD.found.model_copy(update={"errors": {"reset": 1}})})

    assert not Tried(1.0, failing).kept


def test_once_kept_at_a_higher_rate_a_lower_one_was_noise() -> None:
    tried = [Tried(1.0, GOOD), Tried(2.0, SLOW), Tried(4.0, GOOD), Tried(8.0, SLOW)]

    assert next_rate(tried, low=1.0, high=None, tolerance=0.1) == pytest.approx(32**0.5)
    assert list(islice((one.kept for one in tried), 2)) == [True, False]
