from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from enova.core.metrics.target import Page
from enova.core.metrics.vitals import Vitals
from enova.core.observed import Look, Observed, Unknown
from enova.watch.live import Live
from enova.watch.vital_metrics import VitalMetrics
from tests.watch.fleet import BEGIN_S, Fleet

LOST = Unknown("it did not answer in time")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def metrics(live: Live) -> list[str]:
    registry = CollectorRegistry()
    registry.register(VitalMetrics(live))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def known(vitals: Vitals) -> list[str]:
    return [name for name, one in vitals.replicas.items() if one.seen]


def test_what_goes_on_is_known_said_and_offered_as_metrics(fleet: Fleet) -> None:
    live = fleet.live()
    fleet.pass_(live, 120)

    vitals = live.vitals("chat")
    assert (vitals.arrived_per_s, vitals.arrived_over[60.0]) == (4.0, 4.0)
    assert vitals.words == ("4 requests/s arrive; 2 of 2 replicas seen; 2 running, 0 waiting; TTFT p95 100 ms")
    assert vitals.unseen == ()
    told = metrics(live)
    assert 'enova_service_arrivals_per_second{service="chat",window="60"} 4.0' in told
    assert 'enova_service_replicas_seen{service="chat"} 2.0' in told
    assert 'enova_service_sample_age_seconds{service="chat",target="chat@gateway"} 0.0' in told
    assert 'enova_service_ttft_seconds{quantile="p50",service="chat"} 0.1' in told


@pytest.mark.parametrize(
    ("lost", "seen"), [(["c0"], ["chat#1"]), (["c0", "c1"], []), (["c-1:9"], ["chat#0", "chat#1"])]
)
@pytest.mark.parametrize("told", [LOST, "x" * 1_000_000, "vllm:num_requests_running NaN\n", "\0\xff{"])
def test_what_is_lost_or_makes_no_sense_is_unknown_and_never_idle(
    fleet: Fleet, lost: list[str], seen: list[str], told: str | Unknown
) -> None:
    live = fleet.live()
    fleet.pass_(live, 60)
    fleet.pages = dict.fromkeys(lost, told)
    fleet.pass_(live, 30)

    vitals = live.vitals("chat")
    assert known(vitals) == seen
    assert isinstance(vitals.arrived_per_s, Unknown) == ("c-1:9" in lost)
    assert len(vitals.unseen) == len(lost)
    assert ('enova_service_arrivals_per_second{service="chat",window="last"} 0.0' in metrics(live)) is False
    fleet.pages = {}
    fleet.pass_(live, 30)
    live.write()

    assert known(live.vitals("chat")) == ["chat#0", "chat#1"]
    # All but what had come before the first look.
    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20))


def test_restarts_of_replicas_and_gateways_lose_nothing_and_count_nothing_twice(fleet: Fleet) -> None:
    live = fleet.live()
    fleet.pass_(live, 60)
    for slot in (-1, 0, 1):
        fleet.restart(slot)
        fleet.pass_(live, 60)
    live.write()

    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20))


@pytest.mark.parametrize(("looked_s", "ends", "unknown"), [(90, True, 600), (90, False, 650), (10, False, 620)])
def test_a_daemon_that_is_started_anew_loses_nothing_and_counts_nothing_twice(
    fleet: Fleet, looked_s: float, ends: bool, unknown: float
) -> None:
    """But for what a replica counted that nobody wrote down before it was started anew.

    In the last case it has counted more than was written again by then: that it was started anew does not show.
    """
    first = fleet.live()
    fleet.pass_(first, looked_s)
    if ends:
        first.write()
    fleet.pass_(None, 300)
    fleet.restart(0)
    fleet.pass_(None, 30)
    second = fleet.live()
    fleet.pass_(second, 60)
    second.write()

    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20 - unknown))


def test_a_daemon_that_is_killed_soon_after_it_has_begun_to_look_has_written_where_it_was(fleet: Fleet) -> None:
    first = fleet.live(follows=False)
    first.turn()
    first.follow(fleet.observed, ["chat"])
    fleet.pass_(first, 10)
    fleet.pass_(None, 100)
    second = fleet.live()
    fleet.pass_(second, 10)
    second.write()

    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20))


