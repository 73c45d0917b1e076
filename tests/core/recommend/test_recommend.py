"""What is chosen where a spec leaves something open: the cheapest that keeps every promise, and the reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from enova.core.engine.calibration import StepCosts
from enova.core.engine.gpu_card import Price
from enova.core.engine.learnt import Learnt
from enova.core.inventory import Pool
from enova.core.recommend.recommendation import Considered, PinCost, Recommendation
from enova.core.workload.recording import Recording
from tests.core.recommend.asking import SMALL, answered, demand, pool, question, recommended, service, traffic

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
LARGE = "Qwen/Qwen2.5-32B-Instruct"
LONG = traffic(
    0.1,
    prompt_tokens={"distribution": "fixed", "tokens": 30_000},
    output_tokens={"distribution": "fixed", "tokens": 2},
)


def chosen(*pools: Pool, **sections: Any) -> dict[str, Any]:
    return dict(recommended(question(service(**sections), *pools)).chosen)


def priced(name: str, usd_per_h: float, **changes: Any) -> Pool:
    there = pool(name, **changes)
    return replace(there, gpu=replace(there.gpu, price=Price(usd_per_h=usd_per_h, source="me", seen=None)))


def test_the_cheapest_gpu_that_will_do_is_chosen_with_every_reason() -> None:
    found = recommended(question(service(), pool("l4"), pool("l40s"), pool("h100-sxm")))

    assert (dict(found.chosen), dict(found.why), dict(found.max_tokens)) == (
        {"gpu": "l40s", "replicas": 1, "scaling.max": 2, "scaling.min": 1},
        {
            "gpu": "the cheapest that will do at 0.79 USD/h",
            "replicas": "the fewest that hold 1.2 x 2/s with tpot.p95 <= 60 ms",
            "scaling.max": "2 times what is needed, as far as budget and inventory go",
            "scaling.min": "what the quietest traffic takes",
        },
        {"": 64},
    )


def test_every_way_that_was_considered_says_why_it_lost() -> None:
    found = recommended(question(service()))

    assert found.considered == (
        Considered("l4 TP2", 1, 1.6, "chosen"),
        Considered("l4 TP4", None, 3.2, "costs more at best"),
        Considered("l4", None, 6 * 0.8, "costs more at best"),
        Considered("l4 TP8", None, None, "its 28 attention heads cannot be shared by 8 GPUs"),
    )


def test_a_longer_decode_batch_than_is_promised_is_cut_by_max_num_seqs() -> None:
    users = traffic(1, arrival={"process": "closed_loop", "users": 120}, output_tokens=fixed(12))

    assert chosen(pool("l40s"), injection=users, slo={"tpot": {"p95": "45ms"}}) == {
        "engine.max_num_seqs": 16,
        "gpu": "l40s",
        "replicas": 1,
        "scaling.max": 2,
        "scaling.min": 1,
    }


def test_prompts_that_hold_up_decoding_are_cut_into_smaller_steps() -> None:
    found = chosen(pool("l40s"), injection=traffic(40))

    assert (found["engine.max_num_batched_tokens"], found["replicas"]) == (512, 1)


class TestTies:
    """Where dollars are the same."""

    def test_fewer_gpus_win(self) -> None:
        """Two of one cost as much as one of the other."""
        found = recommended(question(service(), priced("l4", 0.5, per_host=2), priced("l40s", 1.0)))

        assert (found.shape.words, [one.verdict for one in found.considered if one.words == "l4 TP2"]) == (
            "l40s",
            ["costs as much, and takes more GPUs or changes more of vLLM's defaults"],
        )

    def test_fewer_changes_of_vllms_defaults_win(self) -> None:
        found = recommended(question(service(engine={"may_quantize": ["kv_cache", "weights"]}), pool("l40s")))

        assert found.shape.words == "l40s"

    def test_a_gpu_without_a_price_is_taken_only_where_nothing_with_one_will_do(self) -> None:
        unpriced = pool("l40s")
        unpriced = replace(unpriced, gpu=replace(unpriced.gpu, price=None))

        assert chosen(pool("h100-sxm"), unpriced)["gpu"] == "h100-sxm"
        assert chosen(pool("l4"), unpriced)["gpu"] == "l40s"


class TestFitting:
    """A model that does not start with vLLM's defaults."""

    EASY: ClassVar = {"slo": {"tpot": {"p95": "100ms"}}, "injection": traffic(1)}

    def test_its_length_is_cut_to_what_fits(self) -> None:
        found = recommended(question(service(model=LLAMA, **self.EASY), pool("l4")))

        assert (found.chosen["engine.max_model_len"], found.why["engine.max_model_len"]) == (
            28_672,
            "the longest for which a whole sequence fits into memory",
        )

    def test_its_length_still_holds_the_longest_request(self) -> None:
        """30,000 tokens are more than fit beside the weights in vLLM's own share of the memory."""
        found = chosen(pool("l4"), model=LLAMA, injection=LONG, slo=None)

        assert (found["engine.gpu_memory_utilization"], found["engine.max_model_len"]) == (0.95, 33_792)

    def test_ranks_share_weights_that_are_too_large_for_one_gpu(self) -> None:
        assert chosen(pool("l4", per_host=8), model=LARGE, **self.EASY)["engine.tensor_parallel_size"] == 4

    def test_weights_are_quantised_where_the_user_allows_it(self) -> None:
        found = chosen(
            pool("l4", per_host=8), model=LARGE, engine={"may_quantize": ["weights", "kv_cache"]}, **self.EASY
        )

        assert {key: value for key, value in found.items() if key.startswith("engine.")} == {
            "engine.kv_cache_dtype": "fp8",
            "engine.quantization": "fp8",
            "engine.tensor_parallel_size": 2,
        }

    @pytest.mark.parametrize(
        ("allowed", "format_chosen"),
        [([], None), (["weights"], "fp8")],
    )
    def test_number_formats_change_only_as_far_as_the_user_allows(
        self, allowed: list[str], format_chosen: str | None
    ) -> None:
        asked = {"engine": {"may_quantize": allowed}} if allowed else {}

        assert chosen(**asked).get("engine.quantization") == format_chosen

    def test_a_format_that_the_gpu_has_no_hardware_for_is_not_chosen(self) -> None:
        found = recommended(question(service(engine={"may_quantize": ["weights"]}), pool("t4", per_host=2)))

        assert Considered("t4, quantization fp8", None, None, "t4 has no hardware for fp8") in found.considered
        assert "engine.quantization" not in found.chosen


