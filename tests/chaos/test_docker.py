"""The same on real Docker, with emulated engines and with real vLLM."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.chaos.daemon import Chat, Watch, put, settled
from tests.chaos.load import Loads, assert_unnoticed
from tests.e2e.command import Enova, eventually
from tests.e2e.docker_tap import DockerTap

pytestmark = pytest.mark.docker

KILLS = int(os.environ.get("ENOVA_CHAOS_DOCKER_KILLS", "2"))
"""How often the daemon is killed; 20 for the whole scenario."""
EACH_ALONE = os.environ.get("ENOVA_CHAOS_EACH") == "1"
"""Whether arguments, image and model of real vLLM change one after the other, or all at once."""
VLLM = Path(__file__).parents[2] / "specs" / "tiny-cpu.yaml"
SECOND_IMAGE = "enova/vllm-cpu:test-second"
UP_S = 240.0


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def chat(enova: Enova) -> Chat:
    chat = Chat(enova, "chaos-docker", runtime="docker", image="enova/emulator:test")
    chat.write()
    return chat


def containers(engine: docker.DockerClient, service: str) -> list[Container]:
    found: list[Container] = engine.containers.list(all=True, filters={"label": f"dev.enova.service={service}"})
    return found


def replica(engine: docker.DockerClient, chat: Chat, slot: int) -> Container:
    names = {one["target"]: one["name"] for one in chat.enova.instances(chat.name)}
    return engine.containers.get(names[f"{chat.name}#{slot}"])


def test_a_daemon_that_is_killed_at_any_moment(
    enova: Enova, chat: Chat, load: Loads, engine: docker.DockerClient
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    watch = Watch(enova, chat.folder)
    with settled(chat):
        pass

    with load(chat.url) as seen:
        for number in range(KILLS):
            chat.write(9 + number, chance.choice((2, 3)))
            watch.start()
            time.sleep(chance.uniform(0.5, 9.0))
            watch.kill()
        chat.write(120)
        with watch:
            watch.converges(within_s=UP_S)

    assert len(containers(engine, chat.name)) == 3, f"seed {seed}"
    assert_unnoticed(seen)


@pytest.mark.parametrize(
    ("fault", "settle", "why"),
    [
        ("start_up: 600", "0s", "it was not ready within 5 s"),
        ("crash_after: 4", "10s", "s after it was ready (rollout.settle)"),
    ],
)
def test_a_version_that_does_not_serve_is_taken_back(
    enova: Enova, chat: Chat, load: Loads, engine: docker.DockerClient, fault: str, settle: str, why: str
) -> None:
    with settled(chat) as watch, load(chat.url) as seen:
        before = {one.id for one in containers(engine, chat.name)}
        chat.write(8, 2, settle=settle, ready="5s", more=f", extra_args: {{{fault}}}")
        watch.says(why, within_s=UP_S)
        watch.says(f"{chat.name}: failed: ", within_s=UP_S)
        time.sleep(4)
        told = enova("status", chat.folder).stdout

    assert {one.id for one in containers(engine, chat.name)} == before
    assert watch.log.count(f"± replace {chat.name}#0") == 1
    assert f"{chat.name}: stalled: revision 1 stays" in told
    assert_unnoticed(seen)


def test_a_replica_that_is_killed_or_paused_is_back_without_a_hand(
    chat: Chat, load: Loads, engine: docker.DockerClient
) -> None:
    with settled(chat) as watch:
        with load(chat.url) as seen:
            killed = replica(engine, chat, 0)
            killed.kill()
            watch.says(f"{chat.name}#0: start done")
            watch.converges()
        paused = replica(engine, chat, 1)
        paused.pause()
        watch.says(f"± restart {chat.name}#1: hangs", within_s=UP_S)
        watch.says(f"{chat.name}#1: restart done", within_s=UP_S)
        watch.converges()

    assert seen.failures == []
    assert seen.answered > 10


def test_a_docker_engine_that_cannot_be_reached_changes_nothing(
    enova: Enova, chat: Chat, load: Loads, engine: docker.DockerClient
) -> None:
    path = enova.folder / "engine.sock"
    with DockerTap(path) as tap:
        enova.environment["DOCKER_HOST"] = tap.url
        watch = Watch(enova, chat.folder)
        watch.start()
        watch.says(f"{chat.name}: done", within_s=UP_S)
    before = {one.id for one in containers(engine, chat.name)}
    try:
        with load(chat.url) as seen:
            path.unlink()
            eventually(lambda: "could not look at docker" in status(enova), within_s=60, what="it says so")
            chat.write(16)
            time.sleep(5)
            assert {one.id for one in containers(engine, chat.name)} == before
            with DockerTap(path):
                watch.says("max_num_seqs: 8 -> 16")
                watch.converges(within_s=UP_S)
                watch.end()
    finally:
        watch.end()
        del enova.environment["DOCKER_HOST"]

    assert_unnoticed(seen)


def test_the_daemon_runs_from_its_image(enova: Enova, chat: Chat, engine: docker.DockerClient) -> None:
    daemon = engine.containers.run(
        "enova/daemon:test",
        ["watch", "/etc/enova/specs", "--listen", "none", "--interval", "1s"],
        detach=True,
        network_mode="host",
        volumes=[f"{chat.folder}:/etc/enova/specs:ro", "/var/run/docker.sock:/var/run/docker.sock"],
    )
    try:
        eventually(lambda: f"{chat.name}: done" in daemon.logs().decode(), within_s=UP_S, what="all is up")
        daemon.stop(timeout=30)
        daemon.reload()
        assert daemon.attrs["State"]["ExitCode"] == 0
        assert "ended: everything serves on" in daemon.logs().decode()
    finally:
        daemon.remove(force=True, v=True)

    assert {one.status for one in containers(engine, chat.name)} == {"running"}


def status(enova: Enova) -> str:
    return enova("status").stdout


@pytest.mark.vllm
def test_arguments_image_and_model_of_real_vllm_change_unnoticed(
    enova: Enova, load: Loads, engine: docker.DockerClient
) -> None:
    chat = Chat(enova, "chaos-vllm")
    models = VLLM.parents[1] / ".cache" / "models"
    second = enova.folder / "tiny-second"
    shutil.copytree(models / "tiny", second)
    assert engine.images.get("enova/vllm-cpu:test").tag(*SECOND_IMAGE.split(":"))
    text = VLLM.read_text()
    for old, new in (("tiny-cpu", chat.name), ("../.cache", str(models.parent)), ("9215", str(chat.port))):
        text = text.replace(old, new)
    put(chat.file, text)
    changes = [
        ("max_num_seqs: 8", "max_num_seqs: 4"),
        ("image: enova/vllm-cpu:test", f"image: {SECOND_IMAGE}"),
        (str(models / "tiny"), str(second)),
    ]
    with Watch(enova, chat.folder) as watch:
        watch.says(f"{chat.name}: done", within_s=UP_S)
        with load(chat.url) as seen:
            for change in [[one] for one in changes] if EACH_ALONE else [changes]:
                for old, new in change:
                    assert old in text
                    text = text.replace(old, new)
                put(chat.file, text)
                watch.converges(within_s=UP_S)

    running = containers(engine, chat.name)
    assert {one.attrs["Config"]["Image"] for one in running if "gateway" not in str(one.name)} == {SECOND_IMAGE}
    assert_unnoticed(seen)
