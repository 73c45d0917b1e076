"""A law on a simulated fleet: what it is shown, what it can change, and what becomes of the traffic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from enova.core.backtest.rehearsal import rehearse
from enova.core.backtest.score import Score
from enova.core.control.sight import Sight
from enova.core.simulate.changes import Hold
from enova.core.simulate.replica import Stage
from enova.core.simulate.results import Metric
from tests.core.backtest.scenes import START_UP_S, scene


class Told:
    """Does what a test says, and keeps what it saw."""

    def __init__(self, decide: Callable[[Sight], int | None] = lambda _: None, interval_s: float = 5.0) -> None:
        self.interval_s = interval_s
        self.sights: list[Sight] = []
        self._decide = decide

    def decide(self, sight: Sight) -> int | None:
        self.sights.append(sight)
        return self._decide(sight)


def at(*changes: tuple[float, int]) -> Told:
    """Ask for so many replicas from a time on."""
    return Told(lambda sight: next((count for at_s, count in reversed(changes) if sight.at_s >= at_s), None))


def rehearsed(law: Told, per_s: float = 8.0, minutes: float = 2.0, **changes: object) -> Score:
    setting, _ = scene(rates=(per_s,), minutes=minutes)
    return rehearse(replace(setting, **changes), law)  # type: ignore[arg-type]


def test_it_is_asked_as_often_as_it_wants() -> None:
    law = Told(interval_s=15.0)
    rehearsed(law)

    assert [sight.at_s for sight in law.sights[:3]] == pytest.approx([15.0, 30.0, 45.0])


def test_it_is_shown_what_a_scrape_would_show() -> None:
    law = Told()
    rehearsed(law, first=2)
    last = law.sights[20]

    assert (last.up, last.ready, last.held) == (2, 2, 0)
    assert last.seen.arrived(60.0) == pytest.approx(480, abs=70)
    assert last.seen.finished(60.0) == pytest.approx(480, abs=70)
    assert 0.2 < (last.seen.latency_s(Metric.E2E, 0.5, 60.0) or 0.0) < 0.6
    assert len(last.seen.moments(60.0)) == 12
    good, answered = last.seen.met(60.0) or (0.0, 0.0)
    assert good == answered == last.seen.finished(60.0)


def test_nothing_is_known_before_there_was_time_to_see_it() -> None:
    told: list[float | None] = []
    rehearsed(Told(lambda sight: told.append(sight.seen.arrived(5.0))))

    assert told[0] is None
    assert None not in told[1:]


def test_what_is_asked_for_takes_its_time_to_start_and_is_paid_from_the_beginning() -> None:
    law = at((10.0, 2))
    score = rehearsed(law)
    stages = {sight.at_s: sight.ready for sight in law.sights}

    assert stages[10.0 + START_UP_S] == 1
    assert stages[15.0 + START_UP_S] == 2
    assert score.gpu_h * 3600 == pytest.approx(120 + 120 - 11, abs=1)
    assert (score.ups, score.downs) == (1, 0)


def test_what_goes_answers_what_it_has() -> None:
    score = rehearsed(at((30.0, 1)), first=3)

    assert score.unanswered == 0
    assert score.gpu_h * 3600 == pytest.approx(120 + 2 * 31, abs=3)


def test_requests_wait_at_the_gateway_until_a_replica_serves() -> None:
    law = Told(lambda sight: 0 if sight.at_s < 30 else 1 if sight.held else None)
    score = rehearsed(law, per_s=2.0)
    waited = [sight.held for sight in law.sights if sight.at_s < 60]

    assert max(waited) >= 30
    assert score.unanswered == 0
    assert score.attainment < 0.8


def test_what_waits_for_too_long_or_is_too_much_is_lost() -> None:
    short = rehearsed(Told(lambda _: 0), per_s=2.0, hold=Hold(1000, 5.0))
    few = rehearsed(Told(lambda sight: 0 if sight.at_s < 40 else 1), per_s=2.0, hold=Hold(10, 600.0))

    assert short.reasons["it was held for too long"] > 150
    assert few.reasons["there was no replica"] > 30
    assert short.attainment < 0.1


def test_a_blind_law_changes_nothing() -> None:
    law = at((0.0, 4))
    score = rehearsed(law, blind=((0.0, math.inf),))

    assert law.sights == []
    assert score.ups == 0


def test_replicas_that_die_start_again() -> None:
    law = Told()
    score = rehearsed(law, minutes=10.0, first=2, failures_per_h=30.0)

    assert any(sight.at(Stage.DOWN) for sight in law.sights)
    assert score.gpu_h * 3600 == pytest.approx(1200)
    assert score.attainment < 1.0


def test_what_is_taken_back_within_a_start_is_a_reversal() -> None:
    assert rehearsed(at((10.0, 2), (30.0, 1))).reversals == 1
    assert rehearsed(at((10.0, 2), (60.0, 1))).reversals == 0


def test_the_worst_minute_is_told() -> None:
    setting, _ = scene(rates=(4.0, 60.0, 4.0), minutes=1.0)
    score = rehearse(setting, Told())

    assert score.worst_minute_s in (60.0, 120.0)
    assert score.worst_minute < 0.5
    assert score.minutes.arrived.sum() == score.requests
    assert score.latencies_s["ttft.p99"] > 1.0
    assert score.goodput_per_s == pytest.approx(score.good / 180)


def test_dollars_are_those_of_the_replicas() -> None:
    score = rehearsed(Told(), first=2, gpus=4, usd_per_h=30.0)

    assert score.gpu_h * 3600 == pytest.approx(8 * 120)
    assert score.usd == pytest.approx(2 * 120 / 3600 * 30)
