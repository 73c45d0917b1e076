"""What goes on right now: all replicas and gateways of the services a daemon keeps, looked at every few seconds.

A thread of its own asks for their metrics. Nothing here decides, and whatever is asked can do no more harm than to
be unknown.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from enova.adapters.rollups import Counted, Rollups
from enova.core.launch import Role
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.core.metrics import rollup
from enova.core.metrics.board import Board, total
from enova.core.metrics.gateway_page import GatewayLook, gateway_look_of, net
from enova.core.metrics.page import look_of
from enova.core.metrics.rollup import Book, Rollup
from enova.core.metrics.series import LONGEST_GAP_S, Key
from enova.core.metrics.target import COUNTED, Page, Target
from enova.core.metrics.vitals import Vitals
from enova.core.observed import Health, Instance, Observed, State, Unknown
from enova.errors import EnovaError
from enova.watch.told import Told

WRITE_EVERY_S = 60.0


class Scrapes(Protocol):
    """Asks addresses for their pages, by the names given to them."""

    def scrape(self, urls: Mapping[str, str], also: Mapping[str, str], /) -> Mapping[str, Page | Unknown]:
        """Return what became of each; `also` is what gateways call some of them. Takes no longer than a moment."""
        ...

    def close(self) -> None:
        """Give up its connections."""
        ...


@dataclass(slots=True, kw_only=True)
class Live:
    """Samples of the services a daemon keeps. Calls may come from any thread, but `turn` from one only.

    Without a scraper it knows nothing, and without roll-ups it keeps nothing.
    """

    scraper: Scrapes | None = None
    rollups: Rollups | None = None
    interval_s: float = 5.0
    now: Callable[[], float] = lambda: 0.0
    """Unix time, seconds."""
    monotonic: Callable[[], float] = lambda: 0.0
    say: Callable[[str], None] = lambda _: None
    gpu_use: Callable[[], Mapping[str, float]] = dict
    """Share of the last moments in which each GPU computed, by its id; none where that is not known."""
    _board: Board = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _targets: dict[str, Target] = field(default_factory=dict)
    _gpus: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of the replicas of each service."""
    _services: frozenset[str] = frozenset()
    _book: Book = field(default_factory=Book)
    _told: Told = field(init=False)
    _counted: dict[str, Counted] | None = None
    """As it is written."""
    _before_s: dict[str, float] = field(default_factory=dict)
    """Unix time until which an earlier daemon counted a service."""
    _since_s: dict[str, float] = field(default_factory=dict)
    """Unix time until which all of a target is counted, where that is not its last sample."""
    _began_s: float = 0.0
    _turned_s: float | None = None
    _written_s: float | None = None

    def __post_init__(self) -> None:
        self._board = Board(self.interval_s)
        self._told = Told(lambda words: self.say(words))

    def follow(self, look: Callable[[], Observed], services: Collection[str]) -> None:
        """Take in what there is. What cannot be seen now is taken to be where it was."""
        if self.scraper is None:
            return
        observed = look()
        with self._lock:
            self._services = frozenset(services)
        self.see(observed)

    def see(self, observed: Observed) -> None:
        """Take in what there is of the services that are followed."""
        if self.scraper is None:
            return
        # A runtime that nobody needs is left out where it does not answer.
        seen = {name for name, found in observed.runtimes.items() if not isinstance(found, Unknown)}
        with self._lock:
            counted, services = self._known(), self._services
            instances = [one for one in observed.instances() if one.service in services and _serves(one)]
            there = {
                **{
                    n: one
                    for n, one in self._targets.items()
                    if one.runtime not in seen and one.service in services
                },
                **{target.id: target for target in map(_target, instances)},
            }
            self._board.watch(there.values(), self.monotonic())
            for name in there.keys() - self._targets.keys():
                self._begin(there[name], counted)
            self._targets = there
            gpus: defaultdict[str, set[str]] = defaultdict(set)
            for one in instances:
                gpus[one.service].update(one.devices)
            self._gpus = {name: frozenset(own) for name, own in gpus.items()}

    def vitals(self, service: str) -> Vitals:
        """Return what is known of a service now."""
        with self._lock:
            return self._board.vitals(service, self.monotonic())

    def histogram(self, service: str, metric: str, over_s: float) -> Histogram | None:
        """Return what came into the histogram of a latency of a service's replicas; None: nothing did."""
        with self._lock:
            return self._board.histogram(service, metric, over_s)

    def recorded(self, service: str, since_s: float) -> tuple[Rollup, ...]:
        """Return the minutes of a service that began since a Unix time. Raises EnovaError."""
        return self.rollups.rollups(service, since_s) if self.rollups else ()

    def services(self) -> tuple[str, ...]:
        """Return the services that are looked at."""
        return tuple(sorted(self._services)) if self.scraper is not None else ()

    def start(self, quit_: threading.Event) -> threading.Thread:
        """Run in a thread."""
        thread = threading.Thread(target=self.run, args=(quit_,), name="live", daemon=True)
        thread.start()
        return thread

    def run(self, quit_: threading.Event) -> None:
        """Look until the event is set, and write what is left."""
        while not quit_.is_set():
            began_s = self.monotonic()
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - what a replica says must not end the looking
                self._told.once("live", f"metrics: this look failed: unexpected {type(error).__name__}: {error}")
            else:
                self._told.forget("live")
            quit_.wait(max(0.1, self.interval_s - (self.monotonic() - began_s)))
        self.write()
        if self.scraper is not None:
            self.scraper.close()

    def turn(self) -> None:
        """Look once at everything, and write once a minute."""
        targets = dict(self._targets)
        if self.scraper is None:
            return
        also = {name: one.worker_url for name, one in targets.items() if one.worker_url}
        pages = self.scraper.scrape({name: one.url for name, one in targets.items()}, also)
        at_s, now_s = self.monotonic(), self.now()
        seen: defaultdict[str, list[bool]] = defaultdict(list)
        for name, one in targets.items():
            page = pages.get(name, Unknown("it was not looked at"))
            look = _read(page, one)
            page_s = page.at_s if isinstance(page, Page) else at_s
            with self._lock:
                counts = self._take(one, look, page_s, now_s - (at_s - page_s))
            if not one.gateway:
                seen[one.service].append(counts)
        self._note(seen, at_s, now_s)
        if self._written_s is None or at_s - self._written_s >= WRITE_EVERY_S:
            self._written_s = at_s
            self.write()

    def write(self) -> None:
        """Write what there is to write. What cannot be written now is written later."""
        if self.rollups is None:
            return
        with self._lock:
            rows, self._book = self._book.rows, Book()
            counted = [one for target in self._board.targets() if (one := self._counted_of(target))]
        try:
            self.rollups.keep(rows, counted, now_s=self.now())
        except EnovaError as error:
            self._told.once("rollups", f"metrics are not kept: {error.message}")
            with self._lock:
                for (service, minute_s), amounts in rows.items():
                    self._book.add(service, minute_s, 0.0, amounts)
        else:
            self._told.forget("rollups")
            if self._counted is not None:
                self._counted |= {one.target: one for one in counted}

    def _known(self) -> dict[str, Counted]:
        """Return what an earlier daemon has counted."""
        if self._counted is None:
            self._began_s = self.now()
            self._counted = {}
            try:
                self._counted = self.rollups.counted() if self.rollups else {}
            except EnovaError as error:
                self._told.once("rollups", f"metrics of before are not known: {error.message}")
            for one in self._counted.values():
                self._before_s[one.service] = max(one.at_s, self._before_s.get(one.service, 0.0))
        return self._counted

    def _begin(self, one: Target, counted: Mapping[str, Counted]) -> None:
        """Begin to count where an earlier daemon stopped, or at nothing with what was made since it did."""
        before = counted.get(one.id)
        if before is not None:
            self._board.begin(one.id, before.counters, before.began_s)
            self._since_s[one.id] = before.at_s
        elif one.created_s >= self._before_s.get(one.service, self._began_s):
            self._board.begin(one.id, {}, None)
            self._since_s[one.id] = one.created_s

    def _take(self, one: Target, look: Look | GatewayLook | Unknown, at_s: float, now_s: float) -> bool:
        """Take in a look at a target, and tell whether it counts. `now_s` is the same as Unix time."""
        last_s = self._board.last_s(one.id)
        grown = self._board.take(one.id, look, at_s)
        if grown is None:
            return False
        if last_s is None:
            # Were it not written, a daemon that follows this one soon could not tell what came since.
            self._written_s = None
        since_s = self._since_s.pop(one.id, None)
        length_s = (
            at_s - last_s if last_s is not None else max(0.0, now_s - since_s) if since_s is not None else None
        )
        if length_s is not None:
            self._book.add(one.service, now_s, length_s, _amounts(one, grown, length_s))
        return True

    def _note(self, seen: Mapping[str, list[bool]], at_s: float, now_s: float) -> None:
        """Count replicas and their GPUs, in the services of which all could be seen."""
        before_s, self._turned_s = self._turned_s, at_s
        if before_s is None or at_s - before_s > LONGEST_GAP_S:
            return
        length_s, use = at_s - before_s, self.gpu_use()
        with self._lock:
            for service, counts in seen.items():
                if all(counts):
                    self._book.add(service, now_s, length_s, _held(len(counts), length_s))
                own = [use[gpu] for gpu in self._gpus.get(service, ()) if gpu in use]
                if own:
                    busy = {rollup.GPU_S: len(own) * length_s, rollup.GPU_BUSY_S: sum(own) * length_s}
                    self._book.add(service, now_s, length_s, busy)

    def _counted_of(self, target: Target) -> Counted | None:
        """Return what the next daemon has to begin with, of a target that was seen."""
        last_s = self._board.last_s(target.id)
        if last_s is None:
            return None
        raw, began_s = self._board.raw(target.id)
        kept = raw if target.gateway else {key: value for key, value in raw.items() if key[1] in COUNTED}
        return Counted(target.id, target.service, self.now() - (self.monotonic() - last_s), began_s, kept)


