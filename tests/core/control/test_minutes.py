from __future__ import annotations

import numpy as np

from enova.core.control.minutes import Ledger, Minute, rates_of

T0 = 1_800_000_000.0


def minute(at_s: float, per_s: float, seconds: float = 60.0) -> Minute:
    return Minute("chat", at_s, seconds, per_s * seconds, None, None, 1.0)


def test_looks_are_added_up_until_their_minute_is_over() -> None:
    ledger = Ledger("chat")
    over = [
        ledger.add(T0 + 5 * place, seconds=5.0, arrived=10.0, met=(9.0, 10.0) if place % 2 else None, replicas=2)
        for place in range(1, 13)
    ]

    assert over[:11] == [None] * 11
    assert over[11] == Minute("chat", T0, 55.0, 110.0, 54.0, 60.0, 2.0)
    assert over[11].per_s == 2.0


def test_a_minute_nobody_saw_has_no_rate() -> None:
    assert Minute("chat", T0, 0.0, 0.0, None, None, 0.0).per_s == 0.0


def test_minutes_become_bins_that_end_now_and_gaps_are_as_what_came_before() -> None:
    rates = rates_of([minute(T0, 1.0), minute(T0 + 60, 2.0), minute(T0 + 240, 5.0)], T0 + 360)

    assert rates.tolist() == np.repeat([1.0, 2.0, 2.0, 2.0, 5.0, 5.0], 4).tolist()


def test_what_nobody_saw_or_lies_in_the_future_is_not_known() -> None:
    assert len(rates_of([], T0)) == 0
    assert len(rates_of([minute(T0, 3.0, seconds=0.0), minute(T0 + 600, 3.0)], T0 + 60)) == 0
