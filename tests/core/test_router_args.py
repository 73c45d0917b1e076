"""What the spec's gateway section means to vllm-router."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest
from vllm_router.launch_router import parse_router_args
from vllm_router.router_args import RouterArgs

from enova.core.argv import router_words
from enova.core.launch import ArgValue
from enova.core.router_args import DEFAULTS, router_args
from enova.core.simulate.changes import retries_of
from enova.core.spec import Gateway

EVERYTHING = {
    "policy": "cache_aware",
    "request_timeout": "10m",
    "max_concurrent_requests": 512,
    "queue_size": 0,
    "queue_timeout": "1500ms",
    "retries": {"max": 3, "initial_backoff": "50ms", "max_backoff": "5s"},
    "circuit_breaker": {"enabled": True, "failures": 5, "successes": 2, "cooldown": "30s", "window": "1m"},
    "health_check": {"interval": "10s", "timeout": "500ms", "failures": 4, "successes": 2},
    "request_id_headers": ["x-request-id", "x-trace-id"],
    "log_level": "warning",
}


def test_an_empty_section_gives_the_defaults() -> None:
    assert router_args(Gateway()) == DEFAULTS


def test_every_setting_has_its_argument_in_the_routers_units() -> None:
    assert router_args(gateway(**EVERYTHING)) == {
        "cb_failure_threshold": 5,
        "cb_success_threshold": 2,
        "cb_timeout_duration_secs": 30,
        "cb_window_duration_secs": 60,
        "health_check_interval_secs": 10,
        "health_check_timeout_secs": 1,
        "health_failure_threshold": 4,
        "health_success_threshold": 2,
        "log_level": "warning",
        "max_concurrent_requests": 512,
        "policy": "cache_aware",
        "queue_size": 0,
        "queue_timeout_secs": 2,
        "request_id_headers": ("x-request-id", "x-trace-id"),
        "request_timeout_secs": 600,
        "retry_initial_backoff_ms": 50,
        "retry_max_backoff_ms": 5000,
        "retry_max_retries": 4,
        "worker_startup_check_interval": 1,
        "worker_startup_timeout_secs": 5,
    }


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"retries": {"max": 0}}, {"retry_max_retries": 1, "cb_failure_threshold": 10}),
        ({"retries": {"max": 1}}, {"retry_max_retries": 2, "cb_failure_threshold": 2}),
        ({"retries": {"max": 39}}, {"retry_max_retries": 40, "cb_failure_threshold": 10}),
        ({"retries": {"initial_backoff": "5s"}}, {"retry_initial_backoff_ms": 5000, "retry_max_backoff_ms": 5000}),
        ({"circuit_breaker": {"enabled": False, "failures": 3}}, {"disable_circuit_breaker": True}),
    ],
)
def test_what_the_router_counts_otherwise_is_translated(
    section: dict[str, Any], expected: dict[str, ArgValue]
) -> None:
    assert router_args(gateway(**section)) == {**DEFAULTS, **expected}


@pytest.mark.parametrize("retries", [{}, *({"max": most} for most in range(2, 12))])
def test_a_replica_that_fails_every_attempt_does_not_get_the_last_one(retries: dict[str, int]) -> None:
    args = router_args(gateway(retries=retries))

    attempts, failures = args["retry_max_retries"], args["cb_failure_threshold"]
    assert isinstance(attempts, int)
    assert isinstance(failures, int)
    assert 1 < failures < attempts


def test_failures_that_the_spec_sets_are_kept() -> None:
    args = router_args(gateway(retries={"max": 4}, circuit_breaker={"failures": 7}))

    assert args["cb_failure_threshold"] == 7


def test_attempts_are_spread_over_more_time_than_a_circuit_stays_open() -> None:
    retries = retries_of(Gateway())

    pauses_s = sum(retries.pause_s(attempt, random=0.5) for attempt in range(retries.attempts - 1))

    assert pauses_s > float(str(DEFAULTS["cb_timeout_duration_secs"]))


def test_arguments_are_sorted_so_that_equal_specs_give_equal_launches() -> None:
    args = router_args(gateway(**EVERYTHING))

    assert list(args) == sorted(args)


def test_where_it_sits_and_its_keys_are_no_arguments() -> None:
    section = gateway(host="0.0.0.0", port=8080, metrics_port=8081, api_key={"env": "CHAT_API_KEY"})

    assert router_args(section) == DEFAULTS


@pytest.mark.parametrize("section", [{}, EVERYTHING, {"retries": {"max": 0}}], ids=["empty", "full", "no retries"])
def test_the_router_understands_every_argument(section: dict[str, Any]) -> None:
    args = router_args(gateway(**section))
    understood = parse_router_args(list(router_words(args)))

    known = {field.name for field in fields(RouterArgs)}
    assert isinstance(understood, RouterArgs | argparse.Namespace)
    assert {name: _as_passed(getattr(understood, name)) for name in args if name in known} == args


def gateway(**section: Any) -> Gateway:
    return Gateway.model_validate(section)


def _as_passed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
