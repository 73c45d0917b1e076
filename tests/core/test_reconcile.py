"""What a plan says, for what is wanted and what is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.core.canary import Canary
from enova.core.desired import Desired
from enova.core.launch import Role
from enova.core.observed import Health, Instance, Look, State, Unknown
from enova.core.reconcile import reconcile, removal
from tests.staging import desired, gateway, gpus, instance, observed, replica, running


def test_a_new_service_gets_a_gateway_and_all_its_replicas() -> None:
    plan = reconcile([desired()], observed())

    assert str(plan) == (
        "+ create chat@gateway: not found\n"
        "+ create chat#0: not found\n"
        "+ create chat#1: not found\n"
        "Plan: 3 to create, 0 to replace, 0 to remove"
    )
    assert plan.exit_code == 2


def test_nothing_is_planned_when_all_is_as_wanted() -> None:
    plan = reconcile([desired()], observed(*running(desired())))

    assert str(plan) == "In sync: nothing to do"
    assert plan.exit_code == 0


def test_a_killed_replica_is_started_again() -> None:
    router, first, second = running(desired())
    dead = replace(second, state=State.EXITED, exit_code=137, url=None, worker_url=None)

    plan = reconcile([desired()], observed(router, first, dead))

    assert str(plan) == (
        "+ start chat#1: exited with code 137\nPlan: 0 to create, 0 to replace, 0 to remove, 1 to start"
    )


def test_a_removed_replica_is_created_again_and_its_old_route_dropped() -> None:
    router, first, second = running(desired())
    world = observed(router, first, second)
    world = replace(world, runtimes={"docker": Look((router, first))})

    plan = reconcile([desired()], world)

    assert str(plan) == (
        "+ create chat#1: not found\n"
        f"~ unroute chat@gateway: routes to {second.worker_url}, where nothing of this service runs\n"
        "Plan: 1 to create, 0 to replace, 0 to remove, 1 to unroute"
    )


def test_a_changed_engine_argument_replaces_each_replica_in_turn_and_is_named() -> None:
    now, wanted = desired(), desired(replica={"args": {"max_num_seqs": 16}})

    plan = reconcile([wanted], observed(*running(now)))

    assert str(plan) == (
        "± replace chat#0: settings changed; engine.max_num_seqs: 8 -> 16\n"
        "± replace chat#1: settings changed; engine.max_num_seqs: 8 -> 16\n"
        "Plan: 0 to create, 2 to replace, 0 to remove"
    )
    assert [action.wave for action in plan.actions] == [2, 3]
    assert not any(action.stop_first for action in plan.actions)


def test_a_larger_surge_replaces_side_by_side() -> None:
    wanted = desired(replica={"args": {}}, rollout={"surge": 2})

    plan = reconcile([wanted], observed(*running(desired())))

    assert [action.wave for action in plan.actions] == [2, 2]


def test_without_surge_replicas_stop_before_they_are_replaced_and_the_plan_says_so() -> None:
    wanted = desired(replica={"args": {}}, rollout={"surge": 0})

    plan = reconcile([wanted], observed(*running(desired())))

    assert [action.stop_first for action in plan.actions] == [True, True]
    assert [action.wave for action in plan.actions] == [2, 3]
    assert plan.actions[0].impact == "1 of 2 replicas serve until the new one is ready"


def test_a_changed_gateway_restarts_it_and_routes_again_to_all_replicas() -> None:
    wanted = desired(gateway={"port": 9200})

    plan = reconcile([wanted], observed(*running(desired())))

    assert str(plan) == (
        "± replace chat@gateway: settings changed; gateway.port: 9199 -> 9200"
        " [the endpoint is down for a moment]\n"
        "~ route chat#0: the gateway does not route to it\n"
        "~ route chat#1: the gateway does not route to it\n"
        "Plan: 0 to create, 1 to replace, 0 to remove, 2 to route"
    )


def test_fewer_replicas_remove_the_highest_slots_last() -> None:
    plan = reconcile([desired(replicas=1)], observed(*running(desired(replicas=3))))

    assert str(plan) == (
        "- remove chat#1: 1 replica wanted\n"
        "- remove chat#2: 1 replica wanted\n"
        "Plan: 0 to create, 0 to replace, 2 to remove"
    )


def test_a_replica_that_is_still_loading_is_waited_for() -> None:
    router, first, second = running(desired())
    loading = replace(second, health=Health.STARTING)
    world = observed(router, first, loading)
    world = replace(world, routes={router.id: frozenset({first.worker_url or ""})})

    plan = reconcile([desired()], world)

    assert str(plan).startswith("~ route chat#1: still starting\n")


def test_an_interrupted_replacement_is_continued_not_begun_again() -> None:
    wanted = desired(replicas=1, replica={"args": {"max_num_seqs": 16}})
    old, new = instance(replica()), instance(wanted.replica, health=Health.STARTING)
    router = instance(gateway())
    world = replace(observed(router, old, new), routes={router.id: frozenset({old.worker_url or ""})})

    plan = reconcile([wanted], world)

    assert len(plan.actions) == 1
    assert (plan.actions[0].new, plan.actions[0].old) == (new, old)
    assert "engine.max_num_seqs: 8 -> 16" in str(plan)


def test_what_was_replaced_goes_once_its_replacement_serves() -> None:
    wanted = desired(replicas=1, replica={"args": {}})
    old, new = instance(replica()), instance(wanted.replica)

    plan = reconcile([wanted], observed(instance(gateway()), old, new))

    assert str(plan).startswith(f"- remove chat#0: replaced by {new.name}\n")
    assert plan.actions[0].old == old


def test_duplicates_of_a_slot_are_removed_and_the_choice_does_not_depend_on_order() -> None:
    router, first, second = running(desired())
    twin = replace(first, id="twin", name=first.name + "x", health=Health.STARTING)

    plans = [
        reconcile([desired()], observed(*order))
        for order in ((router, first, second, twin), (twin, second, first, router))
    ]

    assert plans[0] == plans[1]
    assert [action.old for action in plans[0].actions] == [twin]


def test_a_fingerprint_hashed_otherwise_over_equal_settings_restarts_nothing() -> None:
    found = [replace(i, fingerprint="v0:feedfacefeedface") for i in running(desired())]

    assert reconcile([desired()], observed(*found)).exit_code == 0


def test_an_unhealthy_replica_is_reported_and_left_to_serve() -> None:
    router, first, second = running(desired())
    sick = replace(second, health=Health.UNHEALTHY, detail="Up 3 minutes (unhealthy)")

    plan = reconcile([desired()], observed(router, first, sick))

    assert plan.actions == ()
    assert (
        str(plan.notes[0]) == "chat: chat#1 is unhealthy: Up 3 minutes (unhealthy) (hint: see `enova logs chat#1`)"
    )


def test_a_runtime_that_cannot_be_looked_at_gets_no_action() -> None:
    world = replace(observed(), runtimes={"docker": Unknown("the Docker daemon did not answer")})

    plan = reconcile([desired()], world)

    assert plan.actions == ()
    assert plan.exit_code == 1
    assert str(plan) == "unknown: chat: the Docker daemon did not answer\nPlan: nothing will be done"


def test_routes_that_cannot_be_read_stop_their_service_and_no_other() -> None:
    chat, code = running(desired()), running(desired("code"))
    world = observed(*chat, *code[:-1])
    world = replace(world, routes={**world.routes, chat[0].id: Unknown("timed out")})

    plan = reconcile([desired(), desired("code")], world)

    assert {action.service for action in plan.actions} == {"code"}
    assert [str(note) for note in plan.unknowns] == ["chat: chat@gateway: timed out"]


def test_a_gateway_that_does_not_listen_is_waited_for() -> None:
    found = running(desired(replicas=1))
    world = replace(observed(*found), routes={found[0].id: None})

    plan = reconcile([desired(replicas=1)], world)

    assert [str(action) for action in plan.actions] == [
        "+ start chat@gateway: does not listen yet",
        "~ route chat#0: the gateway does not route to it",
    ]


def test_a_stranger_that_holds_a_needed_name_refuses_the_plan() -> None:
    name = instance(replica()).name

    plan = reconcile([desired(replicas=1)], observed(docker_foreign=frozenset({name})))

    assert plan.exit_code == 1
    assert f"the name {name} is taken by something Enova does not own" in str(plan)


def test_nothing_that_serves_is_stopped_for_a_replacement_whose_name_a_stranger_holds() -> None:
    wanted = desired(replicas=1, replica={"args": {}}, gateway={"port": 9200}, rollout={"surge": 0})
    names = {instance(wanted.replica).name, instance(wanted.gateway).name}

    plan = reconcile([wanted], observed(*running(desired(replicas=1)), docker_foreign=frozenset(names)))

    assert plan.actions == ()
    assert [str(note).split(" is taken")[0] for note in plan.refusals] == [
        f"chat: the name {instance(launch).name}" for launch in (wanted.gateway, wanted.replica)
    ]


def test_services_no_file_names_are_left_alone_unless_pruned() -> None:
    world = observed(*running(desired(), desired("old", replicas=1)))

    kept, pruned = reconcile([desired()], world), reconcile([desired()], world, prune=True)

    assert kept.actions == ()
    assert "old runs here and no given file names it; left alone" in str(kept)
    assert [str(action) for action in pruned.actions] == [
        "- remove old#0: no spec names this service",
        "- remove old@gateway: no spec names this service",
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (2, "s0, s1 run here and no given file names them; left alone (hint: --prune removes them)"),
        (7, "s0, s1, s2, s3, s4 and 2 more run here and no given file names them; left alone"),
    ],
)
def test_several_services_no_file_names_are_told_in_one_note(count: int, said: str) -> None:
    plan = reconcile([], observed(*running(*(desired(f"s{index}", replicas=1) for index in range(count)))))

    (note,) = plan.notes
    assert str(note).startswith(f"other services: {said}")


def test_a_suspended_service_is_left_as_it_is() -> None:
    plan = reconcile([desired(suspended=True)], observed())

    assert plan.actions == ()
    assert "suspended" in str(plan)


def test_removal_takes_replicas_down_before_the_gateway_that_drains_them() -> None:
    plan = removal(observed(*running(desired(), desired("code"))), ["chat"])

    assert [(action.target, action.wave) for action in plan.actions] == [
        ("chat#0", 0),
        ("chat#1", 0),
        ("chat@gateway", 1),
    ]


def test_no_gpu_goes_to_two_replicas() -> None:
    wanted = [desired(replica={"gpus": 2}), desired("code", replicas=1, replica={"gpus": 1})]

    plan = reconcile(wanted, replace(observed(), gpus=gpus(5)))

    given = [device for action in plan.actions if action.launch for device in action.launch.devices]
    assert sorted(given) == ["GPU-0", "GPU-1", "GPU-2", "GPU-3", "GPU-4"]


def test_gpus_of_stopped_replicas_stay_theirs() -> None:
    now = desired(replicas=1, replica={"gpus": 1})
    dead = instance(replica(gpus=1, devices=("GPU-0",)), state=State.EXITED)
    world = replace(observed(instance(gateway()), dead), gpus=gpus(1))

    plan = reconcile([now, desired("code", replicas=1, replica={"gpus": 1})], world)

    assert "code#0 needs 1 GPU; 0 of 1 on this host are free" in str(plan)
    assert [action.launch.devices for action in plan.actions if action.launch and action.target == "chat#0"] == [
        ("GPU-0",)
    ]


def test_a_gpu_a_stranger_computes_on_is_not_taken() -> None:
    busy = replace(gpus(1)[0], used_bytes=40 * 2**30)

    plan = reconcile([desired(replicas=1, replica={"gpus": 1})], replace(observed(), gpus=(busy,)))

    assert plan.exit_code == 1


def test_pinned_devices_and_types_are_kept_to() -> None:
    pinned = desired(replicas=1, replica={"gpus": 1}, device_ids=("2",))
    typed = desired("code", replicas=1, replica={"gpus": 1}, gpu_types=("L4",))
    host = (*gpus(3), *(replace(gpu, id="GPU-L", index=9, name="NVIDIA L40S") for gpu in gpus(1)))

    plan = reconcile([pinned, typed], replace(observed(), gpus=host))

    assert [a.launch.devices for a in plan.actions if a.launch and a.target == "chat#0"] == [("GPU-2",)]
    assert "code#0 needs 1 GPU (of type L4)" in str(plan)


def test_with_one_spare_gpu_replicas_are_replaced_one_after_the_other_without_interruption() -> None:
    found = [instance(gateway()), *(instance(replica(gpus=1, slot=i, devices=(f"GPU-{i}",))) for i in range(2))]
    wanted = desired(replica={"gpus": 1, "args": {}}, rollout={"surge": 2})

    plan = reconcile([wanted], replace(observed(*found), gpus=gpus(3)))

    assert [(a.wave, a.launch.devices, a.stop_first) for a in plan.actions if a.launch] == [
        (2, ("GPU-2",), False),
        (3, ("GPU-0",), False),
    ]


def test_with_no_spare_gpu_the_plan_says_what_it_interrupts() -> None:
    found = [instance(gateway()), instance(replica(gpus=1, devices=("GPU-0",)))]
    wanted = desired(replicas=1, replica={"gpus": 1, "args": {}})

    plan = reconcile([wanted], replace(observed(*found), gpus=gpus(1)))

    assert "[no spare GPU: no replica serves until the new one is ready]" in str(plan)
    assert plan.actions[0].stop_first


def test_a_host_without_gpus_is_told_apart_from_one_whose_gpus_cannot_be_read() -> None:
    wanted = [desired(replicas=1, replica={"gpus": 1})]

    none = reconcile(wanted, observed())
    unknown = reconcile(wanted, replace(observed(), gpus=Unknown("NVML: driver not loaded")))

    assert "chat#0 needs 1 GPU, this host has none (hint: with an image built for CPU" in str(none)
    assert unknown.actions == ()
    assert "unknown: chat: GPUs: NVML: driver not loaded" in str(unknown)


def test_more_gpus_than_the_budget_allows_are_refused() -> None:
    plan = reconcile([desired(replica={"gpus": 2}, max_gpus=3)], replace(observed(), gpus=gpus(8)))

    assert plan.actions == ()
    assert "needs 4 GPUs, the budget allows 3" in str(plan)


def test_a_service_that_moves_to_another_runtime_is_brought_up_before_it_is_taken_down() -> None:
    wanted = desired(replicas=1, replica={"runtime": "process"}, gateway={"runtime": "process"})

    plan = reconcile([wanted], observed(*running(desired(replicas=1))))

    moved = "settings changed; placement.runtime: docker -> process"
    assert [str(action) for action in plan.actions] == [
        f"± replace chat@gateway: {moved} [the endpoint is down for a moment]",
        f"± replace chat#0: {moved}",
    ]


def test_a_plan_does_not_depend_on_the_order_of_its_inputs() -> None:
    wanted = [desired(name) for name in ("b", "a", "c")]
    found = running(desired("a"), desired("c"))

    plans = [reconcile(wanted, observed(*found)), reconcile(wanted[::-1], observed(*found[::-1]))]

    assert plans[0] == plans[1]
    assert plans[0].checksum == plans[1].checksum


def test_the_checksum_moves_when_what_is_acted_on_moves() -> None:
    wanted = desired(replica={"args": {}})
    found = running(desired())
    again = [replace(i, id=i.id + "-recreated") for i in found]

    world = replace(observed(*again), routes={again[0].id: observed(*again).routes[again[0].id]})

    assert reconcile([wanted], observed(*found)).checksum != reconcile([wanted], world).checksum


def test_how_long_users_notice_is_said_where_it_is_known() -> None:
    old = desired(replicas=1)
    new = desired(replicas=1, replica={"args": {"max_num_seqs": 16}}, rollout={"surge": 0, "max_unavailable": 1})
    plan = reconcile([new], observed(*running(old)))

    assert [action.impact for action in plan.expecting({"chat": 95.0}).actions] == [
        "no replica serves until the new one is ready, about 2 min"
    ]
    assert plan.expecting({"chat": 2.0}).actions[0].impact.endswith(", about 2 s")
    assert plan.expecting({"code": 2.0}) == plan


TRIED = {"canary": Canary(share=0.25, duration_s=600)}
FOUR = desired(replicas=4, replica={"gpus": 1}, rollout=TRIED)
NEW = desired(replicas=4, replica={"gpus": 1, "args": {"max_num_seqs": 16}}, rollout=TRIED)


def on_gpus(service: Desired, *changed: Instance) -> list[Instance]:
    """Return all instances of a service, each replica on a GPU of its own, with some in other shape."""
    placed = [
        replace(one, devices=(f"GPU-{one.slot}",)) if one.role is Role.REPLICA else one for one in running(service)
    ]
    names = {one.name for one in changed}
    return [*(one for one in placed if one.name not in names), *changed]


def test_a_canary_is_judged_before_the_rest_follows() -> None:
    plan = reconcile([NEW], observed(*on_gpus(FOUR), gpus=gpus(8)))

    lines = [(action.wave, str(action).split(";")[0], action.held) for action in plan.actions]
    assert lines == [
        (2, "± replace chat#0: settings changed", True),
        (3, "? judge chat@canary: on trial: 1 of 4 replicas for 10m, beside 3 old", False),
        (4, "± replace chat#1: settings changed", False),
        (5, "± replace chat#2: settings changed", False),
        (6, "± replace chat#3: settings changed", False),
    ]
    (judge,) = (action for action in plan.actions if action.trials)
    assert [(trial.launch.target, trial.old.target) for trial in judge.trials] == [("chat#0", "chat#0")]
    assert plan.summary == "Plan: 0 to create, 4 to replace, 0 to remove, 1 to judge"


def test_the_gpu_of_what_a_canary_stands_in_for_is_given_to_nobody_else() -> None:
    plan = reconcile([NEW], observed(*on_gpus(FOUR), gpus=gpus(5)))

    first, second, *_ = (action.launch for action in plan.actions if action.launch)
    assert first.devices != ("GPU-0",)
    assert second.devices == ("GPU-1",), "there was no other: it is stopped first"


def trial_under_way(**changes: Any) -> list[Instance]:
    new = replace(running(NEW)[1], devices=("GPU-7",))
    old = next(one for one in on_gpus(FOUR) if one.target == "chat#0")
    return on_gpus(FOUR, new, replace(old, **({"state": State.EXITED, "url": None, "worker_url": None} | changes)))


def test_a_trial_that_was_broken_off_is_made_anew() -> None:
    plan = reconcile([NEW], observed(*trial_under_way(), gpus=gpus(8)))

    assert [str(action).split(":")[0] for action in plan.actions] == [
        "? judge chat@canary",
        "± replace chat#1",
        "± replace chat#2",
        "± replace chat#3",
    ]


def test_after_a_trial_the_rest_is_not_judged_again() -> None:
    judged = [one for one in trial_under_way() if one.state is State.RUNNING]

    plan = reconcile([NEW], observed(*judged, gpus=gpus(8)))

    assert [action.verb for action in plan.actions] == ["replace"] * 3


def test_a_rollback_in_mid_trial_needs_none() -> None:
    plan = reconcile([FOUR], observed(*trial_under_way(), gpus=gpus(8)))

    assert [str(action).split(";")[0] for action in plan.actions] == [
        "± replace chat#0: settings changed, its replacement is not serving yet"
    ]


def test_one_replica_alone_has_nothing_to_be_compared_with() -> None:
    canary = {"canary": Canary(share=0.25, duration_s=600)}
    now, wanted = desired(replicas=1), desired(replicas=1, replica={"args": {"max_num_seqs": 16}}, rollout=canary)

    plan = reconcile([wanted], observed(*running(now)))

    assert [action.verb for action in plan.actions] == ["replace"]
    assert [note.message for note in plan.notes] == ["1 replica: there is none to compare a canary with"]
