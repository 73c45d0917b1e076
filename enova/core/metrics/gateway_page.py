"""vllm-router's metrics page, read for the requests that came to it.

It counts no arrivals as such. It counts attempts as they begin, and again each that is made anew, so what came is
attempts, those included that found nobody, less retries. A retry is counted before its attempt is, so that over a
short while the difference may be a little small, and is made up for right after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enova.core.metrics import names
from enova.core.metrics.exposition import Reader
from enova.core.metrics.series import Key

ATTEMPTS, RETRIES, UNTAKEN = "attempts", "retries", "untaken"


@dataclass(frozen=True, slots=True)
class GatewayLook:
    """What the metrics of one gateway say at a moment."""

    counters: Mapping[Key, float]
    """By `ATTEMPTS` and worker URL, or `RETRIES` or `UNTAKEN` and route."""


def gateway_look_of(page: str) -> GatewayLook:
    """Return what a page says. Bad text, or that of something else, is a ValueError."""
    counters: dict[Key, float] = {}
    there = False
    for meaning, value in _READER.read(page):
        there = True
        if meaning[0]:
            counters[meaning] = counters.get(meaning, 0.0) + value
    if not there:
        raise ValueError("it has none of vllm-router's metrics")
    return GatewayLook(counters)


def arrived(increase: Mapping[Key, float]) -> float:
    """Return the requests that came, from what the counters grew by."""
    return max(0.0, net(increase))


def net(increase: Mapping[Key, float]) -> float:
    """Return the same as it adds up over successive looks: a little less than nothing, at times."""
    return sum(-grown if of == RETRIES else grown for (of, _), grown in increase.items())


def _meaning(name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    if name == names.ROUTER_ATTEMPTS:
        return ATTEMPTS, labels.get("worker", "")
    if name == names.ROUTER_RETRIES:
        return RETRIES, labels.get("route", "")
    if name == names.ROUTER_ERRORS:
        return (UNTAKEN, labels.get("route", "")) if labels.get("error_type") == names.NO_WORKER else None
    return "", name


WANTED = frozenset({names.ROUTER_ATTEMPTS, names.ROUTER_RETRIES, names.ROUTER_ERRORS, names.ROUTER_WORKERS})
"""Names that are read, as they stand in the text."""
_READER: Reader[tuple[str, str]] = Reader(WANTED, _meaning)
