"""Traffic replayed against a law on a simulated fleet: things are late, fail or go unseen as on real ones."""

from __future__ import annotations

from collections.abc import Sequence

from enova.core.backtest.notes import Notes
from enova.core.backtest.scene import Scene
from enova.core.backtest.score import Score, score_of
from enova.core.control.sight import Law, ReplicaSight, Sight
from enova.core.simulate.changes import Fail, Scale, Ticks
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.replica import ReplicaView, Stage
from enova.core.simulate.routing import policy_of
from enova.core.workload.sources import stream

INTERVAL_S = 5.0
"""Between looks at the fleet, as between scrapes."""


class _Stage:
    """The fleet, and the law in front of it."""

    def __init__(self, scene: Scene, law: Law) -> None:
        self.notes = Notes(scene.promises)
        self.asked: list[tuple[float, int, int]] = []
        """When the law asked for another number of replicas, how many there were, and how many it wanted."""
        self._scene = scene
        self._law = law
        self._dice = stream(scene.seed, "failures")
        self._asked_s = 0.0
        self.fleet = Fleet(
            [scene.replica] * scene.first,
            self.notes,
            stream(scene.seed, "retries"),
            policy=policy_of(scene.routing, stream(scene.seed, "policy")),
            retries=scene.retries,
            ticks=Ticks(INTERVAL_S, self._tick),
            hold=scene.hold,
        )

    def _tick(self, now_s: float, views: Sequence[ReplicaView]) -> None:
        """Let replicas fail, look, and ask the law if it is its time."""
        scene = self._scene
        if scene.failures_per_h:
            self._fail(now_s, views)
        if any(begin <= now_s < end for begin, end in scene.blind):
            return
        self.notes.look(now_s, views, self.fleet.arrived)
        if now_s - self._asked_s < self._law.interval_s - _ROUNDING:
            return
        self._asked_s = now_s
        sight = self._sight(now_s, views)
        wanted = self._law.decide(sight)
        if wanted is None:
            return
        wanted = max(0, wanted if scene.most is None else min(wanted, scene.most))
        if wanted != sight.up:
            self.asked.append((now_s, sight.up, wanted))
            self.fleet.schedule(Scale(now_s + scene.scrape_delay_s, wanted))

    def _sight(self, now_s: float, views: Sequence[ReplicaView]) -> Sight:
        replicas = tuple([ReplicaSight(*view) for view in views])
        return Sight(at_s=now_s, replicas=replicas, held=len(self.fleet.held), seen=self.notes)

    def _fail(self, now_s: float, views: Sequence[ReplicaView]) -> None:
        share = self._scene.failures_per_h * INTERVAL_S / 3600
        for view in views:
            if view.stage is Stage.READY and self._dice.random() < share:
                self.fleet.schedule(Fail(now_s, view.number))


_ROUNDING = 1e-6


def rehearse(scene: Scene, law: Law) -> Score:
    """Return what becomes of the traffic under a law."""
    stage = _Stage(scene, law)
    stage.fleet.serve(scene.requests())
    return score_of(stage.notes, stage.fleet.replicas, stage.asked, scene)
