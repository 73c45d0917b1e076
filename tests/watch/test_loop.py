"""The daemon keeps what runs as the specs say, whatever happens to either."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from enova.adapters.lock import exclusive
from enova.core.launch import Role
from enova.core.metrics.target import Page
from enova.core.observed import Health, State, Unknown
from enova.core.revision import Cause
from enova.watch.live import Live
from tests.watch.watching import Watched

NEW = '{image: "vllm/vllm-openai:v0.33.0"}'
OLD_IMAGE = "vllm/vllm-openai:v0.32.0"
NEW_IMAGE = "vllm/vllm-openai:v0.33.0"


def old(watched: Watched) -> None:
    watched.write(engine=f'{{image: "{OLD_IMAGE}"}}')


def new(watched: Watched, **sections: str) -> None:
    watched.write(engine=f'{{image: "{NEW_IMAGE}"}}', **sections)


def two(image: str | None = OLD_IMAGE) -> dict[str, str | None]:
    return {"chat#0": image, "chat#1": image}


def test_what_is_written_is_applied_and_kept_with_where_it_is_from(watched: Watched) -> None:
    old(watched)

    report = watched.settle()

    assert watched.served() == two()
    assert report.in_sync
    (revision,) = watched.revisions()
    assert (revision.command, revision.source) == ("enova watch", str(watched.specs / "chat.yaml"))
    assert watched.said[-1] == "chat: done"


def test_a_second_look_changes_nothing(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.writes.clear()

    watched.restart()
    watched.settle()

    assert watched.host.writes == []
    assert watched.endings() == ["change applied"]


def test_a_change_is_rolled_out(watched: Watched) -> None:
    old(watched)
    watched.settle()
    new(watched)

    watched.settle()

    assert watched.served() == two(NEW_IMAGE)
    assert watched.endings() == ["change applied", "change applied"]


def test_what_was_stopped_or_removed_by_hand_is_repaired_and_recorded(watched: Watched) -> None:
    old(watched)
    watched.settle()
    first, second = [key for key, i in watched.host.instances.items() if i.role is Role.REPLICA]
    watched.host.instances[first] = replace(watched.host.instances[first], state=State.EXITED, url=None)
    del watched.host.instances[second]

    watched.settle()

    assert watched.served() == two()
    assert watched.endings()[0] == "change applied"
    assert set(watched.endings()[1:]) == {"repair applied"}


def test_what_is_suspended_is_left_as_it_is(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.write(engine=f'{{image: "{OLD_IMAGE}"}}', suspend="true")
    key = next(key for key, i in watched.host.instances.items() if i.role is Role.REPLICA)
    del watched.host.instances[key]

    watched.settle()

    assert len(watched.served()) == 1


def test_a_version_that_does_not_serve_is_taken_back_and_not_tried_again(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.crashing[NEW_IMAGE] = 1.0
    new(watched, rollout="{settle: 5s}")

    watched.settle()
    tries = len([write for write in watched.host.writes if write.startswith("create chat#")])
    for _ in range(5):
        watched.host.time_s += 1000
        report = watched.settle()

    assert watched.served() == two()
    assert watched.endings() == ["change applied", "change failed"]
    assert len([write for write in watched.host.writes if write.startswith("create chat#")]) == tries
    assert report.services["chat"].in_force == "stalled"
    assert "revision 1 stays; chat#0: it ended" in report.services["chat"].reason


def test_a_stalled_version_is_stalled_for_the_next_daemon_too_until_it_changes(
    watched: Watched,
) -> None:
    old(watched)
    watched.settle()
    watched.host.crashing[NEW_IMAGE] = 1.0
    new(watched, rollout="{settle: 5s}")
    watched.settle()
    watched.host.crashing.clear()

    watched.restart()
    watched.settle()
    assert watched.served() == two()

    new(watched)
    watched.settle()
    assert watched.served() == two(NEW_IMAGE)


def test_drift_of_what_stands_in_for_a_stalled_version_is_repaired(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.crashing[NEW_IMAGE] = 1.0
    new(watched, rollout="{settle: 5s}")
    watched.settle()
    key = next(key for key, i in watched.host.instances.items() if i.role is Role.REPLICA)
    del watched.host.instances[key]

    for _ in range(3):
        watched.settle()

    assert watched.served() == two()
    assert watched.endings()[:2] == ["change applied", "change failed"]
    assert set(watched.endings()[2:]) == {"repair applied"}


def test_the_first_version_ever_that_does_not_serve_is_left_as_it_is(watched: Watched) -> None:
    watched.host.silent = {"chat#0", "chat#1"}
    old(watched)

    watched.settle()
    watched.host.writes.clear()
    watched.host.time_s += 1000
    report = watched.settle()

    assert watched.host.writes == []
    assert report.services["chat"].in_force == "stalled"
    assert report.services["chat"].reason.startswith("it is left as it is; chat#0: ")


def test_what_something_else_hinders_is_tried_again_after_a_pause(watched: Watched) -> None:
    watched.write(engine=f'{{image: "{OLD_IMAGE}", secrets: {{KEY: {{env: CHAT_KEY}}}}}}')

    report = watched.settle()
    assert "secret env CHAT_KEY is not set" in report.services["chat"].waits
    assert "again in " in report.services["chat"].waits
    watched.host.secrets["CHAT_KEY"] = "x"
    watched.settle()
    assert watched.served() == {}

    watched.host.time_s += 10
    watched.settle()

    assert watched.served() == two()


def test_a_broken_spec_leaves_its_service_as_it_was_and_blocks_no_other(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.break_()
    watched.write("code", gateway="{port: 9300}")
    key = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
    del watched.host.instances[key]

    report = watched.settle()

    assert set(watched.served()) == {"chat#0", "chat#1", "code#0", "code#1"}
    assert report.services["chat"].in_force == "last good"
    assert report.problems[0].startswith(str(watched.specs / "chat.yaml"))


def test_the_last_good_copy_is_known_to_the_next_daemon(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.break_()
    watched.restart()
    key = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
    del watched.host.instances[key]

    report = watched.settle()

    assert watched.served() == two()
    assert report.services["chat"].in_force == "last good"


def test_a_damaged_lock_leaves_its_services_as_they_were(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.writes.clear()
    (watched.specs / "enova.lock").write_text("damaged: [")
    new(watched)

    report = watched.settle()

    assert watched.host.writes == []
    assert report.services["chat"].in_force == "last good"
    assert any("enova.lock" in problem for problem in report.problems)


def test_without_prune_what_no_file_names_is_left_and_told(watched: Watched) -> None:
    old(watched)
    watched.write("code", gateway="{port: 9300}")
    watched.settle()
    (watched.specs / "code.yaml").unlink()

    report = watched.settle()

    assert len(watched.served()) == 4
    assert report.services["code"].in_force == "gone"
    assert "--prune" in report.services["code"].reason


def test_with_prune_what_no_file_names_is_removed(tmp_path: Path) -> None:
    watched = Watched(tmp_path, prune=True)
    old(watched)
    watched.write("code", gateway="{port: 9300}")
    watched.settle()
    (watched.specs / "code.yaml").unlink()

    watched.settle()
    report = watched.settle()

    assert watched.served() == two()
    assert watched.endings("code") == ["change applied", "removal applied"]
    assert report.in_sync


def test_services_that_another_hand_applied_from_elsewhere_are_never_pruned(tmp_path: Path) -> None:
    elsewhere = Watched(tmp_path)
    old(elsewhere)
    elsewhere.settle()
    (tmp_path / "other").mkdir()
    watched = Watched(tmp_path / "other", host=elsewhere.host, prune=True)
    watched.write("code", gateway="{port: 9300}")
    watched.settle()

    assert set(watched.served()) == {"chat#0", "chat#1", "code#0", "code#1"}


def test_an_emptied_folder_removes_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, prune=True)
    old(watched)
    watched.settle()
    (watched.specs / "chat.yaml").unlink()
    watched.host.writes.clear()

    report = watched.settle()

    assert watched.host.writes == []
    assert report.refusal == "no spec is left of chat: nothing is removed"
    assert watched.said[-1] == report.refusal


def test_a_folder_that_is_gone_changes_nothing_and_drift_is_still_repaired(tmp_path: Path) -> None:
    watched = Watched(tmp_path, prune=True)
    old(watched)
    watched.settle()
    shutil.rmtree(watched.specs)
    key = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
    del watched.host.instances[key]

    report = watched.settle()

    assert watched.served() == two()
    assert report.services["chat"].in_force == "last good"
    assert "is not there" in report.unseen[0]


def test_a_runtime_that_cannot_be_reached_changes_nothing_and_is_told(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.unreachable = {"docker"}
    new(watched)
    watched.host.writes.clear()

    report = watched.settle()

    assert watched.host.writes == []
    assert any("docker runtime cannot be reached" in words for words in report.unseen)
    watched.host.unreachable = set()
    watched.settle()
    assert watched.served() == two(NEW_IMAGE)


def test_a_history_that_cannot_be_used_is_told_and_stops_nothing(watched: Watched) -> None:
    old(watched)
    (watched.folder / "state").mkdir()
    (watched.folder / "state" / "history.db").write_text("damaged")

    report = watched.settle()

    assert watched.served() == two()
    assert any("history" in words for words in report.unseen)


def test_what_failed_is_not_tried_again_though_it_cannot_be_kept(watched: Watched) -> None:
    (watched.folder / "state").mkdir()
    (watched.folder / "state" / "history.db").write_text("damaged")
    watched.host.silent = {"chat#0", "chat#1"}
    old(watched)
    watched.settle()
    watched.host.writes.clear()
    watched.host.time_s += 1000

    report = watched.settle()

    assert watched.host.writes == []
    assert report.services["chat"].in_force == "stalled"


def test_a_replica_that_hangs_is_restarted(watched: Watched) -> None:
    old(watched)
    watched.settle()
    hung = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
    watched.host.hung = {"chat#0"}
    watched.host.instances[hung] = replace(watched.host.instances[hung], health=Health.UNKNOWN)
    watched.host.writes.clear()

    for _ in range(4):
        watched.host.time_s += 6
        watched.settle()

    assert [write for write in watched.host.writes if write.endswith("chat#0")] == ["stop chat#0", "start chat#0"]
    assert watched.served() == two()


def test_an_adviser_says_and_keeps_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, advisory=True)
    old(watched)

    for _ in range(3):
        report = watched.settle()

    assert watched.host.writes == []
    assert [line.split(":")[0] for line in report.services["chat"].would] == [
        "+ create chat@gateway",
        "+ create chat#0",
        "+ create chat#1",
    ]
    assert watched.endings() == ["change advised"]


def test_while_another_is_at_work_here_it_waits(watched: Watched) -> None:
    old(watched)
    with exclusive(watched.folder / "state" / "apply.lock", what="enova apply", now="now"):
        report = watched.settle()
        assert watched.host.writes == []
        assert report.unseen[0].startswith("waiting: enova apply (pid ")

    watched.settle()
    assert watched.served() == two()


def test_a_refused_plan_waits_and_says_why(watched: Watched) -> None:
    watched.write(engine="{tensor_parallel_size: 64}", placement="{gpu_types: [H100]}")

    report = watched.settle()

    assert watched.host.writes == []
    assert not report.in_sync


def test_the_last_good_copy_is_known_without_a_history(watched: Watched) -> None:
    old(watched)
    watched.settle()
    for file in (watched.folder / "state").glob("history.db*"):
        file.unlink()
    watched.break_()
    key = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
    del watched.host.instances[key]

    report = watched.settle()

    assert watched.served() == two()
    assert report.services["chat"].in_force == "last good"


def test_what_was_deleted_by_hand_stays_deleted_once_its_file_is_gone(watched: Watched) -> None:
    old(watched)
    watched.write("code", gateway="{port: 9300}")
    watched.settle()
    removed = replace(watched.revisions("code")[-1], cause=Cause.REMOVAL, spec={}, digest="")
    watched.history.keep_revisions(removed)
    watched.host.instances = {key: one for key, one in watched.host.instances.items() if one.service != "code"}
    (watched.specs / "code.yaml").unlink()
    watched.break_()

    report = watched.settle()

    assert set(report.services) == {"chat"}
    assert watched.served() == two()


def test_a_clock_that_jumps_changes_nothing_and_drift_is_still_repaired(watched: Watched) -> None:
    old(watched)
    watched.settle()
    watched.host.writes.clear()

    for jump_s in (3600.0, -7200.0):
        watched.now_s += jump_s
        assert watched.settle().in_sync
        assert watched.host.writes == []
        key = next(key for key, i in watched.host.instances.items() if i.target == "chat#0")
        del watched.host.instances[key]
        watched.settle()
        assert watched.served() == two()
        watched.host.writes.clear()

    new(watched)
    watched.settle()
    assert watched.served() == two(NEW_IMAGE)
    assert watched.settle().in_sync


def test_metrics_that_cannot_be_seen_are_told_and_change_nothing_else(watched: Watched) -> None:
    class Deaf:
        asked: Mapping[str, str] = {}

        def scrape(self, urls: Mapping[str, str], _: Mapping[str, str]) -> dict[str, Page | Unknown]:
            self.asked = urls
            return dict.fromkeys(urls, Unknown("it did not answer in time"))

        def close(self) -> None:
            """Nothing to give up."""

    scraper = Deaf()
    watched.daemon.live = Live(scraper=scraper, monotonic=lambda: watched.host.time_s)
    old(watched)
    watched.settle()
    watched.daemon.live.turn()
    report = watched.look()

    chat = report.services["chat"]
    assert sorted(url.endswith("/metrics") for url in scraper.asked.values() if url) == [True, True, True]
    assert chat.traffic == "arrivals unknown; 0 of 2 replicas seen"
    assert chat.unmeasured[1] == "chat#0: its load is unknown: it did not answer in time"
    assert report.in_sync
    assert watched.served() == two()
