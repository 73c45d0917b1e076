"""What a router does about failures is what the spec's gateway makes of it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from enova.core.simulate.changes import Retries, retries_of
from enova.core.spec import Gateway


def test_an_empty_section_is_the_router_as_enova_sets_it() -> None:
    assert retries_of(Gateway()) == Retries()


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"retries": {"max": 0}}, {"attempts": 1, "failures_until_out": 10}),
        (
            {"retries": {"max": 5, "initial_backoff": "1s"}},
            {"attempts": 6, "first_pause_s": 1.0, "failures_until_out": 5},
        ),
        ({"retries": {"initial_backoff": "5s"}}, {"first_pause_s": 5.0, "longest_pause_s": 5.0}),
        ({"retries": {"max_backoff": "9s"}}, {"longest_pause_s": 9.0}),
        ({"circuit_breaker": {"failures": 4}}, {"failures_until_out": 4}),
        ({"circuit_breaker": {"enabled": False}}, {"failures_until_out": sys.maxsize}),
        ({"health_check": {"interval": "2s"}}, {"noticed_after_s": 5.6}),
        ({"health_check": {"failures": 6}}, {"noticed_after_s": 28.0}),
    ],
)
def test_what_the_spec_sets_is_what_the_router_does(section: dict[str, Any], expected: dict[str, Any]) -> None:
    found = retries_of(Gateway.model_validate(section))

    assert found._asdict() == pytest.approx(Retries()._replace(**expected)._asdict())
