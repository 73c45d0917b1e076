"""Every law does what its system's documentation says, and keeps within what there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.backtest.laws.dynamo import Load, Throughput
from enova.core.backtest.laws.enova_rules import EnovaRules
from enova.core.backtest.laws.hpa import hpa, keda_queue
from enova.core.backtest.laws.known import LAWS, Facts
from enova.core.backtest.laws.kpa import Kpa
from enova.core.backtest.laws.llmd import SloAware
from enova.core.backtest.laws.ongoing import kubeai, ray_serve
from enova.core.backtest.laws.rps import Dstack, SkyServe
from enova.core.backtest.laws.static import static_peak
from enova.core.backtest.laws.wva import Saturation
from enova.core.backtest.rehearsal import rehearse
from enova.core.simulate.promises import Promise
from enova.core.simulate.results import Metric
from tests.core.backtest.laws.seeing import PLANT, Told, asked, lasting
from tests.core.backtest.scenes import PLANT as SMALL
from tests.core.backtest.scenes import scene

PROMISES = (Promise(Metric.TTFT, "p99", 2.0), Promise(Metric.TPOT, "p99", 0.1))


def slow(ttft_s: float, tpot_s: float = 0.02) -> Told:
    return Told(in_flight=8.0, latencies_s={Metric.TTFT: ttft_s, Metric.TPOT: tpot_s})


def facts(**changes: object) -> Facts:
    plant = replace(SMALL, concurrency=6.0, **changes)  # type: ignore[arg-type]
    return Facts(plant=plant, promises=PROMISES[:1], max_num_seqs=8, peak_per_s=40.0)


def test_static_peak_is_what_the_peak_needs() -> None:
    assert asked(static_peak(PLANT, 35.0), Told(), 1) == 4


def test_hpa_follows_the_ratio_of_metric_and_target() -> None:
    assert asked(hpa(PLANT), Told(in_flight=32.0, ready=2), 2) == 4


def test_hpa_lets_ten_per_cent_be() -> None:
    assert asked(hpa(PLANT), Told(in_flight=17.5, ready=2), 2) == 2


def test_hpa_adds_at_most_as_many_as_there_are_or_four() -> None:
    assert asked(hpa(PLANT), Told(in_flight=900.0), 1) == 5
    assert asked(hpa(PLANT), Told(in_flight=9000.0, ready=10), 10) == 20


def test_hpa_takes_away_only_what_five_minutes_did_not_need() -> None:
    law = hpa(PLANT)
    asked(law, Told(in_flight=32.0, ready=4), 4, at_s=0.0)

    assert asked(law, Told(in_flight=8.0, ready=4), 4, at_s=285.0) == 4
    assert asked(law, Told(in_flight=8.0, ready=4), 4, at_s=315.0) == 1


def test_keda_scales_by_five_that_wait() -> None:
    assert asked(keda_queue(PLANT), Told(in_flight=60.0, waiting=20.0, ready=2), 2) == 4


def test_kpa_follows_three_minutes_and_panics_within_one() -> None:
    assert asked(Kpa(PLANT), Told(in_flight=24.0, ready=2), 2) == 3
    law = Kpa(PLANT)
    assert asked(law, Told(in_flight=64.0, ready=2), 2) == 4
    # In panic nothing is taken away.
    assert asked(law, Told(in_flight=1.0, ready=4), 4, at_s=170.0) == 4


def test_llm_d_keeps_latencies_at_half_of_what_is_promised() -> None:
    assert asked(SloAware(PLANT, PROMISES), slow(1.0), 2) == 2
    assert asked(SloAware(PLANT, PROMISES), slow(1.65), 2) == 3
    assert asked(SloAware(PLANT, PROMISES), slow(0.1, 0.09), 2) == 4
    assert asked(SloAware(PLANT, PROMISES), slow(0.2), 4) == 3


def test_llm_d_credits_what_is_starting() -> None:
    assert asked(SloAware(PLANT, PROMISES), slow(1.65), 2, starting=2) == 4


def test_wva_adds_one_when_little_is_to_spare() -> None:
    assert asked(Saturation(PLANT), Told(in_flight=8.0, kv_use=0.75), 2) == 3
    assert asked(Saturation(PLANT), Told(in_flight=8.0, waiting=6.0, kv_use=0.2), 2) == 3


def test_wva_takes_one_away_only_if_the_others_would_do() -> None:
    assert asked(Saturation(PLANT), Told(in_flight=8.0, kv_use=0.3), 2) == 1
    assert asked(Saturation(PLANT), Told(in_flight=8.0, kv_use=0.5), 2) == 2


def test_wva_waits_for_what_is_starting() -> None:
    assert asked(Saturation(PLANT), Told(in_flight=8.0, kv_use=0.79), 2, starting=1) == 3


def test_dynamos_load_mode_goes_one_step_at_a_time() -> None:
    assert asked(Load(PLANT, PROMISES), slow(2.1), 2) == 3
    assert asked(Load(PLANT, PROMISES), slow(1.5), 2) == 2
    assert asked(Load(PLANT, PROMISES), slow(0.7), 2) == 1
    assert asked(Load(PLANT, PROMISES), slow(9.0), 2, starting=1) == 3


def test_dynamos_throughput_mode_plans_for_what_it_predicts() -> None:
    assert asked(Throughput(PLANT), Told(per_s=35.0), 1) == 4
    law = Throughput(PLANT)
    for place in range(8):
        wanted = asked(law, Told(per_s=10.0 * (place + 1) - 1), 1, at_s=180.0 * place)
    # 79 came; a trend of ten each time goes on.
    assert wanted == 9


def test_dstack_waits_five_minutes_up_and_ten_down() -> None:
    assert lasting(Dstack(PLANT), Told(per_s=35.0), 1, 310)[28:] == [1, 4, 4]
    assert lasting(Dstack(PLANT), Told(per_s=5.0), 4, 610)[58:] == [4, 1, 1]


def test_skyserve_has_to_want_it_for_as_long() -> None:
    assert lasting(SkyServe(PLANT), Told(per_s=35.0), 1, 320)[13:] == [1, 4, 4]
    assert lasting(SkyServe(PLANT), Told(per_s=5.0), 4, 1220)[58:] == [4, 1, 1]


def test_ray_serve_keeps_two_at_each_after_half_a_minute() -> None:
    assert lasting(ray_serve(PLANT), Told(in_flight=20.0), 2, 50) == [2, 2, 2, 10, 10]
    assert lasting(ray_serve(PLANT), Told(in_flight=2.0), 2, 640)[59:] == [2, 1, 1, 1, 1]


def test_kubeai_follows_a_mean_of_ten_minutes() -> None:
    assert asked(kubeai(PLANT), Told(in_flight=30.0), 1) == 4


def test_enovas_rules_hold_for_three_minutes() -> None:
    assert lasting(EnovaRules(PLANT, 100), Told(in_flight=80.0, waiting=60.0), 1, 195)[10:] == [1, 2, 2]
    assert lasting(EnovaRules(PLANT, 100), Told(in_flight=5.0, kv_use=0.05), 3, 195)[10:] == [3, 2, 2]
    assert lasting(EnovaRules(PLANT, 100), Told(in_flight=50.0), 3, 400) == [3] * 27


@pytest.mark.parametrize("name", LAWS)
def test_what_is_not_known_changes_nothing(name: str) -> None:
    if name == "static-peak":
        return
    assert asked(LAWS[name](facts()), Told(per_s=None), 3, at_s=4000.0) == 3


@pytest.mark.parametrize("name", LAWS)
def test_every_law_keeps_within_what_there_may_be(name: str) -> None:
    setting, traffic = scene(rates=(4.0, 60.0, 4.0), minutes=1.5)
    score = rehearse(replace(setting, first=2), LAWS[name](facts(fewest=2, most=3)))

    assert score.requests == len(traffic.requests)
    # What drains is there for a moment longer.
    assert score.minutes.replicas.min() >= 2
    assert score.minutes.replicas.max() <= 3.2
