"""Numbers written with units: what is read, what is refused, and that writing and reading agree."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.spec.fault import Fault
from enova.core.spec.units import ByteSize, Duration, Money, Percent, Rate, Written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5), ("1.5ms", 0.0015), ("20s", 20.0), ("10m", 600.0), ("1h30m", 5400.0), ("2d", 172_800.0),
        ("0s", 0.0), ("1m0.25s", 60.25), ("365d", 31_536_000.0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        (Rate, "20/s", 20.0), (Rate, "90/min", 1.5), (Rate, "3600/h", 1.0), (Rate, "86400/d", 1.0),
        (ByteSize, "16GiB", 16 * 2**30), (ByteSize, "2GB", 2 * 10**9), (ByteSize, "1.5MiB", 1_572_864),
        (ByteSize, "0B", 0), (Money, "12 USD/h", 12.0), (Money, "0.85 USD/h", 0.85), (Percent, "99.9%", 99.9),
    ],
)  # fmt: skip
def test_other_units_are_read_as_their_base_unit(kind: type[Written], text: str, number: float) -> None:
    value: object = kind.parse(text)

    assert value == number


@pytest.mark.parametrize(
    ("kind", "value", "message", "hint"),
    [
        (Duration, 500, "needs a unit: a duration", "write 500ms or 500s"),
        (Duration, 0.5, "needs a unit: a duration", "write 0.5ms or 0.5s"),
        (Rate, 20, "needs a unit: a rate", "write 20/s or 20/min"),
        (ByteSize, 16, "needs a unit: a size", "write 16GiB or 16MiB"),
        (Money, 12, "needs a unit: an amount of money per hour", "write 12 USD/h"),
        (Percent, 99.9, "needs a unit: a percentage", "write 99.9%"),
    ],
)
def test_a_bare_number_is_refused_with_what_was_likely_meant(
    kind: type[Written], value: float, message: str, hint: str
) -> None:
    with pytest.raises(Fault) as caught:
        kind.check(value)

    assert (message, True) == (caught.value.message, str(caught.value.hint).startswith(hint))


@pytest.mark.parametrize("kind", [Duration, Rate, ByteSize, Money, Percent])
@pytest.mark.parametrize(
    "value",
    ["", "5", "-5s", "-1/s", "nan", "inf", "1e9s", "1 s", " 1s", "1s ", "1s\n", "٣s", "9" * 400 + "s", "1s1h",
     "s", ".5s", "1.s", "12 EUR/h", "$12/h", "101%", "2000TiB", "1.5B", "2000000/s", "400d", True, None, [], {}],
)  # fmt: skip
def test_what_is_not_a_value_of_the_unit_is_refused(kind: type[Written], value: object) -> None:
    with pytest.raises(Fault):
        kind.check(value)


def test_an_error_repeats_only_the_beginning_of_a_long_text() -> None:
    with pytest.raises(Fault) as caught:
        Duration.check("x" * 10_000)

    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(0.5), "500ms"), (Duration(0), "0s"), (Duration(90), "1m30s"), (Duration(86_400), "1d"),
        (Duration(3600.25), "1h0.25s"), (Rate(1.5), "1.5/s"), (Rate(1000 / 3600), "1000/h"), (Rate(0), "0/s"),
        (ByteSize(16 * 2**30), "16GiB"), (ByteSize(512_000_000), "512MB"), (ByteSize(7), "7B"),
        (Money(12), "12 USD/h"), (Percent(99.9), "99.9%"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_a_person_would(value: Written, text: str) -> None:
    assert (str(value), f"{value}") == (text, text)


@given(st.integers(0, 31_536_000_000_000))
def test_every_duration_reads_back_from_its_text(microseconds: int) -> None:
    value = Duration(microseconds / 1e6)

    assert Duration.parse(str(value)) == value


@given(st.integers(0, 2**50))
def test_every_size_reads_back_from_its_text(size: int) -> None:
    assert ByteSize.parse(str(ByteSize(size))) == size


@given(st.integers(0, 10**9), st.sampled_from(["s", "min", "h", "d"]))
def test_every_rate_that_can_be_written_reads_back_from_its_text(thousandths: int, unit: str) -> None:
    value = Rate.parse(f"{thousandths / 1000:.3f}/{unit}")

    assert Rate.parse(str(value)) == value


@given(st.integers(0, 10**9))
def test_money_and_percentages_read_back_from_their_text(thousandths: int) -> None:
    money, percent = Money(thousandths / 1000), Percent(thousandths / 10**7)

    assert (Money.parse(str(money)), Percent.parse(str(percent))) == (money, percent)


def test_a_percentage_knows_its_fraction() -> None:
    assert json.dumps(Percent.parse("25%").fraction) == "0.25"
