"""Whatever is wanted and whatever is found: apply, look again, and there is nothing left to do."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enova.core.desired import Desired
from enova.core.fingerprint import instance_name
from enova.core.launch import Launch, Role
from enova.core.lockfile import Entry, Lock, lock_in, lock_text
from enova.core.observed import Health, State
from enova.core.plan import Plan
from enova.core.reconcile import reconcile
from enova.core.spec import Service
from enova.executor import execute
from enova.observe import observe
from enova.testing import MemoryHost, memory_world
from enova.tick import Tick, apply
from enova.tick import plan as tick_plan
from tests.core.recommend.asking import MIDDLE, SMALL, traffic
from tests.core.recommend.asking import service as written
from tests.knowing import Known
from tests.staging import desired, gpus, instance

SERVICES = ("chat", "code")

wanted_services = st.builds(
    lambda name, replicas, seqs, port, gpu, surge, runtime: desired(
        name,
        replicas,
        replica={"args": {"max_num_seqs": seqs}, "gpus": gpu, "runtime": runtime},
        gateway={"port": port, "runtime": runtime},
        rollout={"surge": surge},
    ),
    st.sampled_from(SERVICES),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(9199, 9200),
    st.integers(0, 1),
    st.integers(0, 2),
    st.sampled_from(["docker", "process"]),
)
worlds = st.lists(wanted_services, max_size=2, unique_by=lambda service: service.service)


@st.composite
def hosts(draw: st.DrawFn) -> MemoryHost:
    """A host on which earlier applies of anything were stopped anywhere."""
    host = MemoryHost(gpus=gpus(16))
    free = [gpu.id for gpu in gpus(16)]
    for service in draw(st.lists(wanted_services, max_size=3)):
        launches = [service.gateway, *(service.replica.place(slot=slot) for slot in range(service.replicas))]
        for launch in launches:
            if not draw(st.booleans()):
                continue
            placed = launch.place(devices=tuple(free.pop() for _ in range(launch.gpus)))
            stage(host, placed, draw(st.sampled_from(State)))
    for url in host.routes:
        host.routes[url] = set(draw(st.lists(st.sampled_from(workers(host)), max_size=3)))
    return host


def workers(host: MemoryHost) -> list[str]:
    live = [i.worker_url for i in host.instances.values() if i.worker_url and i.role is Role.REPLICA]
    return [*live, "memory://long-gone"]


def stage(host: MemoryHost, launch: Launch, state: State) -> None:
    name = instance_name(launch)
    if (launch.runtime, name) in host.instances:
        return
    url = f"memory://{launch.runtime}/{name}" if state is State.RUNNING else None
    health = Health.HEALTHY if url else Health.UNKNOWN
    host.instances[launch.runtime, name] = instance(launch, state=state, url=url, worker_url=url, health=health)
    if url and launch.role is Role.GATEWAY:
        host.routes[url] = set()


def plan_on(host: MemoryHost, wanted: list[Desired]) -> Plan:
    world = memory_world(host)
    return reconcile(wanted, observe(world, needed={"docker", "process"}, gpus=True))


def apply_on(host: MemoryHost, plan: Plan, stop: threading.Event) -> list[str]:
    world = memory_world(host)
    running = [i for i in host.instances.values() if i.role is Role.GATEWAY and i.state is State.RUNNING]
    return [failure.message for failure in execute(plan, world, running, lambda _: None, stop).failures]


@settings(deadline=None, max_examples=150)
@given(hosts(), worlds)
def test_after_apply_there_is_nothing_left_to_do(host: MemoryHost, wanted: list[Desired]) -> None:
    plan = plan_on(host, wanted)

    assert apply_on(host, plan, threading.Event()) == []
    again = plan_on(host, wanted)
    assert again.actions == (), f"{plan}\n--- and then\n{again}"


@settings(deadline=None, max_examples=100)
@given(hosts(), worlds, st.integers(0, 12))
def test_an_apply_that_stops_anywhere_is_completed_by_the_next(
    host: MemoryHost, wanted: list[Desired], survives: int
) -> None:
    class StopAfter(threading.Event):
        """Is set once it has been asked `survives` times."""

        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > survives

    apply_on(host, plan_on(host, wanted), StopAfter())

    assert apply_on(host, plan_on(host, wanted), threading.Event()) == []
    assert plan_on(host, wanted).actions == ()
    for service in wanted:
        assert_exactly(host, service)


def assert_exactly(host: MemoryHost, service: Desired) -> None:
    """No orphan, no duplicate: the instances of the service are those wanted and all of them run."""
    found = [i for i in host.instances.values() if i.service == service.service]
    expected = [service.gateway, *(service.replica.place(slot=slot) for slot in range(service.replicas))]
    assert sorted(i.name for i in found) == sorted(instance_name(launch) for launch in expected)
    assert {i.state for i in found} == {State.RUNNING}
    held = [device for i in host.instances.values() for device in i.devices]
    assert len(held) == len(set(held))


@settings(deadline=None, max_examples=50)
@given(hosts(), worlds)
def test_a_second_apply_writes_nothing(host: MemoryHost, wanted: list[Desired]) -> None:
    apply_on(host, plan_on(host, wanted), threading.Event())
    host.writes.clear()

    apply_on(host, plan_on(host, wanted), threading.Event())

    assert host.writes == []


class TestWithChoices:
    """The same where specs leave things open, and what was chosen is kept in a lock."""

    @pytest.mark.usefixtures("few_requests")
    @settings(
        deadline=None,
        max_examples=6,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        hosts(),
        st.lists(
            st.builds(
                lambda name, model, rate, ms, engine, scaling, port: written(
                    metadata={"name": name},
                    model=model,
                    injection=traffic(rate),
                    slo={"tpot": {"p95": f"{ms}ms"}},
                    engine=engine,
                    scaling=scaling,
                    gateway={"port": port},
                ),
                st.sampled_from(SERVICES),
                st.sampled_from([SMALL, MIDDLE, "org/unknown"]),
                st.sampled_from([2, 60, 120]),
                st.sampled_from([60, 8]),
                st.sampled_from([{}, {"max_num_seqs": 64}, {"may_quantize": ["weights"]}]),
                st.sampled_from([{}, {"min": 2}]),
                st.sampled_from([9199, 9200]),
            ),
            max_size=2,
            unique_by=(lambda service: service.name, lambda service: service.gateway.port),
        ),
    )
    def test_after_apply_there_is_nothing_left_to_do_and_nothing_to_choose(
        self, host: MemoryHost, wanted: list[Service]
    ) -> None:
        known, lock = Known(), dict[str, Entry]()
        tick = tick_on(host, wanted, known, lock)
        if tick.plan.refusals:
            return
        assert apply(tick, memory_world(host), lambda _: None, threading.Event()).failures == []
        lock |= lock_in(lock_text(chosen_in(tick)), "enova.lock")
        known.asked.clear()

        again = tick_on(host, wanted, known, lock)

        assert again.plan.actions == (), f"{tick.plan}\n--- and then\n{again.plan}"
        assert [outlook.now for outlook in again.outlooks] == [outlook.after for outlook in again.outlooks]
        assert chosen_in(again) == lock
        assert {model for model, _ in known.asked} <= {"org/unknown"}


def tick_on(host: MemoryHost, wanted: list[Service], known: Known, lock: Lock) -> Tick:
    return tick_plan(wanted, memory_world(host), known.knowledge(), lock=lock)


def chosen_in(tick: Tick) -> dict[str, Entry]:
    return {name: one.entry for name, one in tick.advice.items() if one.entry is not None}
