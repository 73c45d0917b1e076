"""The spec's gateway settings as vllm-router arguments, with defaults where the router's do not suit serving.

Host, port and metrics port are where a gateway happens to sit; the runtime sets those. The API key is no argument
either: the router checks none, the engines do. Measurements behind the defaults: docs/gateway.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from enova.core.launch import ArgValue
from enova.core.spec.gateway import Gateway, Retries

MAX_BACKOFF_MS = 2000
ROUTERS_FAILURES = 10
"""Failures in a row after which the router opens a circuit when it is told nothing."""
FEWEST_FAILURES = 2
"""Enova never lets a single failure open a circuit: any one answer of 500 would."""
DEFAULTS: Mapping[str, ArgValue] = MappingProxyType(
    {
        # Adds the least latency, starts with no worker (power_of_two does not), and outlives a killed replica with
        # the circuit breaker off too: to cache_aware a dead replica is the least busy one.
        "policy": "round_robin",
        # A replica that hangs or dies is out after about 15 s instead of 3 min, and back after one good check.
        "health_check_interval_secs": 5,
        "health_success_threshold": 1,
        # A retry may go to the replica that just failed: the router does not remember which one that was. What
        # keeps the last attempt off a killed one is a circuit that opens a failure earlier, see _failures_to_open.
        "cb_failure_threshold": 3,
        # A request that makes engines answer 500 is retried on all of them and can open every circuit, the more
        # easily the fewer failures it takes. All others then wait for it between their attempts, so it has to be
        # shorter than those last; with the router's 60 s and 3 successes the whole service would be out that long.
        "cb_timeout_duration_secs": 1,
        "cb_success_threshold": 1,
        # Attempts, the first included, and the first pause: the last attempt comes 0.95 to 1.4 s after the first,
        # when an open circuit lets requests through again, and a daemon has taken a killed replica off the list. A
        # request that crashes its engine is tried on the next one too, so this is also how many replicas one
        # request can take down.
        "retry_max_retries": 4,
        "retry_initial_backoff_ms": 250,
        # With the router's 30 s, one pause could outlast the patience of a client.
        "retry_max_backoff_ms": MAX_BACKOFF_MS,
        # Replicas are added once they have generated; 600 s of waiting for one that died since would only block.
        "worker_startup_timeout_secs": 5,
        "worker_startup_check_interval": 1,
    }
)
"""What is passed where the spec says nothing; anything else is left to the router."""


def router_args(gateway: Gateway) -> dict[str, ArgValue]:
    """Return the router's arguments under its own names, with underscores, sorted."""
    chosen: dict[str, ArgValue | None] = {
        "policy": gateway.policy,
        "request_timeout_secs": _seconds(gateway.request_timeout),
        "max_concurrent_requests": gateway.max_concurrent_requests,
        "queue_size": gateway.queue_size,
        "queue_timeout_secs": _seconds(gateway.queue_timeout),
        "request_id_headers": tuple(gateway.request_id_headers) or None,
        "log_level": gateway.log_level,
        **_retries(gateway.retries),
        **_circuit_breaker(gateway),
        **_health_check(gateway),
    }
    args = {**DEFAULTS, **{name: value for name, value in chosen.items() if value is not None}}
    return dict(sorted(args.items()))


def _retries(retries: Retries) -> dict[str, ArgValue | None]:
    return {
        # The router counts attempts, the first one included.
        "retry_max_retries": None if retries.max is None else retries.max + 1,
        "retry_initial_backoff_ms": _milliseconds(retries.initial_backoff) if retries.initial_backoff else None,
        "retry_max_backoff_ms": _max_backoff_ms(retries),
    }


def _max_backoff_ms(retries: Retries) -> int:
    """Return the longest pause: the user's, or the default, which a longer first pause raises."""
    if retries.max_backoff is not None:
        return _milliseconds(retries.max_backoff)
    return max(MAX_BACKOFF_MS, _milliseconds(retries.initial_backoff or 0))


def _circuit_breaker(gateway: Gateway) -> dict[str, ArgValue | None]:
    breaker = gateway.circuit_breaker
    if breaker.enabled is False:
        return {"disable_circuit_breaker": True}
    return {
        "cb_failure_threshold": breaker.failures or _failures_to_open(gateway.retries),
        "cb_success_threshold": breaker.successes,
        "cb_timeout_duration_secs": _seconds(breaker.cooldown),
        "cb_window_duration_secs": _seconds(breaker.window),
    }


def _failures_to_open(retries: Retries) -> int | None:
    """Return after how many failures a replica is left alone: so many that one attempt remains for another one.

    Without retries no request can be saved that way, and the circuit may take its time.
    """
    if retries.max is None:
        return None
    return min(max(retries.max, FEWEST_FAILURES), ROUTERS_FAILURES) if retries.max else ROUTERS_FAILURES


def _health_check(gateway: Gateway) -> dict[str, ArgValue | None]:
    check = gateway.health_check
    return {
        "health_check_interval_secs": _seconds(check.interval),
        "health_check_timeout_secs": _seconds(check.timeout),
        "health_failure_threshold": check.failures,
        "health_success_threshold": check.successes,
    }


def _seconds(duration_s: float | None) -> int | None:
    """Return whole seconds, as the router counts; rounded up, so that nothing becomes 0."""
    return None if duration_s is None else math.ceil(duration_s)


def _milliseconds(duration_s: float) -> int:
    return math.ceil(round(duration_s * 1000, 3))
