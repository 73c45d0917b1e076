from __future__ import annotations

from collections.abc import Callable, Mapping

from enova.core.backtest.backtest import backtest
from enova.core.control.autoscaler import Autoscaler
from enova.core.control.sight import Law, Sight
from tests.core.backtest.scenes import PLANT, scene


class Fixed:
    interval_s = 5.0

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def decide(self, sight: Sight) -> int | None:
        return self.replicas


LAWS: Mapping[str, Callable[[], Law]] = {
    "ours": lambda: Autoscaler(PLANT),
    "plenty": lambda: Fixed(4),
    "one": lambda: Fixed(1),
}


def test_laws_are_tried_side_by_side_on_the_same_traffic() -> None:
    setting, traffic = scene(rates=(4.0, 40.0, 4.0), minutes=2.5)
    found = backtest(setting, PLANT, traffic, LAWS)
    ours, plenty, one = (tried.score for tried in found.tried)

    assert [tried.name for tried in found.tried] == list(LAWS)
    assert ours.requests == plenty.requests == one.requests == len(traffic.requests)
    assert plenty.attainment > 0.999
    assert ours.attainment > 0.6 > one.attainment
    assert one.gpu_h < ours.gpu_h < plenty.gpu_h
    assert found.oracle is not None
    assert found.regret(found.oracle) == 1.0
    assert found.tried[0].decisions
    assert not found.tried[1].decisions


def test_nobody_is_asked_for_an_oracle_unless_one_is_wanted() -> None:
    setting, traffic = scene(rates=(4.0,), minutes=1.0)
    found = backtest(setting, PLANT, traffic, {"one": lambda: Fixed(1)}, oracles=False)

    assert found.oracle is None
    assert found.oracle_at_once is None
    assert found.regret(found.tried[0].score) is None


def test_the_same_seed_is_the_same_backtest() -> None:
    scores = []
    for _ in range(2):
        setting, traffic = scene(rates=(4.0, 40.0), minutes=2.0, failures_per_h=20.0)
        found = backtest(setting, PLANT, traffic, LAWS, oracles=False)
        scores.append([(tried.score.good, tried.score.gpu_h) for tried in found.tried])

    assert scores[0] == scores[1]
