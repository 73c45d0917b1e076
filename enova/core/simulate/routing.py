"""Which replica a request is sent to: the policies of vllm-router (0.1.17), and two more it does not have.

A policy sees what the router sees: requests sent to a replica and not answered to the end, never the engine's own
queue. What a prompt begins with is known by `Request.prefix` instead of its text; a request without one has a
prompt of its own. A policy keeps state (a turn, what it sent where), so each run needs a new one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Protocol

from numpy.random import Generator

from enova.core.workload.request import Request


class Destination(Protocol):
    """A replica, as far as a policy looks at it."""

    @property
    def number(self) -> int:
        """Return its number, which no other replica of the fleet ever has."""
        ...

    @property
    def in_flight(self) -> int:
        """Return the requests sent to it and not answered to the end."""
        ...

    @property
    def weight(self) -> float:
        """Return its share of the requests, compared with the others'; above 0."""
        ...


class Policy(Protocol):
    """A way to choose."""

    @property
    def load_aware(self) -> bool:
        """Return whether it looks at `in_flight`, which then has to be current."""
        ...

    def pick(self, request: Request, replicas: Sequence[Destination], /) -> int:
        """Return the index of the chosen one of at least one replica, which are in the order of their numbers."""
        ...


class RoundRobin:
    """One after the other."""

    load_aware = False

    def __init__(self) -> None:
        self._turn = 0

    def pick(self, _request: Request, replicas: Sequence[Destination]) -> int:
        """Return the next."""
        index = self._turn % len(replicas)
        self._turn += 1
        return index


class Random:
    """Any, each as likely as the others."""

    load_aware = False

    def __init__(self, rng: Generator) -> None:
        self._rng = rng

    def pick(self, _request: Request, replicas: Sequence[Destination]) -> int:
        """Return any."""
        return int(self._rng.random() * len(replicas))


class PowerOfTwo:
    """The less busy one of two picked at random."""

    load_aware = True

    def __init__(self, rng: Generator) -> None:
        self._rng = rng

    def pick(self, _request: Request, replicas: Sequence[Destination]) -> int:
        """Return the less busy one of two different ones, the first picked where they are equal."""
        if len(replicas) == 1:
            return 0
        first = int(self._rng.random() * len(replicas))
        second = int(self._rng.random() * (len(replicas) - 1))
        second += second >= first
        return first if replicas[first].in_flight <= replicas[second].in_flight else second


class LeastLoaded:
    """The least busy one; not in vllm-router, but what its cache_aware does with prompts that share nothing."""

    load_aware = True

    def pick(self, _request: Request, replicas: Sequence[Destination]) -> int:
        """Return the least busy one, the first of equals."""
        loads = [replica.in_flight for replica in replicas]
        return loads.index(min(loads))


class CacheAware:
    """The replica that has seen the prompt's beginning, as long as no replica is much busier than another.

    The thresholds are the router's. It cuts its memory of prompts to 2^25 characters for each replica every two
    minutes, least recently used first; prefixes that are in use stay, so that is left out here.
    """

    load_aware = True

    def __init__(
        self, *, match_threshold: float = 0.3, balance_difference: int = 64, balance_ratio: float = 1.5
    ) -> None:
        """`match_threshold`: the least share of a prompt that has to be known for it to count.

        Loads are out of balance where the highest and the lowest differ by more than `balance_difference` requests
        and by more than a factor of `balance_ratio`.
        """
        self._match_threshold = match_threshold
        self._balance_difference = balance_difference
        self._balance_ratio = balance_ratio
        self._seen_by: dict[int, int] = {}

    def pick(self, request: Request, replicas: Sequence[Destination]) -> int:
        """Return the one that knows the prefix, or the least busy one where none does or loads differ too much."""
        loads = [replica.in_flight for replica in replicas]
        low, high = min(loads), max(loads)
        index = loads.index(low)
        if request.prefix < 0:
            return index
        balanced = high - low <= self._balance_difference or high <= low * self._balance_ratio
        if balanced and request.prefix_tokens > self._match_threshold * request.prompt_tokens:
            knows = self._seen_by.get(request.prefix)
            index = next((at for at, replica in enumerate(replicas) if replica.number == knows), index)
        self._seen_by[request.prefix] = replicas[index].number
        return index


