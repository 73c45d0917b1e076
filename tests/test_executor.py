"""Plans are carried out: what goes on, what ends early, and in which order things are done."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from enova.core.desired import Desired
from enova.core.launch import API_KEY, Launch, Role, SecretRef
from enova.core.observed import State
from enova.core.plan import Plan
from enova.core.reconcile import reconcile, removal
from enova.core.runtime import Report
from enova.errors import ApplyError
from enova.executor import Phase, Progress, Result, execute
from enova.observe import observe
from enova.testing import MemoryEngine, MemoryHost, MemoryRuntime, memory_world
from enova.world import World
from tests.staging import desired


def plan_for(world: World, *services: Desired) -> Plan:
    return reconcile(services, observe(world, needed={"docker"}, gpus=False))


def carry_out(
    host: MemoryHost, plan: Plan, stop: threading.Event | None = None, news: list[Progress] | None = None
) -> Result:
    gateways = [i for i in host.instances.values() if i.role is Role.GATEWAY and i.state is State.RUNNING]
    listener = (lambda _: None) if news is None else news.append
    return execute(plan, memory_world(host), gateways, listener, stop or threading.Event())


def applied(host: MemoryHost, *services: Desired) -> Result:
    return carry_out(host, plan_for(memory_world(host), *services))


def targets(actions: Sequence[object]) -> list[str]:
    return sorted(str(getattr(action, "target", action)) for action in actions)


def writes(host: MemoryHost, about: str) -> list[str]:
    return [write for write in host.writes if about in write]


def test_a_failed_action_ends_the_later_waves_of_its_service_and_no_others() -> None:
    host = MemoryHost(failing={"chat@gateway"})

    result = applied(host, desired("chat"), desired("code", gateway={"port": 9300}))

    assert [failure.action.target for failure in result.failures] == ["chat@gateway"]
    assert targets(result.skipped) == ["chat#0", "chat#1"]
    assert targets(result.done) == ["code#0", "code#1", "code@gateway"]
    assert writes(host, "chat#") == []


def test_actions_of_one_wave_do_not_end_each_other() -> None:
    result = applied(MemoryHost(failing={"chat#0"}), desired())

    assert [failure.action.target for failure in result.failures] == ["chat#0"]
    assert targets(result.done) == ["chat#1", "chat@gateway"]


def test_a_replica_that_generates_nothing_is_not_routed_to() -> None:
    host = MemoryHost(silent={"chat#0"})

    (failure,) = applied(host, desired(replicas=1)).failures

    assert failure.message.endswith("generated nothing\nit was stopped")
    assert writes(host, "route ") == []


def test_secrets_that_are_missing_stop_everything_before_it_begins_and_are_all_named() -> None:
    host = MemoryHost()
    service = desired(replica={"secrets": {"A": SecretRef(env="HUB"), "B": SecretRef(file="/run/b")}})

    with pytest.raises(ApplyError) as caught:
        applied(host, service, desired("code", gateway={"port": 9300}))

    assert caught.value.message == "chat: A: secret env HUB is not set\nchat: B: secret file /run/b is not set"
    assert host.writes == []


def test_what_only_goes_away_needs_no_secret() -> None:
    host = MemoryHost(secrets={"HUB": "x"})
    service = desired(replicas=1, replica={"secrets": {"A": SecretRef(env="HUB")}})
    applied(host, service)
    host.secrets.clear()

    result = carry_out(host, removal(observe(memory_world(host), needed=(), gpus=False), ["chat"]))

    assert (targets(result.done), host.instances) == (["chat#0", "chat@gateway"], {})


@dataclass(slots=True)
class Keyed(MemoryEngine):
    """Replicas that note the keys they are probed with."""

    keys: list[str | None] = field(default_factory=list)

    def probe(self, url: str, *, prompt: str, max_tokens: int, timeout_s: float, api_key: str | None) -> None:
        self.keys.append(api_key)


def test_a_replica_is_probed_with_the_key_it_was_started_with() -> None:
    host = MemoryHost(secrets={"CHAT_KEY": "k"})
    engine = Keyed(host)
    services = [
        desired(replicas=1, replica={"secrets": {API_KEY: SecretRef(env="CHAT_KEY")}}),
        desired("open", replicas=1, gateway={"port": 9300}),
    ]
    for service in services:
        world = replace(memory_world(host), engine=engine)
        execute(plan_for(world, service), world, [], lambda _: None, threading.Event())

    assert engine.keys == ["k", None]


@dataclass(slots=True)
class Noting(MemoryRuntime):
    """A runtime that notes the secrets instances are created with."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    def create(self, launch: Launch, secrets: Mapping[str, str], report: Report) -> str:
        self.secrets[launch.target] = dict(secrets)
        return MemoryRuntime.create(self, launch, secrets, report)


