"""A forecast as plain data and back: one form for the history, for lock files and for plans as JSON.

    schema_version   1
    origin, gpu, gpus, replicas
    figures          {name: {value, low, high, level}}, sorted by name
    expected         [{metric, statistic, target_s, verdict, figure}], in the spec's order
    utilisation, kv_use, usd_per_h, usd_per_million_tokens, notes

The form is canonical: equal forecasts have equal data, keys are sorted, and what was computed has four significant
digits, so that noise far below any band makes no difference in a file that is kept in git. What is not a number is
null; a band that is open above has `high: null`. Keys may be added in time, and readers leave alone those they do
not know; a change of what is there counts `schema_version` up.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enova.core.engine.step_time import Origin
from enova.core.forecast import Expected, Forecast
from enova.core.simulate.promises import Promise, Verdict
from enova.core.simulate.results import LEVEL, Band, Figure, Metric
from enova.errors import EnovaError

SCHEMA_VERSION: Final = 1
DIGITS = 4
"""Significant ones, of what was computed; what a user wrote is kept as it is."""


def forecast_as_data(forecast: Forecast) -> dict[str, Any]:
    """Return the canonical form, of which json.dumps makes the same bytes each time."""
    return {
        "expected": [_expected(one) for one in forecast.expected],
        "figures": {name: _figure(figure) for name, figure in sorted(forecast.figures.items())},
        "gpu": forecast.gpu,
        "gpus": forecast.gpus,
        "kv_use": rounded(forecast.kv_use),
        "notes": list(forecast.notes),
        "origin": str(forecast.origin),
        "replicas": forecast.replicas,
        "schema_version": SCHEMA_VERSION,
        "usd_per_h": rounded(forecast.usd_per_h),
        "usd_per_million_tokens": rounded(forecast.usd_per_million_tokens),
        "utilisation": rounded(forecast.utilisation),
    }


def forecast_in(data: object) -> Forecast:
    """Return the forecast that `forecast_as_data` wrote; raise EnovaError, saying what is wrong, if it is none."""
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise EnovaError(
            f"the forecast has schema_version {version}, this Enova reads {SCHEMA_VERSION}",
            hint="it was written by a newer Enova: use that one",
        )
    try:
        read = _ForecastData.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise EnovaError(f"the forecast is damaged: {place + ': ' if place else ''}{first['msg']}") from error
    return Forecast(
        origin=read.origin,
        gpu=read.gpu,
        gpus=read.gpus,
        replicas=read.replicas,
        figures={name: figure.figure for name, figure in sorted(read.figures.items())},
        expected=tuple(one.expected for one in read.expected),
        utilisation=_number(read.utilisation),
        kv_use=_number(read.kv_use),
        usd_per_h=read.usd_per_h,
        usd_per_million_tokens=read.usd_per_million_tokens,
        notes=read.notes,
    )


def rounded(value: float | None) -> float | None:
    """Return a value with four significant digits; None for what is not a number, or not finite."""
    if value is None or not math.isfinite(value):
        return None
    # Zero has one form.
    return float(f"{value:.{DIGITS}g}") + 0.0


def _expected(one: Expected) -> dict[str, Any]:
    return {
        "figure": _figure(one.figure),
        "metric": str(one.promise.metric),
        "statistic": one.promise.statistic,
        "target_s": one.promise.target_s,
        "verdict": str(one.verdict),
    }


def _figure(figure: Figure) -> dict[str, float | None]:
    value, band = figure
    return {"high": rounded(band.high), "level": band.level, "low": rounded(band.low), "value": rounded(value)}


Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _FigureData(_Data):
    value: Number | None
    low: Number | None
    high: Number | None
    level: Number = LEVEL

    @property
    def figure(self) -> Figure:
        """Return it with NaN for what is unknown, and with an end that is open."""
        high = math.inf if self.high is None and self.value is not None else _number(self.high)
        return Figure(_number(self.value), Band(_number(self.low), high, self.level))


class _ExpectedData(_Data):
    metric: Metric
    statistic: str
    target_s: Number
    figure: _FigureData
    verdict: Verdict

    @property
    def expected(self) -> Expected:
        promise = Promise(self.metric, self.statistic, self.target_s)
        return Expected(promise=promise, figure=self.figure.figure, verdict=self.verdict)


class _ForecastData(_Data):
    schema_version: Literal[1]
    origin: Origin
    gpu: str
    gpus: Count
    replicas: Count
    figures: dict[str, _FigureData]
    expected: tuple[_ExpectedData, ...] = ()
    utilisation: Number | None
    kv_use: Number | None
    usd_per_h: Number | None
    usd_per_million_tokens: Number | None
    notes: tuple[str, ...] = ()


def _number(value: float | None) -> float:
    return math.nan if value is None else value
