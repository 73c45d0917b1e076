"""What holds whatever is asked: pins stay, promises are kept, and asking for less never costs more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enova.core.inventory import Pool, inventory_of
from enova.core.recommend.fields import CHOOSABLE, REPLICAS, filled, pinned
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Infeasible, Recommendation
from enova.core.recommend.shape import shape_with
from enova.core.resolve import Provenance, resolve
from enova.core.simulate.forecast import WARM_UP, Conditions, run_of
from enova.core.spec import Service
from tests.core.recommend.asking import answered, pool, question, recommended, service, traffic

POOLS = {name: pool(name, per_host=2) for name in ("l4", "l40s", "h100-sxm")}
FEW = settings(deadline=None, max_examples=5, derandomize=True)
NEARLY = 1.1
"""Times a target: another number of requests is another draw of them."""

pins = st.fixed_dictionaries(
    {},
    optional={
        "tensor_parallel_size": st.sampled_from([1, 2]),
        "max_model_len": st.sampled_from([1024, 8192]),
        "max_num_seqs": st.sampled_from([4, 64, 256]),
        "max_num_batched_tokens": st.sampled_from([512, 8192]),
        "gpu_memory_utilization": st.sampled_from([0.8, 0.9]),
        "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
        "quantization": st.just("fp8"),
    },
)
scalings = st.sampled_from([{}, {"min": 2}, {"min": 2, "max": 2}, {"max": 4}])


@pytest.mark.usefixtures("few_requests")
@settings(FEW, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pins, scalings, st.sampled_from([None, "round_robin", "cache_aware"]))
def test_what_the_user_wrote_is_never_changed(
    engine: dict[str, Any], scaling: dict[str, Any], policy: str | None
) -> None:
    written = service(engine=engine, scaling=scaling, gateway={"policy": policy} if policy else {})
    answer = recommend(question(written, POOLS["l40s"]))
    choice = answer if isinstance(answer, Recommendation) else answer.fallback
    chosen = choice.chosen if choice else {}

    used = filled(written, chosen)

    assert {field for field in chosen if pinned(written, field)} == set()
    for field in (field for field in CHOOSABLE if pinned(written, field) and "." in field):
        section, _, name = field.partition(".")
        assert getattr(getattr(used, section), name) == getattr(getattr(written, section), name)
    decided = {choice.field: choice.provenance for choice in resolve(written, chosen).choices}
    assert {decided[field] for field in decided if pinned(written, field)} <= {Provenance.USER}
    assert resolve(written, chosen).replicas in range(used.scaling.min, (used.scaling.max or 10_000) + 1)


@FEW
@given(
    st.sampled_from([1, 12, 45]),
    st.sampled_from(
        [{"tpot": {"p95": "40ms"}}, {"ttft": {"p99": "800ms"}, "e2e": {"p50": "5s"}}, {"itl": {"p95": "60ms"}}]
    ),
    st.sampled_from([1.0, 1.5, None]),
    st.sets(st.sampled_from(sorted(POOLS)), min_size=1),
)
def test_the_chosen_way_keeps_every_promise_when_it_is_simulated_again(
    rate: float, slo: dict[str, Any], burst: float | None, kinds: set[str]
) -> None:
    """Independently of the search: the share of one replica, at the burst, with the bad ends of the bands."""
    written = service(injection=traffic(rate) | ({"burst": burst} if burst else {}), slo=slo)
    asked = question(written, *(POOLS[name] for name in sorted(kinds)))
    answer = answered(asked)
    if isinstance(answer, Infeasible):
        return
    assert asked.demand is not None
    gpu = next(one for one in asked.inventory.pools if one.gpu.name == answer.chosen["gpu"])
    engine = {field: value for field, value in answer.chosen.items() if field.startswith("engine.")}
    shape = shape_with(asked, gpu, engine)
    load, each = asked.demand.share(answer.replicas, times=burst or 1.2)
    assert each is not None
    assert each == pytest.approx(rate * (burst or 1.2) / answer.chosen[REPLICAS])

    results = run_of(
        [asked.evidence.replica(shape.setup)],
        load,
        Conditions(
            requests=1200, warmup_s=WARM_UP * 1200 / each, promises=asked.promises, error=asked.evidence.error
        ),
    )

    ends = {promise: results.of(promise.metric, promise.statistic).band.high for promise in asked.promises}
    assert {promise: end for promise, end in ends.items() if end > NEARLY * promise.target_s} == {}


def cost(written: Service, *kinds: str, pools: dict[str, Pool] = POOLS) -> float:
    """Return USD/h; more than anything where nothing will do."""
    answer = answered(question(written, *(pools[name] for name in kinds)))
    return answer.usd_per_h or 0.0 if isinstance(answer, Recommendation) else float("inf")


class TestNeverCostsMore:
    """Asking for less, or having more to choose from."""

    def test_less_traffic(self) -> None:
        costs = [cost(service(injection=traffic(rate)), "l4", "l40s") for rate in (1, 50)]

        assert costs == sorted(costs)

    def test_looser_promises(self) -> None:
        costs = [cost(service(slo={"tpot": {"p95": f"{ms}ms"}}), "l4", "l40s") for ms in (70, 24)]

        assert costs == sorted(costs)
        assert costs[0] < costs[-1]

    def test_fewer_promises(self) -> None:
        both = {"tpot": {"p95": "40ms"}, "ttft": {"p95": "300ms"}}

        assert cost(service(slo={"tpot": both["tpot"]}), "l40s") <= cost(service(slo=both), "l40s")

    def test_more_kinds_of_gpus(self) -> None:
        written = service(injection=traffic(30))
        costs = [
            cost(written, *kinds) for kinds in (("h100-sxm",), ("h100-sxm", "l4"), ("h100-sxm", "l4", "l40s"))
        ]

        assert costs == sorted(costs, reverse=True)

    @pytest.mark.parametrize("usd", [0.5, 0.79])
    def test_more_budget(self, usd: float) -> None:
        """A budget that is no constraint changes nothing, and one that is makes it infeasible, not dearer."""
        within = cost(service(budget={"cost": f"{usd} USD/h"}), "l4", "l40s")

        assert within == (cost(service(), "l4", "l40s") if usd >= 0.79 else float("inf"))


class TestOrder:
    """Equal questions get equal answers."""

    @settings(deadline=None, max_examples=3, derandomize=True)
    @given(st.permutations(sorted(POOLS)))
    def test_of_pools_changes_nothing(self, names: list[str]) -> None:
        ordered = recommended(question(service(), *POOLS.values()))
        turned = question(service(), *POOLS.values())
        turned = replace(turned, inventory=replace(turned.inventory, pools=tuple(POOLS[name] for name in names)))

        found = recommend(turned)

        assert isinstance(found, Recommendation)
        assert (found.chosen, found.why, found.considered) == (ordered.chosen, ordered.why, ordered.considered)


def test_a_pool_that_is_declared_twice_is_chosen_as_if_it_were_one() -> None:
    twice = [pool("l40s", source=source, hosts=1) for source in ("a", "b")]

    one, two = (
        recommended(replace(question(service()), inventory=inventory_of(pools))) for pools in (twice[:1], twice)
    )

    assert one.chosen == two.chosen