class TestPins:
    """Values that the user wrote."""

    def test_what_a_pin_costs_is_said(self) -> None:
        found = recommended(question(service(engine={"tensor_parallel_size": 4})))

        assert (found.shape.words, found.pins) == (
            "l4 TP4",
            (PinCost("engine.tensor_parallel_size", "4", 3.2 - 1.6, "1 x l4 TP2"),),
        )

    def test_a_pin_that_costs_nothing_is_not_mentioned(self) -> None:
        assert recommended(question(service(engine={"tensor_parallel_size": 2}))).pins == ()

    def test_more_replicas_than_are_needed_are_priced_too(self) -> None:
        found = recommended(question(service(scaling={"min": 3}), pool("l40s")))

        assert (found.replicas, found.pins) == (3, (PinCost("scaling.min", "3", 3 * 0.79 - 0.79, "1 x l40s"),))

    def test_a_fixed_number_of_replicas_is_no_choice(self) -> None:
        found = chosen(pool("l40s"), scaling={"min": 2, "max": 2})

        assert found == {"gpu": "l40s"}


class TestScaling:
    """How far replicas may go up and down."""

    def test_the_quietest_hour_decides_how_few_there_may_be(self) -> None:
        waves = traffic(1, arrival={"process": "diurnal", "low": "30/s", "high": "90/s"})

        found = chosen(pool("l40s"), injection=waves)

        assert (found["replicas"], found["scaling.min"], found["scaling.max"]) == (3, 1, 6)

    def test_steady_traffic_takes_all_of_them_whatever_its_rate(self) -> None:
        """3 x 55.7 / 55.7 is more than 3 in floating point."""
        odd = traffic(55.7, prompt_tokens=fixed(500), output_tokens=fixed(2), burst=1.5)

        found = chosen(pool("l40s"), slo=None, injection=odd)

        assert (found["replicas"], found["scaling.min"]) == (3, 3)

    def test_the_budget_bounds_how_many_there_may_be(self) -> None:
        assert chosen(pool("l40s"), injection=traffic(100), budget={"cost": "4 USD/h"})["scaling.max"] == 5

    def test_the_inventory_bounds_how_many_there_may_be(self) -> None:
        assert chosen(pool("l40s", per_host=4, hosts=1), injection=traffic(100))["scaling.max"] == 4


