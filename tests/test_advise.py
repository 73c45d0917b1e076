"""What holds for each service: from the lock where nothing changed, chosen anew where something did."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from enova.advise import Advice, Wish, adviser_of
from enova.core.inventory import Inventory, Pool, inventory_of
from enova.core.lockfile import Entry, lock_in, lock_text
from enova.core.observed import Observed, Unknown
from enova.core.plan import Note
from enova.core.spec import Service
from enova.core.workload.recording import Recording
from enova.errors import LockError
from tests.core.recommend.asking import SMALL, pool, service, traffic
from tests.knowing import Known
from tests.staging import gpus, instance, observed, replica

pytestmark = pytest.mark.usefixtures("few_requests")

DOCKER_GONE = Unknown("could not look at docker")


def advise(
    *services: Service,
    lock: dict[str, Entry] | None = None,
    known: Known | None = None,
    seen: Observed | None = None,
    **wish: bool,
) -> dict[str, Advice]:
    """Return the advice on a host of eight H100s, unless told otherwise."""
    adviser = adviser_of((known or Known()).knowledge(), seen or observed(gpus=gpus(8)), Wish(**wish))
    return adviser.advise(services, lock or {})


def locked(advice: dict[str, Advice]) -> dict[str, Entry]:
    """Return the lock, as a file brings it back."""
    entries = {name: one.entry for name, one in advice.items() if one.entry is not None}
    return lock_in(lock_text(entries), "enova.lock")


@cache
def usual() -> dict[str, Entry]:
    """Return the lock of the usual service."""
    return locked(advise(service()))


def declared(*pools: Pool) -> Known:
    return Known(inventory=inventory_of(pools))


def chosen(advice: dict[str, Advice], name: str = "chat") -> dict[str, Any] | None:
    entry = advice[name].entry
    return None if entry is None else dict(entry.chosen)


ON_H100 = {"gpu": "h100-sxm", "replicas": 1, "scaling.max": 2, "scaling.min": 1}
CODE = {"metadata": {"name": "code"}, "model": SMALL}


class TestLock:
    """Unchanged inputs never choose anew."""

    def test_what_is_unchanged_is_taken_from_it_without_a_search(self) -> None:
        lock, known = usual(), Known()

        again = advise(service(), lock=lock, known=known)

        assert ([again["chat"].entry, again["chat"].fresh], known.asked) == ([lock["chat"], False], [])

    def test_what_is_chosen_is_what_the_lock_brings_back(self) -> None:
        """So that the plan that chooses and the next one show the same figures."""
        first = advise(service())

        assert locked(first) == {"chat": first["chat"].entry}

    @pytest.mark.parametrize(
        "sections",
        [{"slo": {"tpot": {"p95": "50ms"}}}, {"injection": traffic(3)}, {"budget": {"gpus": 3}}],
        ids=["slo", "injection", "budget"],
    )
    def test_what_changed_is_chosen_anew(self, sections: dict[str, Any]) -> None:
        lock, known = usual(), Known()

        again = advise(service(**sections), lock=lock, known=known)

        assert ([again["chat"].fresh], known.asked) == ([True], [("Qwen/Qwen2.5-7B-Instruct", True)])

    @pytest.mark.parametrize(
        "sections",
        [
            {"engine": {"env": {"A": "b"}, "image": "mine:1"}},
            {"gateway": {"port": 9300}},
            {"rollout": {"surge": 2}},
        ],
        ids=["engine", "gateway", "rollout"],
    )
    def test_what_makes_no_difference_is_not(self, sections: dict[str, Any]) -> None:
        lock, known = usual(), Known()

        advise(service(**sections), lock=lock, known=known)

        assert known.asked == []

    def test_refresh_chooses_whatever_it_says(self) -> None:
        lock, known = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"replicas": 7})}, Known()

        assert chosen(advise(service(), lock=lock, known=known, refresh=True)) == ON_H100

    def test_a_declared_price_or_count_that_changed_chooses_anew(self) -> None:
        here = pool("l40s", per_host=4, source="inventory.yaml:1")
        lock, known = locked(advise(service(), known=declared(here))), declared(replace(here, per_host=8))

        assert advise(service(), lock=lock, known=known)["chat"].fresh

    def test_more_gpus_found_here_are_no_reason_to_choose_anew(self) -> None:
        lock, known = usual(), Known()

        again = advise(service(), lock=lock, known=known, seen=observed(gpus=gpus(4)))

        assert (again["chat"].fresh, known.asked) == (False, [])

    def test_too_few_gpus_are(self) -> None:
        two = service(scaling={"min": 2})
        lock = locked(advise(two))

        again = advise(two, lock=lock, seen=observed(gpus=gpus(1)))

        assert (again["chat"].entry, len(again["chat"].refusals)) == (None, 1)

    def test_where_there_is_nothing_to_run_on_it_holds(self) -> None:
        """As in CI, where a plan is made for other hosts."""
        lock = usual()

        assert chosen(advise(service(), lock=lock, seen=observed(gpus=()))) == ON_H100

    def test_the_order_of_services_makes_no_difference(self) -> None:
        services = service(), service(**CODE)

        one, other = (advise(*ordered, seen=observed(gpus=gpus(2))) for ordered in (services, services[::-1]))

        assert lock_text(locked(one)) == lock_text(locked(other))

    def test_nothing_is_chosen_where_only_the_lock_is_to_be_shown(self) -> None:
        lock = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"replicas": 7})}

        advice = advise(service(), service(**CODE), lock=lock, choose=False)

        assert advice == {"chat": Advice(service=service(), entry=lock["chat"])}

    def test_what_does_not_go_with_a_changed_spec_is_left_out_of_what_is_shown(self) -> None:
        lock = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"scaling.min": 3, "replicas": 3})}

        assert advise(service(scaling={"max": 2}), lock=lock, choose=False) == {}


class TestLocked:
    """--locked: the lock has to fit."""

    def test_what_fits_is_used(self) -> None:
        lock = usual()

        assert chosen(advise(service(), lock=lock, locked=True)) == ON_H100

    def test_all_that_does_not_fit_is_said_at_once(self) -> None:
        stale = [service(metadata={"name": name}) for name in ("a", "b", "c")]
        lock = {name: replace(entry, inputs="v1:old") for name, entry in locked(advise(stale[0])).items()}
        lock |= locked(advise(stale[1]))

        with pytest.raises(LockError) as raised:
            advise(*stale, lock=lock, locked=True)

        assert (raised.value.message, raised.value.hint) == (
            "the lock does not fit the specs: a, c",
            "run `enova plan` without --locked, look at what it chooses, and commit enova.lock",
        )

    def test_services_that_ask_for_nothing_need_no_lock(self) -> None:
        assert chosen(advise(service(slo=None, injection=None), locked=True)) is None


@pytest.mark.parametrize(
    ("chosen_values", "words"),
    [
        ({"engine.max_num_seqs": 0}, "engine.max_num_seqs: "),
        ({"engine.gpu_memory_utilization": 7.5}, "engine.gpu_memory_utilization: "),
        ({"engine.tensor_parallel_size": "two"}, "engine.tensor_parallel_size: "),
        ({"gateway.policy": "fastest"}, "gateway.policy: "),
        ({"scaling.min": 5, "scaling.max": 2}, "scaling.max: "),
        ({"replicas": 0}, "replicas: 0"),
        ({"replicas": "3"}, "replicas: 3"),
        ({"replicas": True}, "replicas: True"),
    ],
    ids=str,
)
@pytest.mark.parametrize("choose", [True, False])
def test_a_choice_that_no_spec_could_have_is_refused(
    chosen_values: dict[str, Any], words: str, choose: bool
) -> None:
    """A merge gone wrong must not reach an engine."""
    lock = {"chat": replace(usual()["chat"], chosen=chosen_values)}

    with pytest.raises(LockError) as raised:
        advise(service(), lock=lock, choose=choose)

    assert raised.value.message.startswith(f"enova.lock: services.chat.chosen: {words}")
    assert raised.value.hint == "restore it from git, or `enova plan --refresh`"


def test_a_gpu_that_is_no_name_is_refused() -> None:
    lock = {"chat": replace(usual()["chat"], chosen={"gpu": 5})}

    with pytest.raises(LockError, match=r"services\.chat\.chosen: gpu: 5"):
        advise(service(), lock=lock, choose=False)


class TestUnknown:
    """What could not be looked at is not absent: nothing is chosen, nothing is concluded."""

    CASES = pytest.mark.parametrize(
        ("seen", "reason"),
        [
            (observed(gpus=Unknown("NVML does not answer")), "NVML does not answer"),
            (observed(gpus=gpus(8), runtimes={"docker": DOCKER_GONE}), "could not look at docker"),
        ],
        ids=["NVML", "Docker"],
    )

    @CASES
    def test_nothing_is_chosen_and_it_is_said_why(self, seen: Observed, reason: str) -> None:
        hint = "name kinds in placement.gpu_types, or give --inventory FILE"

        advice = advise(service(), seen=seen)

        assert advice == {
            "chat": Advice(service=service(), notes=(Note("chat", f"nothing is chosen: {reason}", hint),))
        }

    @CASES
    def test_what_was_chosen_before_holds(self, seen: Observed, reason: str) -> None:
        lock = usual()

        assert advise(service(), lock=lock, seen=seen) == {"chat": Advice(service=service(), entry=lock["chat"])}

    @CASES
    def test_who_asks_for_nothing_is_told_nothing(self, seen: Observed, reason: str) -> None:
        plain = service(slo=None, injection=None)

        assert advise(plain, seen=seen) == {"chat": Advice(service=plain)}

    def test_a_declared_inventory_needs_no_look(self) -> None:
        seen = observed(gpus=Unknown("NVML does not answer"))

        found = chosen(advise(service(), seen=seen, known=declared(pool("l40s", source="inventory.yaml:1"))))

        assert found is not None
        assert found["gpu"] == "l40s"


class TestNothingToRunOn:
    """No GPU here."""

    HERE = observed(gpus=())

    def test_it_is_said_to_who_asks(self) -> None:
        advice = advise(service(), seen=self.HERE)

        assert [note.message for note in advice["chat"].notes] == [
            "nothing is chosen: no GPU is known to run it on"
        ]

    def test_kinds_that_are_named_are_planned_for(self) -> None:
        found = chosen(advise(service(placement={"gpu_types": ["L40S", "H100"]}), seen=self.HERE))

        assert found is not None
        assert found["gpu"] == "l40s"

    @pytest.mark.parametrize(("sections", "notes"), [({}, 1), ({"slo": None, "injection": None}, 0)])
    def test_a_kind_that_nobody_knows_leaves_the_other_services_alone(
        self, sections: dict[str, Any], notes: int
    ) -> None:
        strange = service(placement={"gpu_types": ["K620"]}, **sections)

        advice = advise(strange, service(**CODE, placement={"gpu_types": ["L4"]}), seen=self.HERE)

        assert (chosen(advice), len(advice["chat"].notes), (chosen(advice, "code") or {})["gpu"]) == (
            None,
            notes,
            "l4",
        )


class TestModels:
    """Models that there are facts for, and others."""

    @pytest.mark.parametrize("asks", [True, False])
    def test_one_that_is_found_nowhere_leaves_defaults_and_is_said_to_who_asks(self, asks: bool) -> None:
        known = Known()
        sections = {} if asks else {"slo": None, "injection": None}

        advice = advise(service(model="org/model", **sections), known=known)

        notes = (Note("chat", "nothing is chosen: no model org/model was found", "look again"),) if asks else ()
        assert (chosen(advice), advice["chat"].notes, known.asked) == (None, notes, [("org/model", asks)])

    def test_an_emulated_engine_is_planned_for_as_the_gpu_it_emulates(self) -> None:
        emulated = service(engine={"kind": "emulated", "extra_args": {"emulate_gpu": "l40s"}})

        advice = advise(emulated, seen=observed(gpus=()))

        assert chosen(advice) == {"replicas": 1, "scaling.max": 2, "scaling.min": 1}
        assert advice["chat"].entry is not None
        assert advice["chat"].entry.forecast is not None
        assert advice["chat"].entry.forecast.gpu == "l40s"

    def test_an_emulated_engine_that_emulates_nothing_is_not(self) -> None:
        emulated = service(engine={"kind": "emulated"})

        assert advise(emulated) == {"chat": Advice(service=emulated)}

    def test_a_cpu_needs_no_gpu(self) -> None:
        on_cpu = service(
            model=SMALL, placement={"accelerator": "cpu"}, injection=traffic(0.5), slo={"tpot": {"p95": "300ms"}}
        )

        found = chosen(advise(on_cpu, seen=observed(gpus=Unknown("NVML does not answer"))))

        assert found == {"replicas": 1, "scaling.max": 2, "scaling.min": 1}


class TestTraffic:
    """What traffic is stated, and what is not."""

    def test_without_traffic_promises_are_not_judged_and_that_is_said(self) -> None:
        advice = advise(service(injection=None), known=declared(pool("l40s"), pool("l4")))

        assert (chosen(advice), [note.message for note in advice["chat"].notes]) == (
            {"gpu": "l40s"},
            ["promises are not judged: no traffic is stated"],
        )

    def test_a_trace_in_a_file_is_read(self) -> None:
        times = np.arange(600) / 10.0
        lengths = np.full(600, 50)
        recording = Recording(at_s=times, prompt_tokens=lengths, output_tokens=lengths)
        asked = service(injection={"arrival": {"process": "trace", "file": "/monday.csv"}})

        advice = advise(asked, known=Known(recordings={"/monday.csv": recording}))

        assert chosen(advice) == ON_H100

    def test_a_file_that_cannot_be_read_refuses_this_service_only(self) -> None:
        lost = service(engine={"calibration": "/gone.json"})

        advice = advise(lost, service(**CODE))

        assert advice["chat"].refusals == (Note("chat", "nothing can be chosen: /gone.json cannot be read", ""),)
        assert advice["code"].fresh

    def test_lengths_that_are_assumed_are_said_beside_the_forecast(self) -> None:
        entry = advise(service(injection={"arrival": {"process": "poisson", "rate": "1/s"}}))["chat"].entry

        assert entry is not None
        assert entry.forecast is not None
        assert [note[:33] for note in entry.forecast.notes] == ["lengths of requests are not state"]


class TestInfeasible:
    """Nothing keeps the promises."""

    TIGHT = service(slo={"tpot": {"p95": "1ms"}})
    ONE = declared(pool("h100-sxm", hosts=1, source="inventory.yaml:1"))

    def test_it_is_refused_with_what_binds_and_what_would_do(self) -> None:
        [refusal] = advise(self.TIGHT, known=self.ONE)["chat"].refusals

        assert refusal.message.startswith("infeasible: the closest there is, h100-sxm: tpot.p95 up to 7.")
        assert refusal.hint.startswith("any of these would do: slo.tpot.p95: ")

    def test_best_effort_takes_what_comes_closest(self) -> None:
        advice = advise(self.TIGHT, known=self.ONE, best_effort=True)

        assert (advice["chat"].refusals, (chosen(advice) or {})["replicas"]) == ((), 1)

    def test_an_infeasible_service_takes_no_gpus_from_the_others(self) -> None:
        advice = advise(self.TIGHT, service(**CODE), known=self.ONE)

        assert (chosen(advice), (chosen(advice, "code") or {})["gpu"]) == (None, "h100-sxm")


class TestDevices:
    """GPUs of the host that the user named."""

    NAMED = service(placement={"devices": ["0", "1"]}, slo={"tpot": {"p95": "4ms"}})

    def test_no_replica_gets_more_than_there_are_names(self) -> None:
        """Four ranks would keep it; a spec that names two GPUs for a replica of four is not valid."""
        assert chosen(advise(self.NAMED)) is None
        assert (chosen(advise(service(slo={"tpot": {"p95": "4ms"}}))) or {})["engine.tensor_parallel_size"] == 4

    def test_no_more_replicas_are_chosen_than_there_are_names(self) -> None:
        asked = service(placement={"devices": ["0", "1"]}, injection=traffic(2), scaling={"min": 2})

        assert (chosen(advise(asked)) or {})["scaling.max"] == 2

    def test_what_others_take_elsewhere_on_the_host_makes_no_difference(self) -> None:
        others = service(metadata={"name": "a"}, scaling={"min": 7})

        advice = advise(others, service(placement={"devices": ["7"]}))

        assert [(chosen(advice, name) or {})["replicas"] for name in ("a", "chat")] == [7, 1]


class TestTogether:
    """Services share what there is."""

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_they_never_get_more_gpus_than_there_are(self, count: int) -> None:
        services = [service(metadata={"name": name}, model=SMALL) for name in ("a", "b", "c")]
        host = pool("h100-sxm", per_host=count, hosts=1, source="inventory.yaml:1")

        advice = advise(*services, known=declared(host))

        forecasts = [one.entry.forecast for one in advice.values() if one.entry is not None]
        assert [forecast.gpus for forecast in forecasts if forecast is not None] == [1] * count
        assert [len(one.refusals) for one in advice.values()] == [0] * count + [1] * (3 - count)

    def test_what_a_lock_holds_is_not_there_for_others(self) -> None:
        host = pool("h100-sxm", per_host=1, hosts=1, source="inventory.yaml:1")
        lock = locked(advise(service(**CODE), known=declared(host)))

        advice = advise(service(), service(**CODE), lock=lock, known=declared(host))

        assert (chosen(advice), advice["code"].fresh) == (None, False)

    def test_what_runs_without_a_forecast_is_not_there_for_others_either(self) -> None:
        pools = pool("l40s", hosts=1, source="a:1"), pool("h100-sxm", hosts=1, source="a:2")
        silent = service(metadata={"name": "a"}, injection=None, slo=None)

        advice = advise(silent, service(), known=declared(*pools))

        assert [(chosen(advice, name) or {})["gpu"] for name in ("a", "chat")] == ["l40s", "h100-sxm"]

    def test_what_asks_for_nothing_keeps_what_its_defaults_take(self) -> None:
        host = pool("h100-sxm", per_host=1, hosts=1, source="inventory.yaml:1")
        silent = service(metadata={"name": "z"}, injection=None, slo=None)

        advice = advise(silent, service(), known=declared(host))

        assert chosen(advice) is None
        assert [len(advice[name].refusals) for name in ("chat", "z")] == [1, 0]

    def test_gpus_that_services_of_no_given_file_hold_are_left_to_them(self) -> None:
        others = instance(replica("others", gpus=1, devices=("GPU-0",)))

        advice = advise(service(), seen=observed(others, gpus=gpus(1)))

        assert [note.message for note in advice["chat"].refusals] == [
            "infeasible: nothing is left to run it on, others have all there is"
        ]

    def test_the_second_takes_the_next_best(self) -> None:
        pools = pool("l40s", hosts=1, source="a:1"), pool("h100-sxm", hosts=1, source="a:2")

        advice = advise(service(), service(**CODE), known=declared(*pools))

        assert [(chosen(advice, name) or {})["gpu"] for name in ("chat", "code")] == ["l40s", "h100-sxm"]


def test_what_a_pin_costs_is_kept_in_words() -> None:
    advice = advise(service(scaling={"min": 2}))

    assert advice["chat"].entry is not None
    assert advice["chat"].entry.pins == {"scaling.min": "2 costs 2.69 USD/h more than 1 x h100-sxm"}


def test_an_empty_inventory_is_not_unknown() -> None:
    assert chosen(advise(service(), known=Known(inventory=Inventory()))) is None


class TestWithoutFacts:
    """What runs does not change for want of facts: what was chosen before stays in force."""

    def test_of_a_model_that_is_not_found_any_more(self) -> None:
        lock = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"gpu": "h100-sxm", "replicas": 3})}

        found = advise(service(model="org/gone"), lock=lock)["chat"]

        assert (found.entry and found.entry.chosen, found.fresh) == (lock["chat"].chosen, False)
        assert [note.message for note in found.notes] == [
            "nothing is chosen: no model org/gone was found",
            "what was chosen before stays in force, though the spec has changed since",
        ]

    def test_of_gpus_that_cannot_be_looked_at(self) -> None:
        lock = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"gpu": "h100-sxm", "replicas": 3})}

        found = advise(service(), lock=lock, known=Known(inventory=Unknown("NVML does not answer")))["chat"]

        assert found.entry is not None
        assert (found.entry.chosen, found.entry.forecast) == (lock["chat"].chosen, None)

    def test_choices_that_do_not_go_with_the_spec_any_more_are_left(self) -> None:
        lock = {"chat": Entry(inputs="v1:old", inventory="v1:old", chosen={"engine.max_num_seqs": 64})}
        changed = service(model="org/gone", engine={"max_num_batched_tokens": 32})

        assert advise(changed, lock=lock)["chat"].entry is None


def test_an_emulated_engine_is_forecast_as_fast_as_it_is_asked_to_be() -> None:
    kind = {"kind": "emulated", "extra_args": {"emulate_gpu": "h100-sxm"}}
    fast = kind | {"extra_args": {"emulate_gpu": "h100-sxm", "speed": 4}}

    forecasts = [
        entry.forecast
        for engine in (kind, fast)
        if (entry := advise(service(engine=engine, placement={"runtime": "process"}))["chat"].entry)
    ]

    usual, four_times = (one.figures["tpot.mean"].value for one in forecasts if one is not None)
    assert four_times == pytest.approx(usual / 4, rel=0.1)