def test_what_is_made_while_a_daemon_watches_is_counted_from_its_beginning(fleet: Fleet) -> None:
    live = fleet.live()
    fleet.created_s = fleet.wall_s
    fleet.attempts, fleet.finished = {}, {}
    fleet.pass_(None, 15)
    live.follow(fleet.observed, ["chat"])
    fleet.pass_(live, 60)
    live.write()

    assert fleet.kept() == pytest.approx((fleet.came, fleet.came))


def test_minutes_say_how_much_of_them_was_seen(fleet: Fleet) -> None:
    live = fleet.live()
    fleet.pass_(live, 120)
    fleet.pages = dict.fromkeys(["c-1:9"], LOST)
    fleet.pass_(live, 240)
    fleet.pages = {}
    fleet.pass_(live, 60)
    live.write()

    rows = fleet.rollups.rollups("chat", BEGIN_S + 60)
    assert [round(one.seen_s) for one in rows][:5] == [60, 0, 0, 0, 0]
    assert [one.arrived for one in rows][:5] == pytest.approx([240.0] * 5)
    assert {one.replicas for one in rows if one.replicas is not None} == {2.0}


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_a_clock_that_jumps_ages_nothing_and_loses_nothing(fleet: Fleet, jump_s: float) -> None:
    live = fleet.live()
    fleet.pass_(live, 60)
    fleet.wall_s += jump_s
    fleet.pass_(live, 60)

    vitals = live.vitals("chat")
    assert (vitals.arrived_per_s, vitals.arrived_over[60.0], vitals.gateway_seen_s) == (4.0, 4.0, 0.0)
    live.write()
    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20))


@pytest.mark.parametrize("runtimes", [{"docker": Unknown("no answer")}, {}, {"process": Look()}])
def test_a_runtime_that_cannot_be_looked_at_takes_nothing_away(
    fleet: Fleet, runtimes: dict[str, Look | Unknown]
) -> None:
    live = fleet.live()
    fleet.pass_(live, 60)
    fleet.hidden = Observed(runtimes=runtimes)
    live.follow(fleet.observed, ["chat"])
    fleet.pass_(live, 60)

    assert live.vitals("chat").arrived_over[60.0] == 4.0


def test_what_the_daemon_keeps_no_longer_is_not_asked_any_more(fleet: Fleet) -> None:
    live = fleet.live()
    live.follow(fleet.observed, [])

    assert live.services() == ()
    assert metrics(live) == []
    assert not live._targets


def test_a_file_that_cannot_be_written_is_told_once_and_made_up_for(fleet: Fleet, tmp_path: Path) -> None:
    live = fleet.live()
    fleet.pass_(live, 10)
    path = tmp_path / "rollups.db"
    whole = path.read_bytes()
    for side in tmp_path.iterdir():
        side.unlink()
    path.mkdir()
    fleet.pass_(live, 180)

    assert len([words for words in fleet.said if "metrics are not kept" in words]) == 1
    path.rmdir()
    path.write_bytes(whole)
    live.write()
    assert fleet.kept() == pytest.approx((fleet.came - 20, fleet.came - 20))


def test_the_use_of_gpus_is_that_of_the_service(fleet: Fleet) -> None:
    live = fleet.live()
    live.gpu_use = lambda: {"GPU-0": 0.5, "GPU-1": 1.0, "GPU-7": 0.0}
    fleet.pass_(live, 120)
    live.write()

    assert {one.gpu_use for one in fleet.rollups.rollups("chat")} == {0.75}


def test_without_a_scraper_it_knows_nothing_and_asks_nobody() -> None:
    live = Live()
    live.follow(lambda: pytest.fail("nobody needs to look"), ["chat"])
    live.turn()
    live.write()

    assert live.services() == ()


def test_a_scraper_that_breaks_is_told_and_does_not_end_the_looking(fleet: Fleet) -> None:
    quit_, live = threading.Event(), fleet.live()

    def scrape(urls: Mapping[str, str], _: Mapping[str, str]) -> dict[str, Page | Unknown]:
        quit_.set()
        raise RuntimeError("no")

    fleet.scrape = scrape  # type: ignore[method-assign]
    live.start(quit_).join(10)

    assert fleet.said == ["metrics: this look failed: unexpected RuntimeError: no"]