class ConsistentHash:
    """Always the same replica for the same prefix, and for most of them also when replicas come and go."""

    load_aware = False
    _POINTS = 160
    """On the ring, for each replica; as many as the router has."""

    def __init__(self) -> None:
        self._numbers: tuple[int, ...] = ()
        self._ring: list[tuple[int, int]] = []

    def pick(self, request: Request, replicas: Sequence[Destination]) -> int:
        """Return the owner of the first point on the ring at or after the request's own."""
        numbers = tuple(replica.number for replica in replicas)
        if numbers != self._numbers:
            self._numbers = numbers
            self._ring = sorted(
                (_hash(f"{number}:{point}"), index)
                for index, number in enumerate(numbers)
                for point in range(self._POINTS)
            )
        at = bisect_left(self._ring, (_hash(_session(request)), -1))
        return self._ring[at % len(self._ring)][1]


class StickyLeastLoaded:
    """A session stays where it began; a new one begins where the fewest are. A prefix is a session.

    Requests without a prefix belong to none, and are not counted: hashing spreads them over the replicas with the
    fewest sessions. Sessions do not end within a run.
    """

    load_aware = False

    def __init__(self) -> None:
        self._home: dict[int, int] = {}
        self._sessions: dict[int, int] = {}

    def pick(self, request: Request, replicas: Sequence[Destination]) -> int:
        """Return the session's replica."""
        home = self._home.get(request.prefix)
        for index, replica in enumerate(replicas):
            if replica.number == home:
                return index
        index = self._fewest(request, replicas)
        if request.prefix >= 0:
            if home is not None:
                self._sessions[home] -= 1
            number = replicas[index].number
            self._home[request.prefix] = number
            self._sessions[number] = self._sessions.get(number, 0) + 1
        return index

    def _fewest(self, request: Request, replicas: Sequence[Destination]) -> int:
        counts = [self._sessions.get(replica.number, 0) for replica in replicas]
        fewest = min(counts)
        equals = [index for index, count in enumerate(counts) if count == fewest]
        session = _session(request)
        return max(equals, key=lambda index: _hash(f"{session}:{replicas[index].number}"))


class Weighted:
    """In proportion to the replicas' weights, as evenly as that goes (smooth weighted round robin, as in nginx).

    Not in vllm-router; for fleets whose replicas differ.
    """

    load_aware = False

    def __init__(self) -> None:
        self._credit: dict[int, float] = {}

    def pick(self, _request: Request, replicas: Sequence[Destination]) -> int:
        """Return the replica that is owed most."""
        credit = {replica.number: self._credit.get(replica.number, 0.0) + replica.weight for replica in replicas}
        index = max(range(len(replicas)), key=lambda at: credit[replicas[at].number])
        credit[replicas[index].number] -= sum(replica.weight for replica in replicas)
        self._credit = credit
        return index


_POLICIES: Mapping[str, Callable[[Generator], Policy]] = MappingProxyType(
    {
        "cache_aware": lambda _: CacheAware(),
        "consistent_hash": lambda _: ConsistentHash(),
        "least_loaded": lambda _: LeastLoaded(),
        "power_of_two": PowerOfTwo,
        "random": Random,
        "round_robin": lambda _: RoundRobin(),
        "sticky_least_loaded": lambda _: StickyLeastLoaded(),
        "weighted": lambda _: Weighted(),
    }
)
POLICIES = tuple(_POLICIES)
"""Their names; those that vllm-router has are called as there."""


def policy_of(name: str, rng: Generator) -> Policy:
    """Return a new policy by one of the names in `POLICIES`."""
    return _POLICIES[name](rng)


def _session(request: Request) -> str:
    return str(request.prefix) if request.prefix >= 0 else f"request {request.number}"


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
