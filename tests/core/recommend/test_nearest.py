"""Where nothing keeps every promise: what binds, what comes closest, and changes that are each enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.core.inventory import Pool, inventory_of
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Infeasible, Nearest, Recommendation
from enova.core.spec import Service
from tests.core.recommend.asking import infeasible, pool, question, recommended, service, traffic

BUSY: dict[str, Any] = {
    "slo": None,
    "injection": traffic(
        60,
        prompt_tokens={"distribution": "fixed", "tokens": 500},
        output_tokens={"distribution": "fixed", "tokens": 2},
    ),
}
"""More than two L40S can serve, and no promise."""
L40S = pool("l40s")
RENTABLE = inventory_of(
    [pool("l40s", per_host=8), pool("h100-sxm", per_host=8), pool("a100-sxm-80gb", per_host=8)]
)


def of(*pools: Pool, **sections: Any) -> Infeasible:
    return infeasible(question(service(**sections), *pools or (L40S,)))


class TestBinding:
    """Which constraint it is."""

    @pytest.mark.parametrize(
        ("sections", "why", "way"),
        [
            (
                {"budget": {"gpus": 2}},
                "budget.gpus is 2",
                Nearest("budget.gpus", "3", "3 x l40s at 2.37 USD/h"),
            ),
            (
                {"budget": {"cost": "2 USD/h"}},
                "budget.cost is 2 USD/h",
                Nearest("budget.cost", "2.37 USD/h", "3 x l40s at 2.37 USD/h"),
            ),
            (
                {"scaling": {"max": 2}},
                "scaling.max is 2",
                Nearest("scaling.max", "3", "3 x l40s at 2.37 USD/h"),
            ),
        ],
        ids=["budget.gpus", "budget.cost", "scaling.max"],
    )
    def test_what_the_spec_allows_is_named_with_what_would_be_enough(
        self, sections: dict[str, Any], why: str, way: Nearest
    ) -> None:
        found = of(**BUSY, **sections)

        assert found.considered[0].verdict.endswith(why)
        assert way in found.nearest

    def test_what_has_to_give_way_together_is_named_together(self) -> None:
        found = of(**BUSY, budget={"gpus": 1, "cost": "1.00 USD/h"}, scaling={"max": 1})

        assert found.nearest[0] == Nearest(
            "budget.cost, budget.gpus, scaling.max", "2.37 USD/h, 3, 3", "3 x l40s at 2.37 USD/h"
        )

    def test_the_room_there_is_is_named_with_what_would_be_enough(self) -> None:
        found = of(pool("l40s", hosts=2, source="inventory.yaml:3"), **BUSY)

        assert found.considered[0].verdict.endswith("inventory.yaml:3 has 2 x l40s")
        assert Nearest("inventory", "3 x l40s", "3 x l40s at 2.37 USD/h") in found.nearest

    def test_a_promise_that_nothing_keeps_is_named_with_what_could_be_promised(self) -> None:
        """With the fewest replicas that come as close: there is room for three."""
        found = of(slo={"tpot": {"p95": "10ms"}})

        assert found.binding == "the closest there is, 2 x l40s: tpot.p95 up to 25.8 ms, promised 10 ms"
        assert found.nearest == (Nearest("slo.tpot.p95", "26ms", "2 x l40s"),)

    def test_a_model_that_starts_nowhere_says_why(self) -> None:
        found = of(pool("l4"), model="Qwen/Qwen2.5-72B-Instruct")

        assert (found.binding, found.fallback) == (
            (
                "the model does not start on anything there is: l4: weights and activations take 136.50 of the "
                "20.27 GiB it may use, which leaves no KV cache"
            ),
            None,
        )

    def test_a_pin_that_keeps_it_from_starting_is_named(self) -> None:
        pinned = {"model": "meta-llama/Llama-3.1-8B-Instruct", "engine": {"max_model_len": 131_072}}

        assert of(pool("l4"), **pinned).binding.endswith("and 3.58 are left; engine.max_model_len pinned")

    def test_requests_that_are_longer_than_a_pinned_length_are_what_binds(self) -> None:
        found = of(engine={"max_model_len": 100})

        never = "no request is ever served: longer than the longest sequence, 100 tokens"
        assert (found.binding, found.considered[0].verdict) == (f"the closest there is, 3 x l40s: {never}", never)

    def test_more_replicas_at_least_than_there_is_room_for(self) -> None:
        found = of(pool("l40s", hosts=2), scaling={"min": 3})

        assert found.considered[0].verdict == "scaling.min is 3, and l40s has 2 x l40s"

    def test_without_traffic_too(self) -> None:
        found = of(pool("l40s", hosts=2), injection=None, scaling={"min": 3})

        assert found.binding == "scaling.min is 3, and l40s has 2 x l40s"


class TestNearest:
    """Every change that is named is enough by itself."""

    @pytest.mark.parametrize("field", ["gpus", "cost"])
    def test_a_larger_budget_is(self, field: str) -> None:
        tight = {"gpus": 2} if field == "gpus" else {"cost": "2 USD/h"}
        value = nearest(of(**BUSY, budget=tight), f"budget.{field}")

        answer = answer_to(service(**BUSY, budget={field: int(value) if field == "gpus" else value}))

        assert answer.replicas == 3

    def test_more_replicas_are(self) -> None:
        most = int(nearest(of(**BUSY, scaling={"max": 2}), "scaling.max"))

        assert answer_to(service(**BUSY, scaling={"max": most})).replicas == most

    def test_a_looser_promise_is(self) -> None:
        looser = nearest(of(slo={"tpot": {"p95": "10ms"}}), "slo.tpot.p95")

        assert answer_to(service(slo={"tpot": {"p95": looser}})).replicas <= 3

    def test_less_traffic_is(self) -> None:
        words = nearest(of(**BUSY, budget={"gpus": 2}), "injection")
        lighter = BUSY["injection"] | {
            "arrival": {"process": "poisson", "rate": words.removesuffix(" at its peak")}
        }

        assert answer_to(service(slo=None, injection=lighter, budget={"gpus": 2})).replicas == 2

    def test_another_gpu_is(self) -> None:
        asked = service(slo={"tpot": {"p95": "10ms"}})
        found = infeasible(question(asked, L40S), RENTABLE)

        name = nearest(found, "placement.gpu_types")

        assert name != "l40s"
        assert recommended(question(asked, pool(name, per_host=8))).shape.pool.gpu.name == name

    def test_more_of_the_same_is(self) -> None:
        words = nearest(of(pool("l40s", hosts=2), **BUSY), "inventory")
        count = int(words.partition(" x ")[0])

        assert recommended(question(service(**BUSY), pool("l40s", hosts=count))).replicas == count


def nearest(found: Infeasible, field: str) -> str:
    return next(near.value for near in found.nearest if near.field == field)


def answer_to(asked: Service) -> Recommendation:
    return recommended(question(asked, L40S))


class TestFallback:
    """What comes closest, for who wants it all the same."""

    def test_it_stays_within_what_is_allowed_and_says_that_it_is_not_enough(self) -> None:
        fallback = of(**BUSY, budget={"gpus": 2}).fallback

        assert fallback is not None
        assert (fallback.chosen["replicas"], fallback.why["replicas"], fallback.usd_per_h) == (
            2,
            "nothing holds 1.2 x 60/s; this comes closest at 1.58 USD/h",
            1.58,
        )

    def test_it_is_the_way_that_misses_least(self) -> None:
        fallback = of(pool("l4"), pool("l40s"), slo={"tpot": {"p95": "5ms"}}).fallback

        assert fallback is not None
        assert fallback.shape.pool.gpu.name == "l40s"

    def test_it_keeps_pins(self) -> None:
        fallback = of(slo={"tpot": {"p95": "5ms"}}, engine={"max_num_seqs": 4}).fallback

        assert fallback is not None
        assert (fallback.shape.service.engine.max_num_seqs, "engine.max_num_seqs" in fallback.chosen) == (4, False)


def test_the_order_of_pools_changes_nothing() -> None:
    asked = question(service(slo={"tpot": {"p95": "5ms"}}), pool("l4"), pool("l40s"))
    turned = replace(asked, inventory=replace(asked.inventory, pools=asked.inventory.pools[::-1]))

    found, again = recommend(asked), recommend(turned)

    assert isinstance(found, Infeasible)
    assert isinstance(again, Infeasible)
    assert (found.binding, found.considered, found.nearest) == (again.binding, again.considered, again.nearest)
