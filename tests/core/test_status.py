"""Conditions and instances from what is observed and what is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.core.desired import Desired
from enova.core.launch import Kind
from enova.core.observed import Health, Instance, Look, Observed, State, Unknown
from enova.core.reconcile import reconcile
from enova.core.status import ServiceStatus, Status, status, to_json
from tests.staging import desired, instance, observed, running

NOW = 1000.0


def of(world: Observed, *wanted: Desired) -> Status:
    return status(world, now=NOW, desired=wanted, plan=reconcile(wanted, world))


def only(found: Status) -> ServiceStatus:
    (service,) = found.services
    return service


def said(service: ServiceStatus) -> list[str]:
    return [f"{c.type} {c.status} {c.reason}: {c.message}" for c in service.conditions]


def without(found: Instance) -> dict[str, Any]:
    return {"state": State.EXITED, "exit_code": 1, "url": None, "worker_url": None}


def test_a_service_as_it_should_be_is_ready_and_in_sync() -> None:
    service = only(of(observed(*running(desired())), desired()))

    assert said(service) == [
        "Ready True AllServe: 2 of 2 replicas serve",
        "Reconciling False InSync: as it should be",
    ]
    assert service.pending == ()


def test_a_service_that_does_not_run_yet_is_not_ready_and_pending() -> None:
    service = only(of(observed(), desired()))

    assert said(service) == [
        "Ready False NoGateway: no gateway listens",
        "Reconciling True ChangesPending: 3 to do; see pending",
    ]
    assert (service.endpoint, len(service.pending)) == (None, 3)


def test_a_replica_that_died_is_missing() -> None:
    router, first, second = running(desired())
    world = observed(router, first, replace(second, **without(second)))

    assert said(only(of(world, desired())))[0] == "Ready False ReplicasMissing: 1 of 2 replicas serve"


def test_no_replica_left_is_another_reason() -> None:
    router, *replicas = running(desired())
    world = observed(router, *(replace(one, **without(one)) for one in replicas))

    assert said(only(of(world, desired())))[0] == "Ready False NoReplica: 0 of 2 replicas serve"


def test_an_unhealthy_replica_does_not_count() -> None:
    router, first, second = running(desired())
    world = observed(router, first, replace(second, health=Health.UNHEALTHY))

    assert said(only(of(world, desired())))[0] == "Ready False ReplicasMissing: 1 of 2 replicas serve"


def test_a_replica_the_gateway_does_not_route_to_does_not_serve() -> None:
    router, first, second = running(desired())
    world = replace(observed(router, first, second), routes={router.id: frozenset({first.worker_url or ""})})

    assert [(i.target, i.serving) for i in only(of(world, desired())).instances] == [
        ("chat@gateway", True),
        ("chat#0", True),
        ("chat#1", False),
    ]


def test_two_generations_of_one_slot_count_once() -> None:
    router, first, second = running(desired())
    newer = replace(second, id="newer", name="newer", worker_url="http://newer", url="http://newer")

    assert said(only(of(observed(router, first, second, newer), desired())))[0] == (
        "Ready True AllServe: 2 of 2 replicas serve"
    )


def test_what_could_not_be_looked_at_is_unknown_and_not_absent() -> None:
    world = replace(observed(), runtimes={"docker": Unknown("Docker does not answer")})

    found = of(world, desired())

    assert said(only(found)) == [
        "Ready Unknown CouldNotLook: Docker does not answer",
        "Reconciling Unknown CouldNotLook: nothing is planned until it can be looked at again",
    ]
    assert found.exit_code == 1


def test_routes_that_make_no_sense_are_unknown() -> None:
    router, *replicas = running(desired())
    world = replace(observed(router, *replicas), routes={router.id: Unknown("strange answer")})

    assert said(only(of(world, desired())))[0] == "Ready Unknown CouldNotLook: chat@gateway: strange answer"


def test_a_suspended_service_is_left_as_it_is() -> None:
    service = only(of(observed(*running(desired(replicas=1))), desired(suspended=True)))

    assert said(service)[1] == "Reconciling False Suspended: it is left as it is"


def test_a_refusal_says_why() -> None:
    wanted = desired(replicas=1, replica={"gpus": 1})

    assert said(only(of(observed(), wanted)))[1].startswith("Reconciling False Refused: chat#0 needs 1 GPU")


def test_a_service_in_no_spec_is_shown_and_counted_by_its_own_replicas() -> None:
    found = of(observed(*running(desired("old"))), desired("new"))

    assert [(service.name, service.in_spec) for service in found.services] == [("new", True), ("old", False)]
    assert said(found.services[1]) == [
        "Ready True AllServe: 2 of 2 replicas serve",
        "Reconciling False NoSpec: no given file names this service; it is left alone",
    ]


def test_without_specs_nothing_is_compared_and_every_unseen_runtime_counts() -> None:
    world = replace(observed(), runtimes={"docker": Unknown("no answer"), "process": Look(())})

    found = status(world, now=NOW)

    assert (found.services, found.compared, found.exit_code) == ((), False, 1)
    assert [str(note) for note in found.unknowns] == ["docker: no answer"]


@pytest.mark.parametrize(
    ("created_at", "age_s"), [(940.0, 60.0), (0.0, None), (2000.0, 0.0)], ids=["past", "not known", "future"]
)
def test_age_is_counted_from_creation(created_at: float, age_s: float | None) -> None:
    one = instance(desired().replica, created_at=created_at)

    assert only(status(observed(one), now=NOW)).instances[0].age_s == age_s


def test_an_emulated_engine_is_called_that_even_when_no_spec_says_so() -> None:
    found = only(status(observed(*running(desired(replica={"kind": Kind.EMULATED}))), now=NOW))

    assert found.emulated
    assert [i.emulated for i in found.instances] == [False, True, True]


def test_json_has_a_stable_shape() -> None:
    wanted = desired(replicas=1)
    world = observed(*running(wanted, created_at=900.0, devices=("GPU-0",), image="vllm/vllm-openai:v0.32.0"))

    data = to_json(of(world, wanted))

    assert data["services"][0]["instances"][1] == {
        "target": "chat#0",
        "name": world.instances()[1].name,
        "role": "replica",
        "state": "running",
        "health": "healthy",
        "serving": True,
        "runtime": "docker",
        "devices": ["GPU-0"],
        "image": "vllm/vllm-openai:v0.32.0",
        "age_s": 100.0,
        "url": world.instances()[1].url,
        "emulated": False,
        "detail": "",
    }
    assert sorted(data) == ["compared", "schema_version", "services", "unknowns"]
    assert sorted(data["services"][0]) == [
        "conditions", "emulated", "endpoint", "in_spec", "instances", "name", "notes", "pending",
    ]  # fmt: skip
