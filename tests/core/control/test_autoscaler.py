from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from enova.core.control.autoscaler import Autoscaler
from enova.core.control.history import History
from enova.core.control.plant import Plant
from enova.core.simulate.replica import Stage
from tests.core.control.seeing import PLANT, Told, replicas, sight


class Service:
    """A service whose replicas start and stop as it is told."""

    def __init__(self, autoscaler: Autoscaler, up: int, *, start_up_s: float = 60.0) -> None:
        self.autoscaler = autoscaler
        self.at_s = 0.0
        self.up = up
        self._start_up_s = start_up_s
        self._ready_s = [0.0] * up

    def look(self, told: Told, *, jump_s: float = 0.0) -> None:
        self.at_s += 5.0 + jump_s
        ready = sum(ready_s <= self.at_s for ready_s in self._ready_s)
        seen = replicas(ready, len(self._ready_s) - ready)
        wanted = self.autoscaler.decide(sight(self.at_s, seen, told))
        if wanted is not None:
            self.up = wanted
            self._ready_s = (self._ready_s + [self.at_s + self._start_up_s] * wanted)[:wanted]


def test_replicas_follow_the_traffic_up_and_down() -> None:
    service = Service(Autoscaler(PLANT), 1)
    for rate in (5.0, 35.0, 5.0):
        for _ in range(240):
            service.look(Told(rate))
        assert service.up == {5.0: 1, 35.0: 4}[rate]


def test_decisions_that_change_something_are_kept_with_their_reasons() -> None:
    service = Service(Autoscaler(PLANT), 1)
    for rate in (5.0, 35.0):
        for _ in range(120):
            service.look(Told(rate))
    changes = [decision for decision in service.autoscaler.decisions if decision.replicas != decision.up]

    assert changes
    assert all("requests/s are to be expected" in decision.reason for decision in changes)
    assert all(decision.rate is not None for decision in changes)


def test_minima_may_change_with_time() -> None:
    def plant(at_s: float) -> Plant:
        return replace(PLANT, fewest=3 if at_s >= 600 else 1)

    service = Service(Autoscaler(plant), 1)
    for _ in range(110):
        service.look(Told(5.0))
    assert service.up == 1
    for _ in range(20):
        service.look(Told(5.0))
    assert service.up == 3


def test_what_was_known_before_counts_from_the_start() -> None:
    service = Service(Autoscaler(PLANT, history=History([35.0] * 200)), 4)
    for _ in range(6):
        service.look(Told(None))

    assert service.up == 4


def test_a_look_that_fails_never_takes_anything_away_however_long_it_does() -> None:
    service = Service(Autoscaler(PLANT), 4)
    for _ in range(60):
        service.look(Told(35.0))
    for _ in range(2000):
        service.look(Told(None))

    assert service.up == 4


hostile = st.one_of(
    st.none(), st.just(float("nan")), st.just(float("inf")), st.just(-3.0), st.just(1e300), st.floats(-1e9, -1e-9)
)


@given(st.lists(hostile, min_size=1, max_size=60))
def test_figures_that_cannot_be_never_take_anything_away(counts: list[float | None]) -> None:
    service = Service(Autoscaler(PLANT), 4)
    for _ in range(30):
        service.look(Told(35.0))
    for count in counts:
        service.look(Told(None, count=count))
        assert service.up == 4


@given(
    st.lists(
        st.tuples(
            st.one_of(hostile, st.floats(0, 1e4)),
            st.one_of(st.none(), st.tuples(st.floats(0, 100), st.floats(0, 100))),
            st.one_of(hostile, st.floats(0, 1e4)),
            st.integers(0, 5),
            st.integers(0, 3),
            st.sampled_from([0.0, 0.0, 0.0, 3600.0, -5.0]),
        ),
        max_size=40,
    )
)
def test_whatever_is_told_it_decides_within_the_limits(
    looks: list[tuple[float | None, tuple[float, float] | None, float | None, int, int, float]],
) -> None:
    autoscaler = Autoscaler(replace(PLANT, fewest=1, most=6, limit="scaling.max is 6"))
    at_s = 0.0
    for count, good, waiting, ready, starting, jump_s in looks:
        at_s = max(0.0, at_s + 5.0 + jump_s)
        seen = replicas(ready, starting, waiting=waiting, in_flight=waiting)
        wanted = autoscaler.decide(sight(at_s, seen, Told(None, good=good, count=count)))
        assert wanted is None or 0 <= wanted <= max(6, ready + starting)
        assert all(one.stage in (Stage.READY, Stage.STARTING) for one in seen)
