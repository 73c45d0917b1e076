"""How many services may go at once."""

from __future__ import annotations

import pytest

from enova.core.watch.deletion import refusal

TEN = [f"s{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("gone", "staying"), [((), ()), ((), TEN), (("a",), ("b",)), (("a",), TEN), (("a", "b", "c"), TEN)]
)
def test_few_of_many_may_go_and_one_where_another_stays(gone: list[str], staying: list[str]) -> None:
    assert refusal(gone, staying) == ""


def test_the_last_ones_stay() -> None:
    assert refusal(["b", "a"], []) == "no spec is left of a, b: nothing is removed"


def test_many_at_once_stay() -> None:
    assert refusal(["a", "b"], ["c"]) == "2 of 3 specs are gone at once (a, b): nothing is removed"
    assert "s4 and 5 more" in refusal(TEN, ["c"])
