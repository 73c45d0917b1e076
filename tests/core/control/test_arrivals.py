from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.control.arrivals import DAY, cycle_of, forecast
from enova.core.control.history import BIN_S, History
from enova.core.simulate.statistics import Floats


def noisy(rates: Floats, seed: int = 1) -> History:
    """Return Poisson arrivals at these rates."""
    drawn = np.random.default_rng(seed).poisson(np.maximum(rates, 0) * BIN_S) / BIN_S
    return History(drawn.tolist())


def test_nothing_is_expected_where_nothing_is_known() -> None:
    assert forecast(History(), 60.0, 0.6).high == 0.0


def test_of_steady_traffic_the_mean_is_expected() -> None:
    found = forecast(noisy(np.full(400, 20.0)), 100.0, 0.6)

    assert found.mean == pytest.approx(20.0, rel=0.06)
    assert found.high == pytest.approx(20.0, rel=0.06)
    assert found.by.startswith("the level")


def test_a_ramp_is_expected_to_go_on() -> None:
    found = forecast(noisy(np.linspace(5, 45, 160)), 120.0, 0.6)

    assert found.high == pytest.approx(45 + 40 * 120 / (160 * BIN_S), rel=0.12)


def test_a_higher_quantile_expects_no_less() -> None:
    history = noisy(10 + 5 * np.sin(np.arange(600) / 7))
    expected = [forecast(history, 120.0, quantile).high for quantile in (0.5, 0.9)]

    assert expected[0] <= expected[1]


def test_traffic_that_came_and_went_again_and_again_is_known_beforehand() -> None:
    # A wave of 15 minutes; a quarter ahead of its trough it is high again.
    wave = 12.5 - 11.5 * np.cos(2 * np.pi * np.arange(361) * BIN_S / 900)
    found = forecast(noisy(wave), 300.0, 0.6)

    assert "same time" in found.by
    assert found.high == pytest.approx(12.5 - 11.5 * np.cos(2 * np.pi * 300 / 900), rel=0.2)


def test_the_morning_is_known_from_the_day_before() -> None:
    day = np.where(np.arange(DAY) < DAY // 3, 0.0, 8.0)
    history = noisy(np.concatenate([day, day, day[: DAY // 3 - 10]]))

    assert forecast(history, 5 * BIN_S, 0.6).high == 0.0
    assert forecast(history, 20 * BIN_S, 0.6).high == pytest.approx(8.0, rel=0.35)


def test_a_jump_beyond_chance_is_believed_at_once() -> None:
    history = noisy(np.concatenate([np.full(300, 2.0), [20.0]]))

    assert forecast(history, 100.0, 0.6).high > 14.0


def test_chance_alone_is_no_jump() -> None:
    history = noisy(np.full(300, 2.0), seed=4)
    expected = [forecast(History(history.rates()[:end].tolist()), 100.0, 0.6) for end in range(200, 300)]

    assert sum("beyond" in one.by for one in expected) <= 1


def test_rates_that_do_not_repeat_have_no_cycle() -> None:
    assert cycle_of(noisy(np.full(480, 5.0)).rates()) == 0
    assert cycle_of(noisy(np.linspace(1, 50, 480)).rates()) == 0
    assert cycle_of(noisy(10 + 8 * np.sin(2 * np.pi * np.arange(480) / 60)).rates()) == pytest.approx(60, abs=1)


@given(st.lists(st.floats(0, 1e6), max_size=300), st.floats(1, 2000), st.sampled_from([0.5, 0.6, 0.9]))
def test_a_forecast_is_always_a_rate(rates: list[float], horizon_s: float, quantile: float) -> None:
    found = forecast(History(rates), horizon_s, quantile)

    assert 0 <= found.mean <= found.high < np.inf
