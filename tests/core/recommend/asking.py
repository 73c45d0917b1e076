"""Questions that tests ask of the recommender: packaged facts, light traffic, few pools."""

from __future__ import annotations

from functools import cache
from typing import Any

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_cards
from enova.adapters.model_error import measured_error
from enova.core.engine.gpu_facts import find_gpu
from enova.core.engine.learnt import Learnt
from enova.core.inventory import Inventory, Pool, inventory_of
from enova.core.recommend import trial
from enova.core.recommend.demand import BURST, Demand, demand_of, with_assumed_lengths
from enova.core.recommend.question import Evidence, Question
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Infeasible, Outcome, Recommendation
from enova.core.simulate.promises import promises_of
from enova.core.spec import Service
from enova.core.workload.load import load_of
from enova.facts.reading import known_models

CARDS = gpu_cards()
SMALL = "Qwen/Qwen2.5-0.5B-Instruct"
MIDDLE = "Qwen/Qwen2.5-7B-Instruct"


def service(**sections: Any) -> Service:
    """Return a service of a small model under light traffic; sections given here replace its own."""
    written: dict[str, Any] = {
        "metadata": {"name": "chat"},
        "model": MIDDLE,
        "injection": traffic(2),
        "slo": {"tpot": {"p95": "60ms"}},
    }
    return Service.model_validate({key: value for key, value in (written | sections).items() if value is not None})


def traffic(rate: float, **keys: Any) -> dict[str, Any]:
    """Return random arrivals of short requests, all alike."""
    return {
        "arrival": {"process": "poisson", "rate": f"{rate}/s"},
        "prompt_tokens": {"distribution": "fixed", "tokens": 200},
        "output_tokens": {"distribution": "fixed", "tokens": 40},
    } | keys


def pool(name: str, **changes: Any) -> Pool:
    """Return a host with one GPU of a kind."""
    values: dict[str, Any] = {"gpu": find_gpu(CARDS, name), "per_host": 1, "hosts": None, "source": name}
    return Pool(**(values | changes))


@cache
def evidence() -> Evidence:
    """Return what is packaged."""
    return Evidence(curves=measured_curves(), error=measured_error())


def question(asked: Service, *pools: Pool, learnt: Learnt | None = None) -> Question:
    """Return what is asked about a service that may run on these pools, else on L4s without limit."""
    model = known_models().find(asked.model.id)
    assert model is not None
    return Question(
        service=asked,
        model=model,
        inventory=inventory_of(pools or [pool("l4", per_host=8)]),
        demand=demand(asked),
        promises=promises_of(asked.slo),
        evidence=Evidence(curves=evidence().curves, error=evidence().error, learnt=learnt),
    )


def demand(asked: Service, **recordings: Any) -> Demand | None:
    """Return what a service's traffic asks for."""
    injection, _ = with_assumed_lengths(asked.injection)
    if injection.arrival is None:
        return None
    return demand_of(load_of(injection, recordings=recordings), injection.burst or BURST)


def answered(asked: Question, rentable: Inventory = Inventory()) -> Outcome:  # noqa: B008 - frozen
    """Return what comes of a question. Equal questions are answered once: many tests look at the same answer."""
    key = repr(
        (
            trial.REQUESTS,
            asked.service.model_dump_json(exclude_unset=True),
            asked.demand,
            asked.inventory,
            rentable,
        )
    )
    if asked.evidence.learnt or key not in _ANSWERS:
        _ANSWERS[key] = recommend(asked, rentable=rentable)
    return _ANSWERS[key]


_ANSWERS: dict[str, Outcome] = {}


def recommended(asked: Question, rentable: Inventory = Inventory()) -> Recommendation:  # noqa: B008 - frozen
    """Return the recommendation of a question that has one."""
    outcome = answered(asked, rentable)
    assert isinstance(outcome, Recommendation), outcome
    return outcome


def infeasible(asked: Question, rentable: Inventory = Inventory()) -> Infeasible:  # noqa: B008 - frozen
    """Return why a question has no answer."""
    outcome = answered(asked, rentable)
    assert isinstance(outcome, Infeasible), outcome
    return outcome
