"""Whether replicas on trial do worse than the others."""

from __future__ import annotations

import pytest

from enova.core.canary import Canary, Side, side_of, worse
from enova.core.ledger.records import Measured
from tests.core.ledger.test_window import look, window

CANARY = Canary(share=0.25, duration_s=600)
PROMISED = Canary(share=0.25, duration_s=600, targets=(("ttft", "p95", 0.5),))


def side(ttft: Measured | None = None, *, answers: float = 1000, errors: float = 0) -> Side:
    return Side(answers, errors, {"ttft.p95": ttft} if ttft else {})


FAST, SLOW = Measured(0.2, 0.1, 0.25), Measured(0.8, 0.75, 1.0)


@pytest.mark.parametrize(("share", "replicas", "count"), [(0.1, 4, 1), (0.25, 8, 2), (0.1, 30, 3), (0.34, 3, 2)])
def test_a_share_of_the_replicas_is_tried_and_at_least_one(share: float, replicas: int, count: int) -> None:
    assert Canary(share=share, duration_s=1).count(replicas) == count


def test_what_is_slower_for_certain_is_worse() -> None:
    assert worse(side(SLOW), side(FAST), CANARY) == ("ttft p95 is 0.8 s, 0.2 s elsewhere",)
    assert worse(side(FAST), side(SLOW), CANARY) == ()


def test_what_may_be_as_fast_is_not_worse() -> None:
    assert worse(side(Measured(0.24, 0.1, 0.25)), side(Measured(0.11, 0.1, 0.25)), CANARY) == ()
    assert worse(side(Measured(0.4, 0.28, 0.5)), side(FAST), CANARY) == ()


def test_where_users_are_promised_something_that_is_what_counts() -> None:
    slower = Measured(0.45, 0.4, 0.5)

    assert worse(side(slower), side(FAST), PROMISED) == ()
    assert worse(side(SLOW), side(FAST), PROMISED) == ("ttft p95 is 0.8 s, 0.2 s elsewhere; 0.5 s are promised",)
    assert worse(side(SLOW), side(SLOW), PROMISED) == ()


def test_more_errors_are_worse_unless_they_are_few() -> None:
    assert worse(side(errors=30), side(errors=1), CANARY) == (
        "3.0% of its answers are errors, 0.1% of the others'",
    )
    assert worse(side(errors=30), side(errors=20), CANARY) == ()
    assert worse(side(answers=4, errors=3), side(), CANARY) == ()
    assert worse(side(answers=4, errors=4), side(answers=0), CANARY) != ()


def test_too_few_answers_say_nothing_of_latencies() -> None:
    assert worse(side(SLOW, answers=19), side(FAST), CANARY) == ()
    assert worse(side(SLOW), side(FAST, answers=19), CANARY) == ()


def test_replicas_of_a_side_count_together() -> None:
    first = window(look(0, 0, errors=None), look(60, 10, errors=None))
    second = window(look(0, 0, errors=2), look(60, 10, errors=5))

    found = side_of([first, second])

    assert (found.answers, found.errors) == (23, 3)
    assert found.figures["ttft.p95"].high == 0.25
    assert side_of([]) == Side(0, 0, {})


def test_the_mean_time_between_tokens_is_exact_and_counts() -> None:
    def mean(value: float) -> Side:
        return Side(1000, 0, {"itl.mean": Measured.exactly(value)})

    assert worse(mean(0.013), mean(0.010), CANARY) == ("itl mean is 0.013 s, 0.01 s elsewhere",)
    assert worse(mean(0.0119), mean(0.010), CANARY) == ()