def test_what_comes_gets_its_secrets_also_when_something_of_its_slot_goes() -> None:
    host = MemoryHost(secrets={"HUB": "x"})
    for seqs in (1, 2):
        old = desired(replicas=1, replica={"args": {"max_num_seqs": seqs}}).replica
        name = MemoryRuntime(host, "docker").create(old, {}, lambda _: None)
        MemoryRuntime(host, "docker").start(name)
    runtime = Noting(host, "docker")
    world = replace(memory_world(host), runtimes={"docker": runtime})
    plan = plan_for(world, desired(replicas=1, replica={"secrets": {"A": SecretRef(env="HUB")}}))

    result = execute(plan, world, [], lambda _: None, threading.Event())

    assert targets(result.done) == ["chat#0", "chat#0", "chat@gateway"]
    assert runtime.secrets["chat#0"] == {"A": "x"}


def test_a_replica_is_taken_out_of_its_gateway_before_it_is_stopped() -> None:
    host = MemoryHost()
    applied(host, desired(replicas=1))
    host.writes.clear()

    applied(host, desired(replicas=1, replica={"args": {"max_num_seqs": 16}}))

    assert [write.split()[0] for write in host.writes] == [
        "create",
        "start",
        "route",
        "unroute",
        "stop",
        "remove",
    ]


def test_a_restarted_gateway_is_given_its_replicas_again() -> None:
    host = MemoryHost()
    applied(host, desired())
    world = memory_world(host)
    gateway = next(i for i in host.instances.values() if i.role is Role.GATEWAY)
    world.runtimes["docker"].stop(gateway.id, 0)

    result = applied(host, desired())

    (workers,) = host.routes.values()
    replicas = {i.worker_url for i in host.instances.values() if i.role is Role.REPLICA}
    assert (result.failures, workers) == ([], replicas)
    assert plan_for(world, desired()).actions == ()


def test_of_two_gateways_the_one_that_stays_is_routed_from() -> None:
    host = MemoryHost()
    for runtime in ("docker", "process"):
        world = memory_world(host)
        launch = desired(gateway={"runtime": runtime}).gateway
        world.runtimes[runtime].start(world.runtimes[runtime].create(launch, {}, lambda _: None))

    applied(host, desired(replicas=1))

    (workers,) = host.routes.values()
    assert len(workers) == 1
    assert [i.runtime for i in host.instances.values()] == ["docker", "docker"]


def test_news_tells_each_step_and_then_the_end() -> None:
    host = MemoryHost()
    news: list[Progress] = []
    carry_out(host, plan_for(memory_world(host), desired(replicas=1)), news=news)

    told = [(item.phase, item.detail) for item in news if item.action.target == "chat#0"]
    steps = [
        "create",
        f"creating {told[1][1].removeprefix('creating ')}",
        "start",
        "wait until ready",
        "probe",
        "route",
    ]
    assert told == [*((Phase.RUNNING, step) for step in steps), (Phase.DONE, "")]


def test_asked_to_stop_before_it_begins_it_begins_nothing() -> None:
    host, stop = MemoryHost(), threading.Event()
    stop.set()

    result = carry_out(host, plan_for(memory_world(host), desired()), stop)

    assert (result.done, result.failures, result.stopped, len(result.skipped)) == ([], [], [], 3)
    assert host.writes == []


def test_what_is_stopped_on_the_way_has_not_failed() -> None:
    class AfterFirstWrite(threading.Event):
        """Is set as soon as anything was done."""

        def is_set(self) -> bool:
            return bool(host.writes)

    host, news = MemoryHost(), list[Progress]()

    result = carry_out(host, plan_for(memory_world(host), desired()), AfterFirstWrite(), news)

    assert result.failures == []
    assert [(failure.action.target, failure.message) for failure in result.stopped] == [
        ("chat@gateway", "interrupted")
    ]
    assert targets(result.skipped) == ["chat#0", "chat#1"]
    assert [(item.phase, item.detail) for item in news if item.phase is not Phase.RUNNING] == [
        (Phase.STOPPED, ""),
        (Phase.SKIPPED, "interrupted"),
        (Phase.SKIPPED, "interrupted"),
    ]


