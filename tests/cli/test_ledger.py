"""`enova ledger`: what was forecast beside what replicas' metrics, or reports, say was so."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enova.adapters.history import History, history_of
from enova.core.fingerprint import fingerprint
from enova.core.launch import Kind, Launch
from enova.core.observed import State
from enova.settings import Settings
from enova.testing import memory_world
from tests.cli.metrics_server import Server
from tests.cli.terminal import NOW, Machine
from tests.core.forecasts import figure, forecast
from tests.core.ledger.records import applied, measurement
from tests.staging import instance, replica

STARTED = "process_start_time_seconds 1.79532993697e+09\n"
LATER = STARTED + (Path(__file__).parents[1] / "data" / "vllm_metrics_0.32.txt").read_text(encoding="utf-8")
"""Of a real engine that answered 1,574 requests, with 69.84 tokens each and first tokens after 0.4196 s."""
BEFORE = re.sub(r"^(vllm:[^ ]+) .*$", r"\1 0.0", LATER, flags=re.MULTILINE)
"""The same process, when it had answered none."""
RATE = 1574 / 120
LAUNCH = replica(runtime="process")
FIGURES = {
    "output_tokens_per_s": figure(1850.0),
    "requests_per_s": figure(26.4),
    "ttft.mean": figure(0.4),
    "ttft.p95": figure(1.5),
}


@pytest.fixture
def history(machine: Machine) -> History:
    return history_of(Settings(state_dir=machine.folder / "state"))


@contextmanager
def replicas(machine: Machine, *pages: list[str], launch: Launch = LAUNCH) -> Iterator[None]:
    """Run a replica for each list of pages, which are its metrics at one look after another."""
    with ExitStack() as stack:
        for slot, own in enumerate(pages):
            url = stack.enter_context(Server(own).at(machine))
            found = instance(launch.place(slot=slot), id=f"id-{slot}", url=url)
            machine.host.instances["process", found.id] = found
        yield


def keep(history: History, **changes: Any) -> None:
    """Apply a forecast for the two replicas, an hour ago."""
    values: dict[str, Any] = {
        "at_s": NOW - 3600,
        "fingerprint": fingerprint(LAUNCH),
        "forecast": forecast(figures=FIGURES),
        "rate": 2 * RATE,
    }
    history.add(applied(**(values | changes)))


def test_what_was_measured_is_shown_beside_the_forecast_and_kept(machine: Machine, history: History) -> None:
    keep(history)
    with replicas(machine, [BEFORE, LATER], [BEFORE, LATER]):
        shown = machine.enova("ledger", "measure", "--for", "2m")

    assert shown.code == 0
    assert shown.err.splitlines()[-1] == "chat: 3,148 requests in 120 s, kept"
    when = "2027-01-15 08:00:00 | chat"
    bucket = "2,030 ms (1,000 ms to 2,500 ms)"
    served = "yes | does not count: all that came was answered"
    assert re.sub(r" {2,}", " | ", shown.out).splitlines() == [
        "WHEN (UTC) | SERVICE | METRIC | PREDICTED | BAND | MEASURED | ERROR | IN BAND | REMARK",
        f"{when} | output_tokens_per_s | 1,850/s | 1,480/s to 2,312/s | 1,832/s | +1.0% | {served}",
        f"{when} | requests_per_s | 26.4/s | 21.12/s to 33/s | 26.23/s | +0.6% | {served}",
        f"{when} | ttft.mean | 400 ms | 320 ms to 500 ms | 420 ms | -4.7% | yes",
        f"{when} | ttft.p95 | 1,500 ms | 1,200 ms to 1,880 ms | {bucket} | -40.0% to +50.0% | perhaps",
        "",
        "SERVICE | METRIC | COUNT | MEDIAN ERROR | BIAS | IN BAND",
        "chat | ttft.mean | 1 | 4.7% | -4.7% | 100%",
        "chat | ttft.p95 | 1 | 0.0% to 50.0% | -40.0% to +50.0% | 0% to 100%",
        "",
        "A percentile from metrics is known to lie in its bucket (in brackets); where is a guess.",
    ]
    assert machine.enova("ledger").out == machine.enova("ledger", "show", "chat").out == shown.out


def test_as_json_a_ledger_has_every_row(machine: Machine, history: History) -> None:
    keep(history)
    with replicas(machine, [BEFORE, LATER], [BEFORE, LATER]):
        machine.enova("ledger", "measure")

    told = json.loads(machine.enova("ledger", "-o", "json").out)

    assert (told["schema_version"], told["unmatched"]) == (1, 0)
    assert [row["metric"] for row in told["rows"]] == sorted(FIGURES)
    assert told["rows"][3] == {
        "service": "chat",
        "fingerprint": fingerprint(LAUNCH),
        "origin": "roofline",
        "began_s": NOW,
        "ended_s": NOW + 60,
        "source": "metrics",
        "requests": 3148,
        "metric": "ttft.p95",
        "predicted": {"value": 1.5, "low": 1.2, "high": 1.875, "level": 0.9},
        "measured": {"value": 2.032, "low": 1.0, "high": 2.5},
        "error": {"low": -0.4, "high": 0.5},
        "in_band": None,
        # In one minute it is twice the traffic that was forecast.
        "counts": False,
        "doubt": "other traffic: 52.5/s, 26.2/s was forecast",
        "emulated": False,
    }


def test_a_replica_that_cannot_be_read_makes_all_of_its_service_unknown(
    machine: Machine, history: History
) -> None:
    with replicas(machine, [BEFORE, LATER]):
        gone = instance(LAUNCH.place(slot=1), id="id-1", url="http://127.0.0.1:9")
        machine.host.instances["process", gone.id] = gone
        shown = machine.enova("ledger", "measure")

    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("chat: not kept: chat#1: metrics of http://127.0.0.1:9 could not be read: ")
    assert history.measurements() == ()
    # Nobody waited for what could not be kept.
    assert machine.host.time_s == 0


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (LATER.replace(STARTED, "process_start_time_seconds 1.8e+09\n"), "it was started anew"),
        ("process_open_fds 32.0\n", "its engines are not those that they were"),
    ],
    ids=["started anew", "another server"],
)
def test_a_window_that_cannot_be_trusted_is_not_kept(
    machine: Machine, history: History, later: str, reason: str
) -> None:
    with replicas(machine, [BEFORE, later]):
        shown = machine.enova("ledger", "measure")

    assert shown.code == 1
    assert f"chat: not kept: chat#0: {reason}" in shown.err
    assert history.measurements() == ()


def test_replicas_that_came_or_went_meanwhile_make_it_unknown(machine: Machine, history: History) -> None:
    with replicas(machine, [BEFORE, LATER]):
        host = machine.host
        more = instance(LAUNCH.place(slot=1), id="id-1", url="http://127.0.0.1:9")

        def pause(seconds: float) -> None:
            host.time_s += seconds
            host.instances["process", more.id] = more

        machine.world = replace(memory_world(host), pause=pause)
        shown = machine.enova("ledger", "measure")

    assert shown.code == 1
    assert "chat: not kept: its replicas changed meanwhile" in shown.err


def test_replicas_of_two_kinds_cannot_be_measured_together(machine: Machine) -> None:
    with replicas(machine, [BEFORE, LATER]):
        other = instance(replica(runtime="process", args={"max_num_seqs": 9}).place(slot=1), id="id-1")
        machine.host.instances["process", other.id] = other
        shown = machine.enova("ledger", "measure")

    assert shown.code == 1
    assert "chat: not kept: its replicas are being replaced: they have different settings" in shown.err


def test_an_idle_service_has_nothing_to_keep_and_that_is_no_failure(machine: Machine, history: History) -> None:
    with replicas(machine, [LATER, LATER]):
        shown = machine.enova("ledger", "measure")

    assert (shown.code, shown.out) == (0, "")
    assert shown.err.splitlines()[-1] == "chat: no request was answered: nothing to keep"
    assert history.measurements() == ()


def test_only_the_services_of_the_given_specs_are_measured(machine: Machine, history: History) -> None:
    other = machine.spec("other")
    with replicas(machine, [BEFORE, LATER]):
        shown = machine.enova("ledger", "measure", other)

    assert (shown.code, shown.err) == (1, "other: not kept: no replica of it runs\n")
    assert history.measurements() == ()


def test_a_runtime_that_does_not_answer_is_unknown_and_what_was_found_is_measured(
    machine: Machine, history: History
) -> None:
    machine.host.unreachable.add("docker")
    with replicas(machine, [BEFORE, LATER]):
        shown = machine.enova("ledger", "measure")

    assert shown.code == 1
    assert "unknown: could not look at docker: the docker runtime cannot be reached" in shown.err
    assert [one.service for one in history.measurements()] == ["chat"]


def test_where_nothing_runs_that_is_said(machine: Machine) -> None:
    shown = machine.enova("ledger", "measure")

    assert (shown.code, shown.out, shown.err) == (0, "", "nothing runs that could be measured\n")


def test_replicas_that_do_not_run_are_not_asked(machine: Machine, history: History) -> None:
    with replicas(machine, [BEFORE, LATER]):
        stopped = instance(LAUNCH.place(slot=1), id="id-1", state=State.EXITED)
        machine.host.instances["process", stopped.id] = stopped
        machine.enova("ledger", "measure")

    assert [one.replicas for one in history.measurements()] == [1]


def test_what_an_emulated_engine_says_is_marked(machine: Machine, history: History) -> None:
    emulated = replica(runtime="process", kind=Kind.EMULATED, image=None)
    keep(history, fingerprint=fingerprint(emulated))
    with replicas(machine, [BEFORE, LATER], [BEFORE, LATER], launch=emulated):
        shown = machine.enova("ledger", "measure", "--for", "2m")

    assert [one.emulated for one in history.measurements()] == [True]
    assert "yes      emulated\n" in shown.out


def test_a_measurement_without_a_forecast_is_kept_and_counted(machine: Machine, history: History) -> None:
    with replicas(machine, [BEFORE, LATER]):
        shown = machine.enova("ledger", "measure")

    assert shown.out == "1 measurement met no forecast: none was in force\n"
    assert len(history.measurements()) == 1


def test_before_anything_was_measured_the_way_to_it_is_shown(machine: Machine) -> None:
    shown = machine.enova("ledger", "chat")

    assert (shown.code, shown.out) == (0, "")
    assert shown.err == (
        "nothing was measured of chat in the last 7d\n"
        "hint: measure what runs with `enova ledger measure`, or look back further with --since\n"
    )


def test_a_ledger_looks_back_as_far_as_it_is_told(machine: Machine, history: History) -> None:
    history.add(applied(at_s=1.0), measurement(began_s=NOW - 9 * 86400, ended_s=NOW - 8 * 86400))

    assert machine.enova("ledger").out == ""
    assert "ttft.mean" in machine.enova("ledger", "--since", "9d").out
    assert machine.enova("ledger", "--since", "a week").code == 64


def test_a_damaged_history_is_an_error_and_not_a_traceback(machine: Machine) -> None:
    machine.write("state/history.db", "no database at all" * 100)

    for command in (["ledger"], ["ledger", "measure"]):
        shown = machine.enova(*command)
        assert shown.code == 1
        assert shown.err.splitlines()[-1] == "hint: move the file away: it is a record only, and is begun anew"


REPORT = {
    "kind": "enova injection report",
    "schema_version": 1,
    "name": "chat",
    "tested": {"model": "org/model", "gpu": "h100-sxm", "vllm": "0.32", "replicas": 2},
    "sent": {"injection": {"arrival": {"process": "poisson", "rate": "10/s"}}, "requests": 600},
    "found": {"served": 600, "duration_s": 62.0, "requests_per_s": 9.7, "ttft": {"mean": 0.11, "p95": 0.25}},
}


def report(machine: Machine, file: str = "chat.json", **changes: Any) -> str:
    machine.write(file, json.dumps(REPORT | changes))
    os.utime(machine.folder / file, (NOW, NOW))
    return file


def test_a_report_stands_beside_the_forecast_in_force_when_it_was_written(
    machine: Machine, history: History
) -> None:
    history.add(applied(at_s=NOW - 100), applied(at_s=NOW + 100, forecast=forecast(figures={})))

    shown = machine.enova("ledger", "add", report(machine))

    assert (shown.code, shown.err) == (0, "chat: 600 requests in 62 s, kept\n")
    rows = json.loads(machine.enova("ledger", "-o", "json").out)["rows"]
    assert [(row["metric"], row["source"], row["counts"]) for row in rows] == [
        ("requests_per_s", "chat", False),
        ("ttft.mean", "chat", True),
        ("ttft.p95", "chat", True),
    ]
    assert (rows[1]["began_s"], rows[1]["ended_s"]) == (NOW - 62, NOW)
    assert rows[1]["error"]["low"] == pytest.approx(0.1 / 0.11 - 1, abs=1e-4)


def test_a_report_that_is_added_twice_is_there_once(machine: Machine, history: History) -> None:
    name = report(machine)
    machine.enova("ledger", "add", name)

    shown = machine.enova("ledger", "add", name)

    assert shown.err.splitlines()[-1] == "1 of these were in the history already"
    assert len(history.measurements()) == 1


def test_whose_load_it_was_and_when_it_ended_can_be_said(machine: Machine, history: History) -> None:
    shown = machine.enova(
        "ledger", "add", report(machine, "run.json"), "--service", "code", "--ended", "2027-01-15T07:00"
    )

    assert shown.code == 0
    [kept] = history.measurements()
    assert (kept.service, kept.source, kept.ended_s) == ("code", "chat", NOW - 3600)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nameless.json"], "error: nameless.json does not say whose load it was"),
        (["chat.json", "--ended", "noon"], "error: --ended: 'noon' is no time"),
        (["chat.json", "nameless.json", "--ended", "2027-01-15"], "error: --ended is about one report"),
    ],
)
def test_what_a_report_needs_to_be_told_is_said(machine: Machine, arguments: list[str], words: str) -> None:
    report(machine)
    report(machine, "nameless.json", name="")

    shown = machine.enova("ledger", "add", *arguments)

    assert shown.code == 64
    assert shown.err.startswith(words)


def test_everything_that_is_wrong_with_reports_is_said_at_once(machine: Machine, history: History) -> None:
    report(machine, "broken.json", found={"served": -1})

    shown = machine.enova("ledger", "add", "broken.json", "missing.json", report(machine))

    assert shown.code == 1
    assert "broken.json:0:0: found.served: " in shown.err
    assert "broken.json:0:0: found.duration_s: " in shown.err
    assert "missing.json:0:0: cannot be read: No such file or directory" in shown.err
    assert history.measurements() == ()
