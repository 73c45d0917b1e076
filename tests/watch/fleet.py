"""A service that only exists in what it says of itself, and a clock for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enova.adapters.rollups import Rollups
from enova.core.launch import Role
from enova.core.metrics.target import Page
from enova.core.observed import Health, Instance, Look, Observed, State, Unknown
from enova.watch.live import Live

BEGIN_S = 1_800_000_000.0
WORKER = "http://r{}:8000"


@dataclass
class Fleet:
    """One gateway and replicas. `pass_` lets requests come; each is answered at once."""

    folder: Path
    replicas: int = 2
    time_s: float = 1000.0
    wall_s: float = BEGIN_S
    came: float = 0.0
    """All of the requests there ever were."""
    attempts: dict[int, float] = field(default_factory=dict)
    finished: dict[int, float] = field(default_factory=dict)
    pages: dict[str, str | Unknown] = field(default_factory=dict)
    """What a target says instead of the truth."""
    created_s: float = BEGIN_S - 3600
    said: list[str] = field(default_factory=list)
    hidden: Observed | None = None
    """What is observed instead of the truth."""

    @property
    def rollups(self) -> Rollups:
        return Rollups(self.folder / "rollups.db")

    def live(self, *, follows: bool = True) -> Live:
        """Return a new daemon's eyes, which follow the fleet already unless told otherwise."""
        live = Live(
            scraper=self,
            rollups=self.rollups,
            now=lambda: self.wall_s,
            monotonic=lambda: self.time_s,
            say=self.said.append,
        )
        if follows:
            live.follow(self.observed, ["chat"])
        return live

    def observed(self) -> Observed:
        if self.hidden is not None:
            return self.hidden
        return Observed(
            runtimes={"docker": Look((self._instance(-1), *map(self._instance, range(self.replicas))))}
        )

    def _instance(self, slot: int) -> Instance:
        gateway = slot < 0
        return Instance(
            id=f"c{slot}",
            name=f"chat-{slot}",
            runtime="docker",
            service="chat",
            role=Role.GATEWAY if gateway else Role.REPLICA,
            slot=max(0, slot),
            fingerprint="v1:x",
            state=State.RUNNING,
            health=Health.HEALTHY,
            devices=() if gateway else (f"GPU-{slot}",),
            url=f"http://c{slot}",
            worker_url=None if gateway else WORKER.format(slot),
            metrics_url=f"http://c{slot}:9/metrics" if gateway else None,
            created_at=self.created_s,
        )

    def pass_(self, live: Live | None, seconds: float, per_s: float = 4.0) -> None:
        """Let time pass, with a turn every five seconds if anybody looks."""
        for _ in range(round(seconds / 5)):
            self.time_s += 5
            self.wall_s += 5
            self.came += per_s * 5
            for slot in range(self.replicas):
                for counted in (self.attempts, self.finished):
                    counted[slot] = counted.get(slot, 0.0) + per_s * 5 / self.replicas
            if live is not None:
                live.turn()

    def restart(self, slot: int) -> None:
        """A gateway (-1) or replica begins to count at nothing."""
        if slot < 0:
            self.attempts.clear()
        else:
            self.finished[slot] = 0.0

    def scrape(self, urls: Mapping[str, str], _: Mapping[str, str]) -> dict[str, Page | Unknown]:
        """Answer as a scraper does."""
        return {name: self._page(url.removeprefix("http://").partition("/")[0]) for name, url in urls.items()}

    def close(self) -> None:
        """Nothing to give up."""

    def _page(self, host: str) -> Page | Unknown:
        if host in self.pages:
            told = self.pages[host]
            return told if isinstance(told, Unknown) else Page(told, self.time_s)
        if host.startswith("c-1"):
            lines = ["vllm_router_active_workers 2"] + [
                f'vllm_router_processed_requests_total{{worker="{WORKER.format(slot)}"}} {count}'
                for slot, count in self.attempts.items()
            ]
            return Page("\n".join(lines), self.time_s)
        finished = self.finished.get(int(host[1:]), 0.0)
        counted = {
            "vllm:num_requests_running": 1,
            "vllm:num_requests_waiting": 0,
            "vllm:e2e_request_latency_seconds_count": finished,
            "vllm:time_to_first_token_seconds_count": finished,
            "vllm:prompt_tokens_total": 10 * finished,
            "vllm:generation_tokens_total": 5 * finished,
        }
        lines = [f'{name}{{engine="0"}} {value}' for name, value in counted.items()]
        for edge, share in (("0.1", 0.5), ("+Inf", 1.0)):
            lines.append(f'vllm:time_to_first_token_seconds_bucket{{engine="0",le="{edge}"}} {share * finished}')
        return Page("\n".join(lines), self.time_s)

    def kept(self) -> tuple[float, float]:
        """Return what arrived and what finished by the roll-ups."""
        rows = self.rollups.rollups("chat")
        return sum(one.arrived or 0.0 for one in rows), sum(one.finished or 0.0 for one in rows)