class TestTraffic:
    """In all the forms that a spec has for it."""

    def test_stages_are_planned_for_at_their_highest(self) -> None:
        ramp = {"process": "stages", "stages": [{"duration": "1m", "rate": "1/s", "to_rate": "100/s"}]}

        found = chosen(pool("l40s"), injection=traffic(1, arrival=ramp))

        assert (found["replicas"], found["scaling.min"]) == (3, 1)

    def test_users_who_wait_for_answers(self) -> None:
        users = traffic(1, arrival={"process": "closed_loop", "users": 4, "think_time": "1s"})

        found = recommended(question(service(injection=users), pool("l40s")))

        assert (found.replicas, found.why["replicas"]) == (
            1,
            "the fewest that hold 1.2 x 4 users with tpot.p95 <= 60 ms",
        )

    def test_no_more_replicas_than_users_are_tried(self) -> None:
        """A promise that one user alone breaks is not kept by more replicas."""
        users = traffic(1, arrival={"process": "closed_loop", "users": 3})

        found = answered(question(service(injection=users, slo={"tpot": {"p95": "61ms"}}), pool("l4")))

        assert found.considered[0].verdict == (
            "tpot.p95 up to 61.4 ms, promised 61 ms with 4 replicas; more would cost more"
        )

    def test_a_trace_is_played_as_it_was_recorded(self) -> None:
        times = np.arange(6000) / 10.0
        prompts, outputs = np.full(6000, 200), np.full(6000, 40)
        asked = service(injection={"arrival": {"process": "trace", "file": "./monday.csv", "speed": 10}})
        wanted = demand(
            asked, **{"./monday.csv": Recording(at_s=times, prompt_tokens=prompts, output_tokens=outputs)}
        )

        found = recommended(replace(question(service(), pool("l40s")), service=asked, demand=wanted))

        assert (found.replicas, found.why["replicas"][:28]) == (3, "the fewest that hold 1.2 x 1")

    def test_all_of_a_short_trace_counts(self) -> None:
        """It is over before the warm-up of what never ends."""
        lengths = np.full(120, 40)
        recording = Recording(at_s=np.arange(120) / 2, prompt_tokens=lengths, output_tokens=lengths)
        asked = service(injection={"arrival": {"process": "trace", "file": "./monday.csv"}})
        wanted = demand(asked, **{"./monday.csv": recording})

        found = recommended(replace(question(service(), pool("l40s")), service=asked, demand=wanted))

        assert found.replicas == 1

    def test_every_class_is_told_how_long_its_answers_are(self) -> None:
        kinds = [
            {"name": name, "weight": 1, "prompt_tokens": fixed(100), "output_tokens": fixed(tokens)}
            for name, tokens in (("short", 20), ("long", 200))
        ]

        found = recommended(question(service(injection={"arrival": POISSON, "classes": kinds}), pool("l40s")))

        assert found.max_tokens == {"long": 256, "short": 64}

    def test_lengths_that_nobody_states_are_those_of_a_public_trace(self) -> None:
        found = recommended(question(service(injection={"arrival": POISSON}), pool("l40s")))

        assert found.max_tokens == {"": 832}

    def test_without_promises_what_can_be_served_is_planned_with_room_to_spare(self) -> None:
        assert chosen(pool("l40s"), injection=traffic(100), slo=None)["replicas"] == 3

    def test_without_traffic_the_cheapest_on_which_it_starts_is_chosen(self) -> None:
        found = recommended(question(service(injection=None), pool("l4"), pool("t4"), pool("l40s")))

        assert (dict(found.chosen), dict(found.why), found.found, found.considered) == (
            {"gpu": "l40s"},
            {"gpu": "the cheapest on which it starts"},
            None,
            (
                Considered("l40s", 1, 0.79, "chosen"),
                Considered("l4", 1, 0.8, "starts"),
                Considered(
                    "t4",
                    None,
                    None,
                    "weights and activations take 15.13 of the 13.40 GiB it may use, which leaves no KV cache",
                ),
            ),
        )


def fixed(tokens: int) -> dict[str, Any]:
    return {"distribution": "fixed", "tokens": tokens}


POISSON = {"process": "poisson", "rate": "2/s"}


class TestSharedPrefixes:
    """Routing by prefix."""

    MANY: ClassVar = {
        "slo": {"ttft": {"p95": "5s"}},
        "injection": traffic(
            4,
            prompt_tokens=fixed(3000),
            output_tokens=fixed(8),
            shared_prefix={"tokens": 2900, "count": 40},
        ),
    }
    """More prefixes than one replica has room for, and fewer than two have."""

    def test_prompts_that_begin_alike_are_routed_to_where_their_prefix_is_cached(self) -> None:
        found = recommended(question(service(**self.MANY), pool("l4")))

        assert (found.chosen.get("gateway.policy"), found.why.get("gateway.policy")) == (
            "cache_aware",
            "prompts that begin alike find their prefix cached",
        )

    def test_a_policy_that_the_user_wrote_stays(self) -> None:
        assert "gateway.policy" not in chosen(pool("l4"), gateway={"policy": "round_robin"}, **self.MANY)


def test_a_cpu_runs_without_gpus_and_without_a_price() -> None:
    asked = service(
        model=SMALL, placement={"accelerator": "cpu"}, injection=traffic(0.5), slo={"tpot": {"p95": "300ms"}}
    )

    found = recommended(question(asked, pool("cpu")))

    assert (dict(found.chosen), found.usd_per_h) == ({"replicas": 1, "scaling.max": 2, "scaling.min": 1}, None)


def test_a_calibrated_engine_is_not_turned_into_another() -> None:
    """Its step times hold for it alone: ranks and number formats are left as they are."""
    asked = service(engine={"calibration": "./learnt.json", "may_quantize": ["weights"]})
    slow = Learnt(
        source="http://engine",
        taken_at="2026-01-01",
        seconds=60,
        windows=6,
        observations=600,
        scatter=0.05,
        costs_s=dict.fromkeys(StepCosts._fields, 1e-6) | {StepCosts._fields[0]: 0.02},
        covariance=tuple(tuple(0.0 for _ in StepCosts._fields) for _ in StepCosts._fields),
        outside_s=0.005,
    )

    found: Recommendation = recommended(question(asked, pool("l4", per_host=8), learnt=slow))

    assert [one.words for one in found.considered] == ["l4"]
    assert found.found is not None
    assert found.found.trial.results.of("tpot", "p50").value == pytest.approx(0.02, rel=0.1)
