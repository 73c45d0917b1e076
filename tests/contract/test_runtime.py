"""What every runtime promises, stated once and held by all of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from enova.core.fingerprint import fingerprint, instance_name, settings
from enova.core.launch import Launch, SecretRef
from enova.core.observed import Instance, State
from enova.core.runtime import Runtime
from enova.errors import ApplyError, EnovaError
from tests.contract.benches import Bench, docker_bench, eventually, memory_bench, process_bench

DOCKER = pytest.param("docker", marks=pytest.mark.docker)
SECRET = "hunter2-do-not-tell"


@pytest.fixture(params=["memory", "process", DOCKER])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    benches = {"memory": memory_bench, "process": lambda: process_bench(tmp_path), "docker": docker_bench}
    with benches[request.param]() as bench:
        yield bench


@pytest.fixture
def runtime(bench: Bench) -> Runtime:
    return bench.open()


def create(runtime: Runtime, launch: Launch) -> str:
    return runtime.create(launch, {}, lambda line: None)


def run(bench: Bench, runtime: Runtime, launch: Launch) -> Instance:
    """Create, start, and wait until it answers."""
    instance_id = create(runtime, launch)
    runtime.start(instance_id)
    eventually(lambda: (url := found(runtime, instance_id).url) and bench.answers(url))
    return found(runtime, instance_id)


def found(runtime: Runtime, instance_id: str) -> Instance:
    instance = runtime.get(instance_id)
    assert instance is not None
    return instance


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_creating_twice_makes_one(bench: Bench, runtime: Runtime) -> None:
    first = create(runtime, bench.gateway())
    assert create(runtime, bench.gateway()) == first
    assert [i.id for i in bench.own(runtime)] == [first]


def test_what_was_created_is_not_running_yet(bench: Bench, runtime: Runtime) -> None:
    instance = found(runtime, create(runtime, bench.gateway()))
    assert (instance.state, instance.exit_code) == (State.CREATED, None)
    assert not (instance.url and bench.answers(instance.url))


def test_what_was_started_runs_and_answers_at_its_url(bench: Bench, runtime: Runtime) -> None:
    assert run(bench, runtime, bench.gateway()).state is State.RUNNING


def test_starting_what_runs_changes_nothing(bench: Bench, runtime: Runtime) -> None:
    before = run(bench, runtime, bench.gateway())
    runtime.start(before.id)
    assert found(runtime, before.id).url == before.url
    assert bench.answers(before.url or "")


def test_a_gateway_listens_on_the_port_it_was_given(bench: Bench, runtime: Runtime) -> None:
    if bench.runtime_name == "memory":
        assert run(bench, runtime, bench.gateway(port=9199)).settings["gateway.port"] == 9199
        return
    port = free_port()
    assert run(bench, runtime, bench.gateway(port)).url == f"http://127.0.0.1:{port}"


def test_getting_one_says_what_looking_at_all_says(bench: Bench, runtime: Runtime) -> None:
    for instance_id in (create(runtime, bench.gateway()), run(bench, runtime, bench.replica()).id):
        (seen,) = [i for i in bench.own(runtime) if i.id == instance_id]
        got = found(runtime, instance_id)
        # The age in words differs, and a list does not tell restarts.
        assert replace(got, detail="", restarts=None) == replace(seen, detail="", restarts=None)


def test_another_enova_sees_all_and_continues(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.gateway())
    other = bench.open()
    assert [i.id for i in bench.own(other)] == [instance.id]
    assert create(other, bench.gateway()) == instance.id
    other.stop(instance.id, 10)
    assert found(runtime, instance.id).state is State.EXITED


def test_what_it_was_made_from_is_recorded_on_it(bench: Bench, runtime: Runtime) -> None:
    launch = replace(bench.replica(slot=3), secrets={"TOKEN": SecretRef(env="MY_TOKEN")}, gpus=2)
    launch = launch.place(devices=("GPU-1", "GPU-2"))
    instance = found(runtime, runtime.create(launch, {"TOKEN": SECRET}, lambda line: None))
    assert (instance.name, instance.runtime) == (instance_name(launch), bench.runtime_name)
    assert (instance.service, instance.role, instance.slot) == (launch.service, launch.role, 3)
    assert (instance.fingerprint, instance.devices) == (fingerprint(launch), launch.devices)
    assert instance.settings == settings(launch)


def test_what_was_stopped_has_exited_and_its_log_is_kept(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.replica())
    runtime.stop(instance.id, 10)
    stopped = found(runtime, instance.id)
    assert stopped.state is State.EXITED
    assert stopped.exit_code in (0, None), "a runtime that cannot know the code says so"
    assert list(runtime.logs(instance.id, tail=None, follow=False))
    assert not bench.answers(instance.url or "")


def test_stopping_what_stopped_changes_nothing(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.gateway())
    runtime.stop(instance.id, 10)
    runtime.stop(instance.id, 10)
    assert found(runtime, instance.id).state is State.EXITED


def test_what_was_stopped_can_be_started_again(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.gateway())
    runtime.stop(instance.id, 10)
    assert run(bench, runtime, bench.gateway()).id == instance.id
    assert found(runtime, instance.id).exit_code is None


def test_what_was_removed_is_gone_and_removing_it_again_is_fine(bench: Bench, runtime: Runtime) -> None:
    instance_id = create(runtime, bench.gateway())
    runtime.remove(instance_id)
    runtime.remove(instance_id)
    assert runtime.get(instance_id) is None
    assert bench.own(runtime) == []


def test_removing_what_runs_ends_it(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.gateway())
    runtime.remove(instance.id)
    assert bench.own(runtime) == []
    assert not bench.answers(instance.url or "")


def test_what_is_gone_counts_as_stopped_and_cannot_be_started_or_read(bench: Bench, runtime: Runtime) -> None:
    instance_id = create(runtime, bench.gateway())
    runtime.remove(instance_id)
    runtime.stop(instance_id, 1)
    with pytest.raises(ApplyError):
        runtime.start(instance_id)
    with pytest.raises(EnovaError):
        list(runtime.logs(instance_id, tail=None, follow=False))


def test_a_log_can_be_read_from_its_last_lines(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.replica())
    runtime.stop(instance.id, 10)
    everything = list(runtime.logs(instance.id, tail=None, follow=False))
    assert list(runtime.logs(instance.id, tail=1, follow=False)) == everything[-1:]
    assert not any(line.endswith("\n") for line in everything)


def test_following_a_log_ends_when_the_instance_does(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.replica())
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(runtime.logs(instance.id, tail=None, follow=True)))
    reader.start()
    runtime.stop(instance.id, 10)
    reader.join(10)
    assert not reader.is_alive()
    assert lines


def test_two_slots_of_a_service_run_side_by_side(bench: Bench, runtime: Runtime) -> None:
    both = [run(bench, runtime, bench.replica(slot)) for slot in (0, 1)]
    assert [i.slot for i in sorted(bench.own(runtime), key=lambda i: i.slot)] == [0, 1]
    assert len({i.url for i in both}) == len({i.worker_url for i in both}) == 2
    assert all(bench.answers(i.url or "") for i in both)


def test_a_secret_reaches_the_program_and_is_seen_nowhere_else(bench: Bench, runtime: Runtime) -> None:
    launch = replace(bench.replica(), secrets={"VLLM_API_KEY": SecretRef(env="KEY")})
    instance_id = runtime.create(launch, {"VLLM_API_KEY": SECRET}, lambda line: None)
    runtime.start(instance_id)
    eventually(lambda: (url := found(runtime, instance_id).url) and bench.answers(url))
    shown = [repr(runtime.look()), bench.readable(), *runtime.logs(instance_id, tail=None, follow=False)]
    assert not any(SECRET in text for text in shown)
    if bench.runtime_name != "memory":
        models = f"{found(runtime, instance_id).url}/v1/models"
        assert httpx.get(models).status_code == 401
        assert httpx.get(models, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200


def test_routes_can_be_remembered_for_a_gateway(bench: Bench, runtime: Runtime) -> None:
    instance = run(bench, runtime, bench.gateway())
    runtime.remember_routes(instance.id, frozenset({"http://one:8000"}))
    runtime.remember_routes(instance.id, frozenset())
    assert bench.answers(instance.url or "")


def test_what_ends_by_another_hand_is_told(bench: Bench, runtime: Runtime) -> None:
    going, staying = (run(bench, runtime, bench.replica(slot)) for slot in (0, 1))
    told: list[str] = []
    over, follows = threading.Event(), threading.Event()

    def stopped() -> bool:
        follows.set()
        return over.is_set()

    def follow() -> None:
        for name in bench.open().endings(stopped):
            told.append(name)  # noqa: PERF402 - others look at it meanwhile

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        assert follows.wait(30)
        bench.open().stop(going.id, 5)
        eventually(lambda: going.name in told)
    finally:
        over.set()
        follower.join(30)

    assert not follower.is_alive()
    assert staying.name not in told


def test_endings_are_not_followed_once_that_is_over(runtime: Runtime) -> None:
    assert list(runtime.endings(lambda: True)) == []
