"""Choices as text in git: stable, one value a line, and read again or refused with the place of what is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.engine.step_time import Origin
from enova.core.forecast import Expected
from enova.core.forecast_data import forecast_as_data, forecast_in
from enova.core.lockfile import HEADER, Entry, lock_in, lock_text
from enova.core.recommend.fields import CHOOSABLE
from enova.core.simulate.promises import Promise, Verdict
from enova.core.simulate.results import Band, Figure, Metric
from enova.errors import LockError
from tests.core.forecasts import figure, forecast

ANEW = "restore it from git, or delete it and run `enova plan`"


def entry(**changes: Any) -> Entry:
    """Return choices for three replicas on H100s."""
    values: dict[str, Any] = {
        "inputs": "v1:aaaa",
        "inventory": "v1:bbbb",
        "chosen": {"engine.max_model_len": 8192, "gpu": "h100-sxm", "replicas": 2},
        "why": {"gpu": 'the cheapest, says "me"', "replicas": "the fewest"},
        "pins": {"engine.max_num_seqs": "8 costs 2.69 USD/h more than 1 x h100-sxm"},
        "max_tokens": {"": 64},
        "forecast": forecast(
            figures={"ttft.p95": figure(0.2)}, usd_per_million_tokens=None, notes=("lengths are assumed",)
        ),
    }
    return Entry(**(values | changes))


def test_its_form_is_pinned() -> None:
    assert lock_text({"chat": entry()}) == HEADER + (
        "version = 1\n"
        "\n"
        "[services.chat]\n"
        'inputs = "v1:aaaa"\n'
        'inventory = "v1:bbbb"\n'
        "\n"
        "[services.chat.chosen]\n"
        '"engine.max_model_len" = 8192\n'
        'gpu = "h100-sxm"\n'
        "replicas = 2\n"
        "\n"
        "[services.chat.why]\n"
        'gpu = "the cheapest, says \\"me\\""\n'
        'replicas = "the fewest"\n'
        "\n"
        "[services.chat.pins]\n"
        '"engine.max_num_seqs" = "8 costs 2.69 USD/h more than 1 x h100-sxm"\n'
        "\n"
        "[services.chat.max_tokens]\n"
        '"" = 64\n'
        "\n"
        "[services.chat.forecast]\n"
        'expected = ["ttft.p95 <= 0.5 s: kept"]\n'
        'gpu = "h100-sxm"\n'
        "gpus = 2\n"
        "kv_use = 0.3\n"
        'notes = ["lengths are assumed"]\n'
        'origin = "roofline"\n'
        "replicas = 2\n"
        "schema_version = 1\n"
        "usd_per_h = 5.98\n"
        "utilisation = 0.6\n"
        "\n"
        "[services.chat.forecast.figures]\n"
        '"ttft.p95" = [0.2, 0.16, 0.25]\n'
    )


def test_what_is_written_is_read_again() -> None:
    lock = {"chat": entry(), "code": entry(forecast=None, pins={}, max_tokens={}, why={})}

    assert lock_in(lock_text(lock), "enova.lock") == lock


def test_the_order_of_services_and_of_values_makes_no_difference() -> None:
    one, other = entry(), entry(chosen=dict(reversed([*entry().chosen.items()])))

    assert lock_text({"a": one, "b": other}) == lock_text({"b": one, "a": other})


def test_a_service_more_leaves_the_lines_of_the_others_alone() -> None:
    """So that two branches that each add a service merge."""
    before, after = lock_text({"a": entry(), "c": entry()}), lock_text({"a": entry(), "b": entry(), "c": entry()})

    added = lock_text({"b": entry()}).partition("\n\n")[2]
    assert after.replace(f"\n{added}", "", 1) == before


numbers = st.floats(min_value=0, max_value=1e12) | st.just(math.nan) | st.just(math.inf)
words = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
figures = st.builds(Figure, numbers, st.builds(Band, numbers, numbers, st.just(0.9)))
promised = st.builds(
    lambda metric, statistic, target_s, verdict: (Promise(metric, statistic, target_s), verdict),
    st.sampled_from(Metric),
    st.sampled_from(["p50", "p95", "p99_9"]),
    st.floats(min_value=1e-6, max_value=1e6),
    st.sampled_from(Verdict),
)
forecasts = st.builds(
    lambda values, expected, **more: forecast(
        figures=values | {f"{promise.metric}.{promise.statistic}": figure(0.1) for promise, _ in expected},
        expected=tuple(
            Expected(promise=promise, figure=figure(0.1), verdict=verdict) for promise, verdict in expected
        ),
        **more,
    ),
    st.dictionaries(words, figures, max_size=3),
    st.lists(promised, max_size=2, unique_by=lambda one: one[0][:2]),
    origin=st.sampled_from(Origin),
    utilisation=numbers,
    kv_use=numbers,
    usd_per_h=st.none() | numbers,
    notes=st.lists(words, max_size=2).map(tuple),
)
values = st.integers(1, 10_000) | words | st.booleans() | st.floats(0.1, 1)
entries = st.builds(
    Entry,
    inputs=words,
    inventory=words,
    chosen=st.dictionaries(st.sampled_from(CHOOSABLE), values, max_size=4),
    why=st.dictionaries(st.sampled_from(CHOOSABLE), words, max_size=2),
    pins=st.dictionaries(st.sampled_from(CHOOSABLE), words, max_size=2),
    max_tokens=st.dictionaries(words, st.integers(1, 99_999), max_size=2),
    forecast=st.none() | forecasts,
)


@given(st.dictionaries(names, entries, max_size=2))
def test_what_was_read_is_written_again_byte_for_byte(lock: dict[str, Entry]) -> None:
    text = lock_text(lock)

    assert lock_text(lock_in(text, "enova.lock")) == text


@pytest.mark.parametrize(
    "figure_",
    [Figure(math.nan, Band(math.nan, math.nan)), Figure(0.2, Band(0.1, math.inf))],
    ids=["unknown", "open"],
)
def test_a_figure_that_is_no_number_stays_one(figure_: Figure) -> None:
    one = forecast(figures={"ttft.p95": figure_}, expected=())

    read = lock_in(lock_text({"chat": entry(forecast=one)}), "enova.lock")["chat"].forecast

    assert read is not None
    assert forecast_as_data(read) == forecast_as_data(forecast_in(forecast_as_data(one)))


TEXT = lock_text({"chat": entry()})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            TEXT.replace("replicas = 2", "replicas = = 2", 1),
            "enova.lock:12:12: Invalid value",
            ANEW,
        ),
        (
            TEXT.replace("replicas = 2", "<<<<<<< HEAD\nreplicas = 2\n=======\nreplicas = 3\n>>>>>>> other", 1),
            "enova.lock:12:1: Invalid statement",
            "it has marks of a merge in it: keep one side of each",
        ),
        (
            TEXT.replace("version = 1", "version = 2", 1),
            "enova.lock: has version 2, this Enova reads 1",
            "it was written by a newer Enova: use that one",
        ),
        (TEXT.replace("version = 1", "", 1), "enova.lock: has version None, this Enova reads 1", ANEW),
        ("", "enova.lock: has version None, this Enova reads 1", ANEW),
        ("version = 1\nservices = 3\n", "enova.lock: services must be sections", ANEW),
        ("version = 1\nservices.chat = 3\n", "enova.lock: services.chat: is damaged", ANEW),
        (TEXT.replace('inputs = "v1:aaaa"\n', ""), "enova.lock: services.chat: is damaged ('inputs')", ANEW),
        (
            TEXT.replace("kept", "kind of"),
            "enova.lock: services.chat: is damaged",
            ANEW,
        ),
        (TEXT.replace("[0.2, 0.16, 0.25]", '["a"]'), "enova.lock: services.chat: is damaged", ANEW),
        (
            TEXT.replace('"engine.max_model_len"', '"engine.image"'),
            "enova.lock: services.chat.chosen: engine.image cannot be chosen",
            ANEW,
        ),
        (
            TEXT.replace("replicas = 2", "replicas = [2]", 1),
            "enova.lock: services.chat.chosen: replicas: not a plain value",
            ANEW,
        ),
        (
            TEXT.replace("replicas = 2", "replicas = 2024-01-01", 1),
            "enova.lock: services.chat.chosen: replicas: not a plain value",
            ANEW,
        ),
    ],
    ids=[
        "no TOML", "a merge", "newer", "no version", "empty", "no sections", "no section", "no digest",
        "no verdict", "no band", "strange field", "list", "date",
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_and_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(LockError) as raised:
        lock_in(text, "enova.lock")

    assert raised.value.message.startswith(message)
    assert raised.value.hint == hint
