from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from enova.core.backtest.backtest import traffic_of
from enova.core.backtest.oracle import BIN_S, oracle, schedule_of
from enova.core.control.plant import Curve
from tests.core.backtest.scenes import PLANT, scene
from tests.core.control import seeing

PLAIN = seeing.PLANT
RATES = np.repeat([5.0, 35.0, 5.0], 20)


def test_without_a_start_up_time_there_are_as_many_as_the_traffic_needs() -> None:
    exist = schedule_of(RATES, PLAIN, load=1.0, start_up_s=0.0)

    assert exist[:19] == [1] * 19
    assert exist[21:39] == [4] * 18
    assert exist[41:] == [1] * 19


def test_what_has_to_start_is_started_that_much_earlier() -> None:
    exist = schedule_of(RATES, PLAIN, load=1.0, start_up_s=60.0)
    at_once = schedule_of(RATES, PLAIN, load=1.0, start_up_s=0.0)

    assert exist.index(4) == at_once.index(4) - round((60 + 10) / BIN_S + 0.4)
    assert sum(exist) - sum(at_once) == 3 * 5


def test_gaps_shorter_than_a_start_are_no_gaps() -> None:
    rates = np.repeat([15.0, 5.0, 15.0], [10, 5, 10])

    assert set(schedule_of(rates, PLAIN, load=1.0, start_up_s=300.0)) == {2}
    assert 1 in schedule_of(rates, PLAIN, load=1.0, start_up_s=0.0)


def test_limits_hold_for_those_who_know_too() -> None:
    plant = replace(PLAIN, fewest=2, most=3)

    assert set(schedule_of(RATES, plant, load=1.0, start_up_s=0.0)) == {2, 3}


def test_the_oracle_attains_its_target_with_less_than_a_fixed_number() -> None:
    setting, traffic = scene(rates=(4.0, 40.0, 4.0), minutes=3.0)
    found = oracle(setting, traffic.rates, PLANT, target=0.99, delayed=True)

    assert found is not None
    assert found.attainment >= 0.99
    peak = PLANT.capacity.needed(traffic.peak_per_s)
    assert found.gpu_h < 0.95 * peak * traffic.until_s / 3600
    at_once = oracle(setting, traffic.rates, PLANT, target=0.99, delayed=False)
    assert at_once is not None
    assert at_once.gpu_h <= found.gpu_h * 1.05


def test_there_is_no_oracle_for_what_nobody_can_do() -> None:
    setting, traffic = scene(rates=(4.0, 4.0), minutes=1.0, slo={"e2e": {"p99": "1ms"}})

    assert (
        oracle(setting, traffic.rates, replace(PLANT, capacity=Curve((1,), (4.0,))), target=0.99, delayed=True)
        is None
    )


def test_traffic_knows_its_busiest_minutes() -> None:
    _, traffic = scene(rates=(4.0, 40.0, 4.0), minutes=10.0)

    assert traffic.peak_per_s == pytest.approx(40.0, rel=0.1)
    assert traffic_of(()).peak_per_s == 0.0
    assert traffic.first(replace(PLANT, fewest=3)) == 3
