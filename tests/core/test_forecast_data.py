"""A forecast survives its way into a file and back, and two that are the same read the same."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.engine.step_time import Origin
from enova.core.forecast import Forecast
from enova.core.forecast_data import forecast_as_data, forecast_in
from enova.core.simulate.results import Band, Figure
from enova.errors import EnovaError
from tests.core.forecasts import figure, forecast

numbers = st.floats(min_value=0, max_value=1e300) | st.just(math.nan) | st.just(math.inf)


def there_and_back(data: dict[str, Any]) -> dict[str, Any]:
    return forecast_as_data(forecast_in(json.loads(json.dumps(data, allow_nan=False))))


def test_a_forecast_comes_back_as_it_was() -> None:
    assert forecast_in(forecast_as_data(forecast())) == forecast(usd_per_million_tokens=1.661)


def test_its_form_is_pinned_so_that_files_written_today_can_be_read_tomorrow() -> None:
    small = forecast(figures={"ttft.p95": figure(0.123456)}, kv_use=math.nan, usd_per_h=None, notes=("so",))

    assert json.dumps(forecast_as_data(small)) == (
        '{"expected": [{"figure": {"high": 0.25, "level": 0.9, "low": 0.16, "value": 0.2}, "metric": "ttft", '
        '"statistic": "p95", "target_s": 0.5, "verdict": "kept"}], '
        '"figures": {"ttft.p95": {"high": 0.1543, "level": 0.9, "low": 0.09876, "value": 0.1235}}, '
        '"gpu": "h100-sxm", "gpus": 2, "kv_use": null, "notes": ["so"], "origin": "roofline", "replicas": 2, '
        '"schema_version": 1, "usd_per_h": null, "usd_per_million_tokens": 1.661, "utilisation": 0.6}'
    )


def test_the_order_in_which_figures_were_found_makes_no_difference() -> None:
    figures = dict(forecast().figures)
    backwards = forecast(figures=dict(reversed(figures.items())))

    assert json.dumps(forecast_as_data(backwards)) == json.dumps(forecast_as_data(forecast()))


def test_noise_below_four_digits_makes_no_difference() -> None:
    noisy = forecast(figures={name: figure(f.value * (1 + 1e-9)) for name, f in forecast().figures.items()})

    assert forecast_as_data(noisy) == forecast_as_data(forecast())


def test_a_band_that_is_open_above_stays_open() -> None:
    open_above = Figure(0.2, Band(0.1, math.inf))

    data = forecast_as_data(forecast(figures={"ttft.p95": open_above}))

    assert data["figures"]["ttft.p95"]["high"] is None
    assert forecast_in(data).figures["ttft.p95"] == open_above


def test_a_figure_nobody_knows_stays_unknown() -> None:
    data = forecast_as_data(forecast(figures={"ttft.p95": Figure(math.nan, Band(math.nan, math.nan))}))

    value, band = forecast_in(data).figures["ttft.p95"]

    assert [math.isnan(number) for number in (value, band.low, band.high)] == [True] * 3


@given(
    st.builds(
        forecast,
        origin=st.sampled_from(Origin),
        figures=st.dictionaries(
            st.text(max_size=5), st.builds(Figure, numbers, st.builds(Band, numbers, numbers, st.just(0.9)))
        ),
        utilisation=numbers,
        kv_use=numbers,
        usd_per_h=st.none() | numbers,
        notes=st.lists(st.text()).map(tuple),
    )
)
def test_what_was_read_is_written_again_as_it_was(any_forecast: Forecast) -> None:
    data = forecast_as_data(any_forecast)

    assert there_and_back(data) == data


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 2}, "the forecast has schema_version 2, this Enova reads 1"),
        ({"schema_version": None}, "the forecast is damaged: schema_version: "),
        ({"gpus": "many"}, "the forecast is damaged: gpus: "),
        ({"figures": {"ttft.p95": {"value": 1}}}, "the forecast is damaged: figures.ttft.p95.low: Field required"),
        ({"utilisation": math.inf}, "the forecast is damaged: utilisation: "),
    ],
)
def test_what_is_wrong_with_a_forecast_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EnovaError) as raised:
        forecast_in(forecast_as_data(forecast()) | changes)

    assert raised.value.message.startswith(words)


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_what_is_no_forecast_at_all_is_refused(data: object) -> None:
    with pytest.raises(EnovaError, match="the forecast is damaged"):
        forecast_in(data)


def test_keys_a_newer_enova_added_are_left_alone() -> None:
    assert forecast_in(forecast_as_data(forecast()) | {"carbon": 1}) == forecast(usd_per_million_tokens=1.661)
