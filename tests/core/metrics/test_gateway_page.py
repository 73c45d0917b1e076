from __future__ import annotations

import pytest

from enova.core.metrics.gateway_page import ATTEMPTS, RETRIES, UNTAKEN, arrived, gateway_look_of
from tests.core.metrics.real import gateway_page


def test_what_came_to_a_real_router_is_what_was_sent_to_it() -> None:
    look = gateway_look_of(gateway_page())

    assert look.counters == {
        (ATTEMPTS, "http://127.0.0.1:18431"): 6,
        (RETRIES, "/v1/completions"): 2,
        (RETRIES, "/v1/chat/completions"): 2,
        (UNTAKEN, "/v1/chat/completions"): 3,
    }
    # Three were answered, one failed after three attempts, one found nobody three times.
    assert arrived(look.counters) == 5


def test_a_router_that_nobody_asked_anything_yet_had_no_arrivals() -> None:
    assert (
        arrived(
            gateway_look_of("# TYPE vllm_router_active_workers gauge\nvllm_router_active_workers 1\n").counters
        )
        == 0
    )


def test_a_retry_whose_attempt_is_still_to_come_makes_no_negative_arrivals() -> None:
    assert arrived({(RETRIES, "/v1/completions"): 1.0}) == 0


@pytest.mark.parametrize("page", ["", "<html>busy</html>", "up 1\n"])
def test_what_is_no_router_is_an_error_and_not_a_router_without_arrivals(page: str) -> None:
    with pytest.raises(ValueError, match="none of vllm-router"):
        gateway_look_of(page)