def _serves(one: Instance) -> bool:
    """Tell whether there is something to ask. What only starts has nothing to say, which is no trouble."""
    return one.state is State.RUNNING and one.health is not Health.STARTING


def _target(one: Instance) -> Target:
    base = (one.metrics_url or ("" if one.role is Role.GATEWAY else one.url) or "").rstrip("/")
    return Target(
        # Runtimes may call what replaces another as that was called.
        id=f"{one.id} {one.created_at:.0f}",
        name=one.target,
        service=one.service,
        gateway=one.role is Role.GATEWAY,
        url=base if not base or base.endswith("/metrics") else f"{base}/metrics",
        worker_url=one.worker_url or "",
        runtime=one.runtime,
        created_s=one.created_at,
    )


def _read(page: Page | Unknown, target: Target) -> Look | GatewayLook | Unknown:
    if isinstance(page, Unknown):
        return page
    try:
        return gateway_look_of(page.text) if target.gateway else look_of(page.text, page.at_s)
    except ValueError as error:
        return Unknown(f"its metrics make no sense: {error}")


def _amounts(target: Target, grown: Mapping[Key, float], length_s: float) -> dict[str, float]:
    if target.gateway:
        return {rollup.ARRIVED: net(grown), rollup.SEEN_S: length_s if length_s <= LONGEST_GAP_S else 0.0}
    names: Iterable[str] = (rollup.FINISHED, rollup.PROMPT_TOKENS, rollup.OUTPUT_TOKENS)
    return {name: total(grown, name) for name in names}


def _held(replicas: int, length_s: float) -> dict[str, float]:
    return {rollup.WATCHED_S: length_s, rollup.REPLICA_S: replicas * length_s}
