"""What must hold on real containers whatever the engine: emulated replicas, real router, real Docker."""

from __future__ import annotations

import random

import docker
import pytest

from tests.e2e.command import Enova, eventually
from tests.e2e.docker_tap import DockerTap
from tests.e2e.service import Service

pytestmark = pytest.mark.docker
ENGINE = ", image: 'enova/emulator:test'"


@pytest.fixture
def chat(enova: Enova) -> Service:
    return Service(enova, "e2e-docker", engine=ENGINE, runtime="docker")


def test_a_second_apply_makes_no_docker_write_call_at_all(enova: Enova, chat: Service) -> None:
    spec = chat.spec()
    enova.ok("apply", spec, "--yes")

    with DockerTap(enova.folder / "tap.sock") as tap:
        enova.environment["DOCKER_HOST"] = tap.url
        assert "In sync: nothing to do" in enova.ok("apply", spec, "--yes")

    assert tap.writes() == []
    assert any("/containers/json" in call for call in tap.calls), "the tap was bypassed"
    del enova.environment["DOCKER_HOST"]


def test_a_killed_container_is_missed_and_restored_and_a_stranger_left_alone(enova: Enova, chat: Service) -> None:
    client = docker.from_env()
    spec = chat.spec()
    enova.ok("apply", spec, "--yes")
    names = {instance["target"]: instance["name"] for instance in enova.instances(chat.name)}
    stranger = client.containers.run(
        "enova/emulator:test", ["acme/tiny"], name=f"enova-{chat.name}-1-stranger", detach=True
    )
    try:
        client.containers.get(names[f"{chat.name}#1"]).kill()

        plan = enova("plan", spec)
        assert plan.returncode == 2
        assert f"+ start {chat.name}#1: exited with code 137" in plan.stdout
        assert "1 to start" in plan.stdout
        enova.ok("apply", spec, "--yes")

        assert enova("plan", spec).returncode == 0
        enova.ok("delete", chat.name, "--yes")
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)
        client.close()


def test_a_stranger_with_a_needed_name_is_refused_and_left_alone(enova: Enova, chat: Service) -> None:
    client = docker.from_env()
    spec = chat.spec(replicas=1)
    enova.ok("apply", spec, "--yes")
    name = next(i["name"] for i in enova.instances(chat.name) if i["target"] == f"{chat.name}#0")
    enova.ok("delete", chat.name, "--yes")
    stranger = client.containers.create("enova/emulator:test", ["acme/tiny"], name=name)
    try:
        refused = enova("apply", spec, "--yes")

        assert refused.returncode == 1
        assert f"the name {name} is taken by something Enova does not own" in refused.stdout + refused.stderr
        assert client.containers.get(name).id == stranger.id
    finally:
        stranger.remove(force=True)
        client.close()


def test_the_gateway_finds_its_replicas_again_after_a_restart_without_enova(enova: Enova, chat: Service) -> None:
    enova.ok("apply", chat.spec(), "--yes")
    gateway = next(i["name"] for i in enova.instances(chat.name) if i["role"] == "gateway")
    client = docker.from_env()

    client.containers.get(gateway).restart(timeout=5)
    client.close()

    eventually(chat.answers, within_s=30, what="the restarted gateway answers")
    answers = [chat.answers() for _ in range(8)]
    assert answers == [True] * 8
    assert enova("plan", chat.spec()).returncode == 0


def test_apply_killed_at_any_moment_is_completed_by_the_next(enova: Enova, chat: Service) -> None:
    """Ten kills, spread over the time an apply takes, on the way up, through a replacement, and down again."""
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)
    for number in range(10):
        replicas = 1 + number % 2
        spec = chat.spec(max_num_seqs=8 + number % 3, replicas=replicas)
        enova.killed("apply", spec, "--yes", after_s=moments.uniform(0.3, 8.0))

        done = enova("apply", spec, "--yes")

        assert done.returncode == 0, f"seed {seed}, kill {number}: {done.stdout}{done.stderr}"
        assert enova("plan", spec).returncode == 0, f"seed {seed}, kill {number}"
        expected = {f"{chat.name}@gateway", *(f"{chat.name}#{slot}" for slot in range(replicas))}
        assert containers(chat.name) == expected, f"seed {seed}, kill {number}"


def containers(service: str) -> set[str]:
    """Return the targets of all containers named after a service; two of one target would be one too many."""
    client = docker.from_env()
    found = []
    for container in client.api.containers(all=True, filters={"name": f"enova-{service}-"}):
        slot = container["Names"][0].rsplit("-", 2)[1]
        found.append(f"{service}@gateway" if slot == "gateway" else f"{service}#{slot}")
    client.close()
    assert len(found) == len(set(found)), found
    return set(found)


def test_nothing_is_left_of_a_deleted_service(enova: Enova, chat: Service) -> None:
    enova.ok("apply", chat.spec(), "--yes")

    enova.ok("delete", chat.name, "--yes")

    assert containers(chat.name) == set()
