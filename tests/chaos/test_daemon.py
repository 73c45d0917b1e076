"""`enova watch` under load, killed, blinded and doubled: nobody who asks the endpoint may notice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.daemon import Chat, Watch, assert_nothing_left_over, settled
from tests.chaos.load import Loads, assert_unnoticed
from tests.e2e.command import Enova, eventually

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ENOVA_CHAOS_KILLS", "12"))
"""How often the daemon is killed; 200 for the whole scenario."""

BAD = ", extra_args: {start_up: 600}"


@pytest.fixture
def chat(enova: Enova) -> Chat:
    chat = Chat(enova)
    chat.write()
    return chat


def fill(file: Path) -> None:
    """Write until there is no room left beside it."""
    with file.open("wb", buffering=0) as rest, suppress(OSError):
        while rest.write(b"x" * 1024):
            pass


def test_changes_of_the_specs_are_rolled_out(enova: Enova, chat: Chat, load: Loads) -> None:
    with settled(chat) as watch, load(chat.url) as seen:
        chat.write(16)
        watch.says("max_num_seqs: 8 -> 16")
        watch.converges()
        chat.write(16, 3)
        watch.converges()
        chat.write(16, 1)
        watch.converges()

    assert_unnoticed(seen)
    assert_nothing_left_over(enova, chat.name)


def test_a_version_that_never_becomes_healthy_is_not_tried_twice(enova: Enova, chat: Chat, load: Loads) -> None:
    with settled(chat) as watch, load(chat.url) as seen:
        before = chat.pids()
        chat.write(8, 2, ready="4s", more=BAD)
        watch.says("watched: failed: it was not ready within 4 s")
        time.sleep(8)
        status = enova("status", chat.folder).stdout

    assert watch.log.count("± replace watched#0") == 1
    assert chat.pids() == before
    assert "watched: stalled: revision 1 stays; watched#0: it was not ready within 4 s" in status
    assert_unnoticed(seen)


def test_a_daemon_that_is_killed_at_any_moment(enova: Enova, chat: Chat, load: Loads) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    watch = Watch(enova, chat.folder)
    with settled(chat):
        pass

    with load(chat.url) as seen:
        for number in range(KILLS):
            if chance.random() < 0.25:
                chat.write(9 + number % 90, chance.choice((2, 3)), ready="2s", more=BAD)
            else:
                chat.write(9 + number % 90, chance.choice((2, 3)))
            watch.start()
            time.sleep(chance.uniform(0.3, 5.0))
            watch.kill()
        chat.write(120)
        with watch:
            watch.converges()

    assert_nothing_left_over(enova, chat.name)
    assert len(chat.pids()) == 3, f"seed {seed}"
    assert (seen.failures, seen.cut) == ([], []), f"seed {seed}\n{watch.log}"
    assert_unnoticed(seen)


def test_a_daemon_that_is_asked_to_end_finishes_its_step_and_leaves_all_serving(
    enova: Enova, chat: Chat, load: Loads
) -> None:
    with settled(chat) as watch, load(chat.url) as seen:
        chat.write(16, settle="3s")
        watch.says("2 to do")
        time.sleep(1)
        assert watch.end() == 0
        revisions = json.loads(enova.ok("history", chat.name, "-o", "json"))["revisions"]

    assert "watched#0: replace done" in watch.log
    assert "watched#1: replace skipped" in watch.log
    assert [one["ending"] for one in revisions] == ["applied", "stopped"]
    assert_unnoticed(seen)


def test_a_replica_that_is_killed_is_back_without_a_hand(enova: Enova, chat: Chat, load: Loads) -> None:
    with settled(chat) as watch, load(chat.url) as seen:
        for replica in ("watched#0", "watched#1"):
            time.sleep(2)
            os.kill(chat.pids()[replica], signal.SIGKILL)
            watch.says(f"{replica}: start done")
        watch.converges()

    # Streams that had begun are gone with it; what had not is answered by another.
    assert seen.failures == []
    assert seen.answered > 10
    assert_nothing_left_over(enova, chat.name)


def test_a_replica_that_hangs_is_taken_out_and_restarted(enova: Enova, chat: Chat) -> None:
    with settled(chat) as watch:
        hung = chat.pids()["watched#0"]
        os.kill(hung, signal.SIGSTOP)
        watch.says("± restart watched#0: hangs: it runs and has answered no health check for")
        watch.says("watched#0: restart done")
        watch.converges()

    assert chat.pids()["watched#0"] != hung
    assert_nothing_left_over(enova, chat.name)


def test_specs_that_are_removed_and_restored_change_nothing(enova: Enova, chat: Chat, load: Loads) -> None:
    with settled(chat, "--prune") as watch, load(chat.url) as seen:
        before = chat.pids()
        away = Path(f"{chat.folder}-away")
        shutil.move(chat.folder, away)
        watch.says("is not there")
        shutil.move(away, chat.folder)
        watch.says("no longer: ")
        chat.file.rename(chat.file.with_suffix(".off"))
        watch.says("no spec is left of watched: nothing is removed")
        chat.file.with_suffix(".off").rename(chat.file)
        watch.says("no longer: no spec is left of watched")

        assert chat.pids() == before
        chat.write(16)
        watch.converges()

    assert_unnoticed(seen)


def test_a_full_disk_stops_neither_the_loop_nor_a_rollout(enova: Enova, chat: Chat, load: Loads) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system to be filled")
    small = enova.folder / "small"
    small.mkdir()
    history = enova.folder / "state" / "history.db"
    with settled(chat):
        pass
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], check=True)
    try:
        shutil.move(history, small / history.name)
        history.symlink_to(small / history.name)
        fill(small / "rest")
        with Watch(enova, chat.folder) as watch, load(chat.url) as seen:
            chat.write(16)
            watch.says("watched: done")
            watch.says("this is not kept in the history")
            watch.converges()
            chat.write(8, 2, ready="3s", more=BAD)
            watch.says("watched: failed: it was not ready within 3 s")
            time.sleep(8)
            assert watch.log.count("it was not ready within 3 s") == watch.log.count("watched: failed") * 2
            (small / "rest").unlink()
            chat.write(32)
            watch.converges()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)

    assert_unnoticed(seen)


def test_a_replica_whose_metrics_are_slow_or_nonsense_is_left_alone_and_can_be_replaced(
    enova: Enova, chat: Chat, load: Loads
) -> None:
    chat.write(8, 2, more=", extra_args: {metrics_delay: 30}")
    with settled(chat) as watch:
        before = chat.pids()
        with load(chat.url) as seen:
            time.sleep(5)
            assert chat.pids() == before
            chat.write(8, 2, more=", extra_args: {metrics_garbage: true}")
            watch.converges()
            chat.write()
            watch.converges()

    assert_unnoticed(seen)


def test_of_two_daemons_one_acts_and_the_other_takes_over(enova: Enova, chat: Chat, load: Loads) -> None:
    with settled(chat) as first, load(chat.url) as seen, Watch(enova, chat.folder) as second:
        second.says(f"waiting to take over: enova watch {chat.folder} (pid {first.pid} on ")
        chat.write(16)
        first.converges()
        assert "to do" not in second.log
        first.kill()
        second.says("keeping ", within_s=10)
        chat.write(32)
        second.says("max_num_seqs: 16 -> 32")
        second.converges()

    assert_unnoticed(seen)
    assert_nothing_left_over(enova, chat.name)


def test_a_git_remote_that_cannot_be_reached_for_a_while(enova: Enova, chat: Chat, load: Loads) -> None:
    work, remote = Path(chat.folder), enova.folder / "remote.git"

    def git(*words: str) -> None:
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", work, *identity, *words], check=True, capture_output=True)

    def push() -> None:
        git("add", "-A")
        git("commit", "-qm", "Change the chat")
        git("push", "-q", "origin", "HEAD:refs/heads/main")

    subprocess.run(["git", "init", "-q", "--bare", remote], check=True)
    git("init", "-q")
    git("remote", "add", "origin", str(remote))
    push()
    with Watch(enova, f"git+file://{remote}#main", "--poll", "1s") as watch:
        watch.says("watched: done")
        with load(chat.url) as seen:
            remote.rename(enova.folder / "away.git")
            watch.says("git+file://")
            watch.says("remote.git")
            (enova.folder / "away.git").rename(remote)
            watch.says("no longer: git+file://")
            chat.write(16)
            push()
            watch.says("max_num_seqs: 8 -> 16")
            watch.says("watched: done\n")
            eventually(lambda: watch.log.count("watched: done") == 2, within_s=60, what="rolled out")
    shown = enova.ok("history", chat.name, "-o", "json")

    assert_unnoticed(seen)
    assert "Change the chat" in json.loads(shown)["revisions"][-1]["git_revision"]


def test_a_canary_that_does_as_well_is_followed_by_the_rest(enova: Enova, chat: Chat, load: Loads) -> None:
    chat.write(8, 3)
    with settled(chat) as watch, load(chat.url) as seen:
        chat.write(16, 3, canary=", canary: {share: 30%, duration: 5s}")
        watch.says("? judge watched@canary: on trial: 1 of 3 replicas for 5s, beside 2 old")
        watch.converges()

    assert "watched@canary: judge done" in watch.log
    assert_unnoticed(seen)
    assert_nothing_left_over(enova, chat.name)


def test_a_canary_that_is_slower_is_taken_back(enova: Enova, chat: Chat, load: Loads) -> None:
    chat.write(8, 3)
    with settled(chat) as watch, load(chat.url) as seen:
        chat.write(8, 3, more=", extra_args: {speed: 0.2}", canary=", canary: {share: 30%, duration: 5s}")
        watch.says("watched: failed: the canary does worse than what it was to replace")
        time.sleep(3)
        status = enova("status", chat.folder).stdout

    assert watch.log.count("± replace watched#0") == 1
    assert "itl mean is " in status
    assert "watched: stalled: revision 1 stays" in status
    assert_unnoticed(seen)
    assert_nothing_left_over(enova, chat.name)
