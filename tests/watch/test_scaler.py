"""The daemon follows traffic: it adds replicas, takes them away, and does neither where it cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from enova.adapters.rollups import Rollups
from enova.core.control.plant import Curve, Plant
from enova.core.metrics.target import Page
from enova.core.observed import Health, State, Unknown
from enova.core.revision import Cause
from enova.watch.live import Live
from tests.watch.watching import Watched

PLANT = Plant(capacity=Curve((1,), (10.0,)), start_up_s=20.0)
SLO = "{ttft: {p99: 2s}}"
AUTO = "{min: 1, max: 6, mode: auto}"


class Busy:
    """A daemon whose service gets as many requests a second as a test says. It answers for its metrics pages."""

    def __init__(self, folder: Path, scaling: str = AUTO) -> None:
        self.watched = Watched(folder)
        self.watched.write(scaling=scaling, slo=SLO)
        self.came = 0.0
        self.deaf = False
        self.mute: set[str] = set()
        self.begin()

    def begin(self) -> None:
        host, daemon = self.watched.host, self.watched.daemon
        daemon.live = Live(
            scraper=self,
            rollups=Rollups(self.watched.folder / "rollups.db"),
            now=lambda: self.watched.now_s,
            monotonic=lambda: host.time_s,
        )
        self.watched.settle()
        daemon.scaler.capacity = lambda *_: PLANT
        daemon.scaler.compute()

    def serve(self, per_s: float, seconds: float) -> int:
        """Let requests come for so long, and return how many replicas serve then."""
        host, daemon = self.watched.host, self.watched.daemon
        for _ in range(round(seconds / 5)):
            self.came += per_s * 5
            host.time_s += 5
            self.watched.now_s += 5
            daemon.live.turn()
            daemon.wake.clear()
            daemon.scaler.look()
            if daemon.wake.is_set():
                self.watched.look()
                host.time_s -= 1
        self.watched.look()
        host.time_s -= 1
        return len(self.watched.served())

    def scrape(self, urls: Mapping[str, str], _: Mapping[str, str]) -> dict[str, Page | Unknown]:
        """Answer as a scraper does."""
        return {name: self.page(url) for name, url in urls.items()}

    def close(self) -> None:
        """Nothing to give up."""

    def page(self, url: str) -> Page | Unknown:
        at_s = self.watched.host.time_s
        if "gateway" in url:
            count = f'vllm_router_processed_requests_total{{worker="w"}} {self.came}'
            return Unknown("no answer in time") if self.deaf else Page(count, at_s)
        if any(f"-{slot.removeprefix('chat#')}-" in url for slot in self.mute):
            return Page("nothing of use 1\n", at_s)
        counted = {
            "vllm:num_requests_running": 2,
            "vllm:num_requests_waiting": 0,
            "vllm:e2e_request_latency_seconds_count": self.came,
            "vllm:time_to_first_token_seconds_count": self.came,
            "vllm:prompt_tokens_total": self.came,
            "vllm:generation_tokens_total": self.came,
        }
        return Page("\n".join(f'{name}{{engine="0"}} {value}' for name, value in counted.items()), at_s)

    def words(self) -> str:
        return self.watched.look().services["chat"].scaling


@pytest.fixture
def busy(tmp_path: Path) -> Busy:
    return Busy(tmp_path)


def test_replicas_follow_the_traffic(busy: Busy) -> None:
    assert busy.serve(5.0, 120) == 1
    assert busy.serve(35.0, 120) == 4
    assert busy.serve(5.0, 300) == 1


def test_what_it_does_is_said_and_kept_with_the_reason(busy: Busy) -> None:
    busy.serve(35.0, 120)

    assert any("scale 1 to" in line and "requests/s are to be expected" in line for line in busy.watched.said)
    newest = max(busy.watched.revisions(), key=lambda one: one.number)
    assert newest.why.startswith("scaled: ")
    assert "35.00 requests/s come; 4 replicas" in busy.words()


def test_nothing_changes_while_the_gateway_cannot_be_seen(busy: Busy) -> None:
    busy.serve(35.0, 120)
    busy.deaf = True

    assert busy.serve(0.0, 300) == 4
    assert "held: " in busy.words()


def test_replicas_that_cannot_be_seen_are_no_reason_to_take_any_away(busy: Busy) -> None:
    busy.serve(35.0, 120)
    busy.mute = {"chat#0", "chat#1", "chat#2", "chat#3"}

    assert busy.serve(35.0, 300) == 4


def test_a_runtime_that_cannot_be_seen_holds(busy: Busy) -> None:
    busy.serve(35.0, 120)
    busy.watched.host.unreachable.add("docker")
    busy.serve(0.0, 300)
    busy.watched.host.unreachable.clear()

    assert len(busy.watched.served()) == 4


def test_a_gateway_that_counts_from_nothing_again_is_no_lack_of_traffic(busy: Busy) -> None:
    busy.serve(35.0, 120)
    busy.came = 0.0

    assert busy.serve(35.0, 120) == 4


def test_a_daemon_that_begins_anew_leaves_as_many_as_there_are(busy: Busy) -> None:
    busy.serve(35.0, 120)
    busy.watched.restart()
    busy.begin()

    assert len(busy.watched.served()) == 4
    assert busy.serve(35.0, 60) == 4


def test_what_the_spec_allows_is_obeyed(tmp_path: Path) -> None:
    busy = Busy(tmp_path, "{min: 2, max: 3, mode: auto}")

    assert busy.serve(95.0, 120) == 3
    assert busy.serve(1.0, 300) == 2


def test_an_adviser_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    busy = Busy(tmp_path, "{min: 1, max: 6, mode: advisory}")

    assert busy.serve(35.0, 120) == 1
    assert any("would scale 1 to" in line for line in busy.watched.said)


def test_a_service_that_does_not_ask_for_it_is_not_followed(tmp_path: Path) -> None:
    busy = Busy(tmp_path, "{min: 1, max: 6}")

    assert busy.serve(95.0, 60) == 1
    assert busy.words() == ""


def test_a_capacity_that_cannot_be_told_holds_and_says_why(tmp_path: Path) -> None:
    busy = Busy(tmp_path)
    busy.watched.restart()
    busy.watched.settle()
    busy.watched.daemon.scaler.capacity = lambda *_: Unknown("slo promises no latency")
    busy.watched.daemon.scaler.compute()

    assert busy.serve(95.0, 60) == 1
    assert busy.words() == "held: slo promises no latency"


def test_figures_are_there_for_prometheus(busy: Busy) -> None:
    busy.serve(35.0, 120)
    registry = busy.watched.daemon.metrics.registry
    of_chat = {"service": "chat"}

    assert registry.get_sample_value("enova_scaling_replicas", of_chat) == 4
    assert registry.get_sample_value("enova_scaling_arrived_requests_per_second", of_chat) == pytest.approx(
        35, rel=0.1
    )
    assert registry.get_sample_value("enova_scaling_held", of_chat) == 0
    assert registry.get_sample_value("enova_scaling_slo_met_ratio", of_chat) is None


def test_a_service_that_asks_for_it_no_more_is_not_followed(busy: Busy) -> None:
    busy.serve(5.0, 30)
    busy.watched.write(scaling="{min: 1, max: 6}", slo=SLO)
    busy.watched.look()

    assert busy.watched.daemon.scaler.told() == {}


def test_traffic_is_kept_minute_by_minute_and_known_after_a_restart(busy: Busy) -> None:
    busy.serve(35.0, 200)
    minutes = busy.watched.daemon.live.recorded("chat", 0.0)
    busy.watched.restart()
    busy.begin()
    busy.deaf = True

    assert sum(minute.arrived or 0.0 for minute in minutes) == pytest.approx(35 * 150, rel=0.4)
    assert busy.serve(0.0, 60) == 4


def test_a_repair_is_not_said_to_be_scaling(busy: Busy) -> None:
    busy.serve(15.0, 120)
    instance = next(one for one in busy.watched.host.instances.values() if one.target == "chat#0")
    busy.watched.host.instances[instance.runtime, instance.id] = replace(instance, state=State.EXITED, url=None)
    assert busy.serve(15.0, 30) == 2
    newest = max(busy.watched.revisions(), key=lambda one: one.number)

    assert (newest.cause, newest.why) == (Cause.REPAIR, "")


def start_slowly(busy: Busy, target: str, *, looks: int) -> None:
    """Let a replica be starting for so many looks of 5 s, and then be there."""
    host, scaler = busy.watched.host, busy.watched.daemon.scaler
    slow = next(one for one in host.instances.values() if one.target == target)
    host.instances[slow.runtime, slow.id] = replace(slow, health=Health.STARTING)
    host.hung = {target}
    for _ in range(looks):
        host.time_s += 5
        scaler.look()
    host.hung.clear()
    host.instances[slow.runtime, slow.id] = slow


def test_a_service_is_not_taken_to_start_as_slowly_as_another(busy: Busy) -> None:
    busy.watched.write("other", scaling=AUTO, slo=SLO, gateway="{port: 9300}")
    busy.watched.settle()
    start_slowly(busy, "other#0", looks=80)
    busy.watched.daemon.scaler.look()
    busy.serve(35.0, 60)
    reasons = [line for line in busy.watched.said if line.startswith("chat: scale")]

    assert reasons
    assert all("to be expected in 20 s" in line for line in reasons)


def test_starts_are_taken_to_last_as_long_as_they_did(busy: Busy) -> None:
    busy.serve(15.0, 60)
    start_slowly(busy, "chat#1", looks=17)
    said = len(busy.watched.said)
    busy.serve(55.0, 60)

    assert any("to be expected in 85 s" in line for line in busy.watched.said[said:])
