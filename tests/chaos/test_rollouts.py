"""Changes under load, good ones and bad ones: nobody who asks the endpoint may notice."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.chaos.load import Loads, assert_unnoticed
from tests.e2e.command import Enova
from tests.e2e.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def chat(enova: Enova) -> Service:
    return Service(enova, "chaos-chat")


def edited(chat: Service, *changes: tuple[str, str], replicas: int = 2, max_num_seqs: int = 8) -> str:
    """Write the spec with parts of its text replaced."""
    spec = chat.spec(replicas=replicas, max_num_seqs=max_num_seqs)
    text = Path(spec).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path(spec).write_text(text)
    return spec


def test_a_change_of_engine_arguments(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")

    with load(chat.url()) as seen:
        enova.ok("apply", edited(chat, ("settle: 0s", "settle: 2s"), max_num_seqs=16), "--yes")

    assert_unnoticed(seen)


def test_a_change_of_the_model(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")

    with load(chat.url()) as seen:
        enova.ok("apply", edited(chat, ("acme/tiny", "acme/tiny-2")), "--yes")

    assert_unnoticed(seen)


def test_fewer_replicas(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat, replicas=3), "--yes")

    with load(chat.url()) as seen:
        time.sleep(1)
        enova.ok("apply", edited(chat, replicas=1), "--yes")
        time.sleep(1)

    assert_unnoticed(seen)


def test_a_version_that_never_becomes_healthy(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")
    before = chat.pids()
    bad = edited(
        chat,
        ("kind: emulated", "kind: emulated, extra_args: {start_up: 600}"),
        ("settle", "ready_timeout: 5s, settle"),
    )

    with load(chat.url()) as seen:
        done = enova("apply", bad, "--yes")

    assert done.returncode == 1
    assert "it was not ready within 5 s (rollout.ready_timeout)" in done.stdout
    assert "the old one serves on" in done.stdout
    assert chat.pids() == before
    assert "Stalled: True (RolloutFailed)" in enova("status", bad).stdout
    assert_unnoticed(seen)


def test_a_version_that_crashes_after_ten_seconds(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")
    before = chat.pids()
    bad = edited(
        chat, ("kind: emulated", "kind: emulated, extra_args: {crash_after: 10}"), ("settle: 0s", "settle: 15s")
    )

    with load(chat.url()) as seen:
        done = enova("apply", bad, "--yes")

    assert done.returncode == 1
    assert "s after it was ready (rollout.settle)" in done.stdout
    assert "ends, as it was told to with --crash-after" in done.stdout
    assert chat.pids() == before
    assert_unnoticed(seen)


def test_a_bad_version_where_there_is_no_room_for_both(enova: Enova, chat: Service, load: Loads) -> None:
    scarce = ("rollout: {", "rollout: {surge: 0, max_unavailable: 1, ready_timeout: 3s, ")
    enova.ok("apply", edited(chat, scarce), "--yes")
    bad = edited(chat, scarce, ("kind: emulated", "kind: emulated, extra_args: {start_up: 600}"))

    with load(chat.url()) as seen:
        done = enova("apply", bad, "--yes")

    assert done.returncode == 1
    assert "the old one was started again and serves" in done.stdout
    assert enova("plan", edited(chat, scarce)).returncode == 0
    assert_unnoticed(seen)


def test_a_rollback(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")
    enova.ok("apply", edited(chat, max_num_seqs=16), "--yes")

    with load(chat.url()) as seen:
        enova.ok("rollback", chat.name, "--yes")

    assert enova("plan", edited(chat)).returncode == 0
    assert_unnoticed(seen)


def test_applies_that_are_killed_at_any_moment(enova: Enova, chat: Service, load: Loads) -> None:
    enova.ok("apply", edited(chat), "--yes")
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)

    with load(chat.url()) as seen:
        for number in range(5):
            spec = edited(chat, max_num_seqs=9 + number)
            enova.killed("apply", spec, "--yes", after_s=moments.uniform(0.5, 6.0))
        enova.ok("apply", spec, "--yes")

    assert enova("plan", spec).returncode == 0, f"seed {seed}"
    assert len(chat.pids()) == 3, f"seed {seed}"
    assert_unnoticed(seen)
