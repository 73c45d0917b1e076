"""Arguments become command-line words."""

from __future__ import annotations

import pytest

from enova.core.argv import router_words, words
from enova.core.launch import ArgValue


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8, ("--some-name", "8")),
        (0.9, ("--some-name", "0.9")),
        ("fp8", ("--some-name", "fp8")),
        (("a", "b"), ("--some-name", "a", "b")),
        ((), ()),
        (True, ("--some-name",)),
        (False, ("--no-some-name",)),
        (0, ("--some-name", "0")),
        (-1, ("--some-name=-1",)),
        ("-x", ("--some-name=-x",)),
    ],
)
def test_a_value_becomes_the_words_its_type_asks_for(value: ArgValue, expected: tuple[str, ...]) -> None:
    assert expected == words({"some_name": value})


def test_words_are_sorted_by_name() -> None:
    assert words({"b": 2, "a": 1}) == ("--a", "1", "--b", "2")


def test_the_router_knows_no_negated_flags() -> None:
    assert router_words({"policy": "round_robin", "enable_x": True, "enable_y": False}) == (
        "--enable-x",
        "--policy",
        "round_robin",
    )
