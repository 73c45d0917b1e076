"""What was chosen, kept beside the specs as TOML: stable, one value a line, each service a section of its own.

    version = 1

    [services.chat]
    inputs = "v1:..."             digest of what the user wrote that choices depend on
    inventory = "v1:..."          digest of what there was to run on
    [services.chat.chosen]        value by field
    [services.chat.why]           the reason, by field
    [services.chat.pins]          what values that the user pinned cost
    [services.chat.max_tokens]    advice to clients, by class of requests; "" without classes
    [services.chat.forecast]      what is expected
    [services.chat.forecast.figures]
    "ttft.p95" = [0.21, 0.12, 0.39]    value, and the band it is expected in; []: nobody knows

Values that no Enova would choose are refused, so that a merge gone wrong cannot reach an engine.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from enova.core.forecast import Forecast
from enova.core.forecast_data import forecast_as_data, forecast_in
from enova.core.recommend.fields import CHOOSABLE, Chosen
from enova.errors import EnovaError, LockError

VERSION = 1
NAME = "enova.lock"
HEADER = """\
# What Enova chose where the specs leave something open, and what it expects of it. Made by `enova plan`: keep it
# in git beside the specs, and do not edit it. `enova plan --refresh` chooses anew.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The choices for one service."""

    inputs: str
    inventory: str
    chosen: Chosen
    why: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    forecast: Forecast | None = None
    """None: no traffic is stated."""


Lock = Mapping[str, Entry]
"""Entries by service."""


def lock_text(lock: Lock) -> str:
    """Return the file; equal locks have equal bytes."""
    return HEADER + "\n".join([f"version = {VERSION}\n", *(_section(name, lock[name]) for name in sorted(lock))])


def lock_in(text: str, file: str) -> dict[str, Entry]:
    """Return the entries of a file; raise LockError, saying where and what, if it is none."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        where = f":{place[1]}:{place[2]}" if place else ""
        words = str(error).partition(" (at ")[0]
        merging = "<<<<<<<" in text or ">>>>>>>" in text
        hint = "it has marks of a merge in it: keep one side of each" if merging else _ANEW
        raise LockError(f"{file}{where}: {words}", hint=hint) from error
    if data.get("version") != VERSION:
        found = data.get("version")
        newer = isinstance(found, int) and found > VERSION
        hint = "it was written by a newer Enova: use that one" if newer else _ANEW
        raise LockError(f"{file}: has version {found}, this Enova reads {VERSION}", hint=hint)
    services = data.get("services", {})
    if not isinstance(services, dict):
        raise LockError(f"{file}: services must be sections", hint=_ANEW)
    return {name: _entry(name, services[name], file) for name in sorted(services)}


_ANEW = "restore it from git, or delete it and run `enova plan`"
_SCALARS = (str, int, float, bool)


def _section(name: str, entry: Entry) -> str:
    key = f"services.{_key(name)}"
    lines = [f"[{key}]", f"inputs = {_value(entry.inputs)}", f"inventory = {_value(entry.inventory)}"]
    tables: dict[str, Mapping[str, Any]] = {
        "chosen": entry.chosen,
        "why": entry.why,
        "pins": entry.pins,
        "max_tokens": entry.max_tokens,
    }
    if entry.forecast is not None:
        tables |= dict(_forecast_tables(entry.forecast))
    for table, values in tables.items():
        if values or table == "chosen":
            lines += [
                "",
                f"[{key}.{table}]",
                *(f"{_key(item)} = {_value(values[item])}" for item in sorted(values)),
            ]
    return "\n".join(lines) + "\n"


def _forecast_tables(forecast: Forecast) -> Iterator[tuple[str, dict[str, Any]]]:
    data = forecast_as_data(forecast)
    figures, expected = data.pop("figures"), data.pop("expected")
    data["expected"] = [
        f"{one['metric']}.{one['statistic']} <= {one['target_s']!r} s: {one['verdict']}" for one in expected
    ]
    yield "forecast", {name: value for name, value in data.items() if value not in (None, [])}
    yield (
        "forecast.figures",
        {name: _ends(figure) for name, figure in figures.items()},
    )


_EXPECTED = re.compile(r"(\w+)\.(\w+) <= (\S+) s: (\w+)")


def _forecast(data: dict[str, Any]) -> Forecast:
    figures = {name: _figure(ends) for name, ends in data.get("figures", {}).items()}
    none = {"value": None, "low": None, "high": None}
    expected = []
    for words in data.get("expected", []):
        metric, statistic, target_s, verdict = _EXPECTED.fullmatch(words).groups()  # type: ignore[union-attr]
        figure = figures.get(f"{metric}.{statistic}", none)
        expected.append(
            {
                "metric": metric,
                "statistic": statistic,
                "target_s": float(target_s),
                "verdict": verdict,
                "figure": figure,
            }
        )
    absent = dict.fromkeys(("utilisation", "kv_use", "usd_per_h", "usd_per_million_tokens"))
    return forecast_in(absent | data | {"figures": figures, "expected": expected})


def _ends(figure: dict[str, float | None]) -> list[float]:
    ends = [figure["value"], figure["low"], figure["high"]]
    known = [index for index, end in enumerate(ends) if end is not None]
    return [math.nan if end is None else end for end in ends[: max(known, default=-1) + 1]]


def _figure(ends: list[float]) -> dict[str, float | None]:
    known = [None if math.isnan(end) else end for end in ends]
    return dict(zip(("value", "low", "high"), [*known, None, None, None], strict=False))


def _entry(name: str, data: Any, file: str) -> Entry:
    try:
        entry = Entry(
            inputs=str(data["inputs"]),
            inventory=str(data["inventory"]),
            chosen=dict(sorted(data.get("chosen", {}).items())),
            why=data.get("why", {}),
            pins=data.get("pins", {}),
            max_tokens=data.get("max_tokens", {}),
            forecast=_forecast(data["forecast"]) if "forecast" in data else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, EnovaError) as error:
        raise LockError(f"{file}: services.{name}: is damaged ({error})", hint=_ANEW) from error
    strange = sorted(entry.chosen.keys() - set(CHOOSABLE))
    if strange:
        raise LockError(f"{file}: services.{name}.chosen: {', '.join(strange)} cannot be chosen", hint=_ANEW)
    wrong = [item for item, value in entry.chosen.items() if not isinstance(value, _SCALARS)]
    if wrong:
        raise LockError(f"{file}: services.{name}.chosen: {', '.join(wrong)}: not a plain value", hint=_ANEW)
    return entry


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """Text, numbers, true, false and lists of them are written in TOML as in JSON, but for two things."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