class TestAReplacementThatFails:
    """What it was to replace serves on, and nothing of it is left."""

    OLD: ClassVar = {"image": "vllm/vllm-openai:old"}
    NEW: ClassVar = {"image": "vllm/vllm-openai:new"}

    def served(self, host: MemoryHost) -> list[str]:
        """Return the images of the replicas that are routed to."""
        routed = {url for urls in host.routes.values() for url in urls}
        return [str(i.image) for i in host.instances.values() if i.worker_url in routed]

    def test_it_is_removed_and_the_old_one_was_never_touched(self) -> None:
        host = MemoryHost()
        applied(host, desired(replicas=1, replica=self.OLD))
        host.failing.add("chat#0")
        host.writes.clear()

        (failure,) = applied(host, desired(replicas=1, replica=self.NEW)).failures

        assert failure.message.startswith("it exited with code 1 before it was ready\n    | chat#0 is exited")
        assert failure.message.endswith("\nthe old one serves on")
        assert failure.hint == "mend the spec; this is kept in `enova history chat`"
        assert host.writes == ["create chat#0", "start chat#0", "remove chat#0"]
        assert self.served(host) == [self.OLD["image"]]

    def test_one_that_ends_soon_after_it_is_ready_never_gets_traffic(self) -> None:
        host = MemoryHost(crashing={self.NEW["image"]: 10.0})
        applied(host, desired(replicas=1, replica=self.OLD))
        host.writes.clear()

        (failure,) = applied(host, desired(replicas=1, replica=self.NEW)).failures

        assert failure.message.startswith("it ended 10 s after it was ready (rollout.settle)")
        assert writes(host, "route ") == []
        assert self.served(host) == [self.OLD["image"]]

    def test_without_room_for_both_the_old_one_is_started_again(self) -> None:
        host = MemoryHost(crashing={self.NEW["image"]: 10.0})
        scarce = {"surge": 0, "max_unavailable": 1}
        applied(host, desired(replicas=1, replica=self.OLD, rollout=scarce))
        host.writes.clear()

        (failure,) = applied(host, desired(replicas=1, replica=self.NEW, rollout=scarce)).failures

        assert failure.message.endswith("\nthe old one was started again and serves")
        assert host.writes[-3:-1] == ["remove chat#0", "start chat#0"]
        assert self.served(host) == [self.OLD["image"]]

    def test_the_replicas_after_it_are_not_begun(self) -> None:
        host = MemoryHost(crashing={self.NEW["image"]: 10.0})
        applied(host, desired(replicas=3, replica=self.OLD))

        result = applied(host, desired(replicas=3, replica=self.NEW))

        assert targets(result.skipped) == ["chat#1", "chat#2"]
        assert self.served(host) == [self.OLD["image"]] * 3

    def test_a_gateway_that_does_not_come_up_gives_way_to_the_old_one_with_its_routes(self) -> None:
        host = MemoryHost()
        applied(host, desired(replicas=2))
        before = [set(urls) for urls in host.routes.values()]
        plan = plan_for(memory_world(host), desired(replicas=2, gateway={"args": {"policy": "random"}}))
        world = memory_world(host)
        runtime = FailsOnce(host, "docker", "chat@gateway")

        result = execute(
            plan,
            replace(world, runtimes={"docker": runtime}),
            [i for i in host.instances.values() if i.role is Role.GATEWAY],
            lambda _: None,
            threading.Event(),
        )

        assert [failure.action.target for failure in result.failures] == ["chat@gateway"]
        assert [set(urls) for urls in host.routes.values()] == before

    def test_one_that_replaces_nothing_is_stopped_and_its_log_kept(self) -> None:
        host = MemoryHost(silent={"chat#0"})

        (failure,) = applied(host, desired(replicas=1)).failures

        assert failure.message.endswith("generated nothing\nit was stopped")
        assert [i.state for i in host.instances.values() if i.role is Role.REPLICA] == [State.EXITED]


@dataclass(slots=True)
class FailsOnce(MemoryRuntime):
    """A runtime on which one target exits the first time it is started."""

    target: str = ""

    def start(self, instance_id: str) -> None:
        instance = self.get(instance_id)
        if instance is None or instance.target != self.target:
            MemoryRuntime.start(self, instance_id)
            return
        self.target = ""
        self.host.failing.add(instance.target)
        MemoryRuntime.start(self, instance_id)
        self.host.failing.discard(instance.target)


def test_a_replica_that_hangs_is_unrouted_stopped_and_started_again() -> None:
    host = MemoryHost()
    applied(host, desired(replicas=2))
    host.writes.clear()
    host.hung.add("chat#1")
    world = memory_world(host)
    hung = {i.id: "no answer for 15 s" for i in host.instances.values() if i.target == "chat#1"}
    plan = reconcile([desired(replicas=2)], observe(world, needed={"docker"}, gpus=False), hung=hung)

    result = carry_out(host, plan)

    assert [str(action) for action in result.done] == ["± restart chat#1: hangs: no answer for 15 s"]
    assert [write.split(" ")[0] for write in host.writes] == ["unroute", "stop", "start", "route"]
    assert plan_for(memory_world(host), desired(replicas=2)).actions == ()
