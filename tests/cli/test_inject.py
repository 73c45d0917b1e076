"""`enova inject`: real load against servers on this machine, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from enova.adapters.history import history_of
from enova.adapters.specfiles import load as load_specs
from enova.core.launches import desired_state
from enova.core.resolve import resolve
from enova.core.workload.report import InjectionReport
from enova.settings import Settings
from tests.adapters.injector.misbehaving import Client, after, misbehaving, saying, well
from tests.cli.terminal import Machine, Outcome
from tests.core.inject.runs import load, report
from tests.staging import instance

SHORT = ("--rate", "40", "--duration", "500ms", "--warmup", "0s", "--prompt-tokens", "8", "--output-tokens", "4")


NOBODY = ("http://127.0.0.1:1", "--model", "m")
"""An address that nobody need be at."""


def report_in(outcome: Outcome) -> InjectionReport:
    return InjectionReport.model_validate_json(outcome.out)


def test_any_address_can_be_asked(machine: Machine) -> None:
    with misbehaving(well) as server:
        outcome = machine.enova("inject", f"{server.url}/v1", *SHORT, "--slo", "ttft.p95=5s", "--out", "r.json")

    assert outcome.code == 0, outcome.err
    assert f"{server.url}: m at {server.url}, completions\n  VALID\n" in outcome.out
    assert "predicted   nothing: it is an address, and what runs behind it is not known" in outcome.out
    assert "kept as run 1: `enova inject show 1`" in outcome.err
    written = InjectionReport.model_validate_json(Path("r.json").read_text())
    assert written.found.served == written.sent.requests
    assert [(one.metric, one.statistic, one.kept) for one in written.slo] == [("ttft", "p95", True)]


def test_a_report_as_json_is_the_whole_of_it(machine: Machine) -> None:
    with misbehaving(well) as server:
        outcome = machine.enova("inject", server.url, *SHORT, "--seed", "5", "-o", "json")

    found = report_in(outcome)
    assert (found.sent.seed, found.sent.delivery and found.sent.delivery.workers) == (5, 1)
    assert found.asked is not None
    assert (found.asked.model, found.asked.api, found.asked.stream) == ("m", "completions", True)


def test_a_broken_promise_is_no_success(machine: Machine) -> None:
    with misbehaving(after(0.05)) as server:
        outcome = machine.enova("inject", server.url, *SHORT, "--slo", "ttft.p50=1ms")

    assert outcome.code == 1
    assert "at most 1.00 ms: BROKEN" in outcome.out


def test_a_profile_says_what_is_sent_and_promised(machine: Machine) -> None:
    machine.write(
        "night.yaml",
        "injection:\n"
        "  arrival: {process: constant, rate: 20/s}\n"
        "  classes:\n"
        "    - {name: chat, weight: 1, prompt_tokens: {distribution: fixed, tokens: 8},"
        " output_tokens: {distribution: fixed, tokens: 4}}\n"
        "    - {name: quiz, weight: 1, dataset: ./quiz.jsonl, output_tokens: {distribution: fixed, tokens: 4}}\n"
        "  duration: 1s\n"
        "slo: {e2e: {p95: 9s}}\n",
    )
    machine.write("quiz.jsonl", '{"question": "Why?"}\n{"question": "How?"}\n')

    with misbehaving(well) as server:
        outcome = machine.enova("inject", server.url, "--profile", "night.yaml", "--warmup", "0s", "-o", "json")

    found = report_in(outcome)
    assert set(found.found.classes) == {"chat", "quiz"}
    assert found.sent.requests == 20
    assert "prompts without prompt_tokens were counted as 4 bytes a token" in found.notes
    prompts = [body["prompt"] for body in server.bodies[1:]]
    assert {prompt for prompt in prompts if isinstance(prompt, str)} == {"Why?", "How?"}
    assert {len(prompt) for prompt in prompts if isinstance(prompt, list)} == {8}


def test_mistakes_in_a_profile_are_told_with_their_places(machine: Machine) -> None:
    machine.write(
        "night.yaml", "injection: {arrival: {process: poisson, rate: fast}}\nslo: {ttft: {p95: never}}\n"
    )

    outcome = machine.enova("inject", "http://127.0.0.1:1", "--profile", "night.yaml")

    assert outcome.code == 1
    assert re.search(r"night.yaml:1:\d+: injection.arrival.rate: ", outcome.err)
    assert re.search(r"night.yaml:2:\d+: slo.ttft.p95: ", outcome.err)


def test_a_chat_counts_what_the_server_puts_around_prompts(machine: Machine) -> None:
    def counts(client: Client, number: int) -> bool:
        body = client.server.bodies[number]
        if body.get("stream"):
            return well(client, number)
        tokens = len(body["messages"][0]["content"].split()) + 12
        usage = {"prompt_tokens": tokens, "completion_tokens": 1}
        return saying("200 OK", json.dumps({"choices": [{}], "usage": usage}).encode())(client, number)

    with misbehaving(counts) as server:
        outcome = machine.enova("inject", server.url, "--api", "chat", *SHORT[:-4], "--prompt-tokens", "20")

    words = [len(body["messages"][0]["content"].split()) for body in server.bodies]
    # First one request of eight words, which has twenty tokens; so eight words it is for all.
    assert set(words) == {8}
    assert "prompt lengths are estimates: the model's tokenizer is not at hand (--tokenizer)" in outcome.out


def test_a_server_that_does_not_do_what_is_asked_is_told_before_anything_is_sent(machine: Machine) -> None:
    with misbehaving(saying("404 Not Found", b'{"error": {"message": "no such API"}}')) as server:
        outcome = machine.enova("inject", server.url, *SHORT)

    assert outcome.code == 1
    assert f"error: {server.url}/v1/completions answered 404: no such API" in outcome.err
    assert len(server.bodies) == 1


def test_whoever_names_the_model_may_see_how_a_server_refuses(machine: Machine) -> None:
    outcome = machine.enova("inject", "http://127.0.0.1:1", "--model", "m", *SHORT, "-o", "json")

    assert outcome.code == 1
    assert "warning: http://127.0.0.1:1 cannot be asked" in outcome.err
    found = report_in(outcome)
    assert found.found.errors == {"refused": found.sent.requests}
    assert found.problems[0] == "no request was answered"


def test_ctrl_c_still_gives_a_report(machine: Machine) -> None:
    with misbehaving(well) as server:

        def interrupt() -> None:
            while len(server.heads) < 20:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        outcome = machine.enova("inject", server.url, "--rate", "20", "--duration", "1h")

    assert outcome.code == 130
    assert "stopping: the report is of what was sent so far" in outcome.err
    assert "note: ended by hand before its time: all of it is counted" in outcome.out
    assert re.search(r"answered +\d+ requests", outcome.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "error: no path is given and there is no folder ./specs here"),
        (("ftp://x",), "error: the address must begin with http:// or https://"),
        ((*NOBODY, "--rate", "0"), "--rate: must be above 0"),
        (("http://x", "--html", "report.pdf"), "error: --html: report.pdf does not end in .html"),
        (("http://x", "--out", "nowhere/r.json"), "error: --out: there is no folder nowhere"),
        (("http://x", "--deadline", "soon"), "error: --deadline: "),
        (("http://x", "--api-key-env", "NONE"), "error: the environment variable NONE is not set"),
        ((*NOBODY, "--rate", "1", "--concurrency", "2"), "do not go together"),
        ((*NOBODY, "--rate", "1", "--duration", "2s", "--warmup", "2s"), "--warmup: 2 s is all of the run"),
        (("show", "99"), "error: there is no run 99"),
        (("sweep", "http://x", "--tolerance", "0"), "error: --tolerance must be at least 0.01"),
    ],
)
def test_calling_it_wrongly_is_said_at_once(machine: Machine, arguments: tuple[str, ...], words: str) -> None:
    outcome = machine.enova("inject", *arguments)

    assert outcome.code == 64, outcome.err
    assert words in outcome.err


def test_a_service_that_is_not_there_is_guessed(machine: Machine) -> None:
    machine.spec(path="specs/chat.yaml")

    outcome = machine.enova("inject", "chad")

    assert outcome.code == 64
    assert outcome.err == "error: there is no service chad in ./specs\nhint: did you mean chat?\n"


def test_a_service_that_does_not_run_is_not_asked(machine: Machine) -> None:
    machine.spec(path="specs/chat.yaml")

    outcome = machine.enova("inject", "chat")

    assert outcome.code == 1
    assert "error: chat does not run\nhint: start it with `enova apply`" in outcome.err


RUNS = """\
metadata: {name: chat}
model: Qwen/Qwen2.5-7B-Instruct
slo: {ttft: {p95: 9s}}
injection:
  arrival: {process: constant, rate: 20/s}
  prompt_tokens: {distribution: fixed, tokens: 8}
  output_tokens: {distribution: fixed, tokens: 4}
  duration: 1s
engine: {kind: emulated, extra_args: {emulate_gpu: h100-sxm}}
placement: {runtime: process}
"""


def test_a_service_that_runs_gets_its_traffic_beside_its_forecast(machine: Machine) -> None:
    path = machine.write("specs/chat.yaml", RUNS)
    [file] = load_specs([path])
    wanted = desired_state(resolve(file.service))

    with misbehaving(well) as server:
        for launch in (wanted.gateway, wanted.replica.place(slot=0)):
            found = instance(launch, url=server.url)
            machine.host.instances[found.runtime, found.id] = found
        outcome = machine.enova("inject", "chat", "--warmup", "0s", "-o", "json")

    report = report_in(outcome)
    assert report.predicted is not None, report.not_predicted
    assert report.predicted.ttft.p50 is not None
    assert (report.sent.requests, report.found.served, report.name) == (20, 20, "chat")
    ledger = machine.enova("ledger", "chat", "-o", "json", "--since", "100d").out
    # Nothing was applied here, so that it has no forecast to stand beside.
    assert json.loads(ledger)["unmatched"] == int(report.valid)


def test_without_a_stream_there_is_no_first_token_to_judge(machine: Machine) -> None:
    with misbehaving(well) as server:
        outcome = machine.enova(
            *("inject", server.url, *SHORT, "--no-stream", "--slo", "ttft.p95=1s", "--slo", "e2e.p95=9s"),
            *("-o", "json"),
        )

    report = report_in(outcome)
    assert [one.metric for one in report.slo] == ["e2e"]
    assert (report.found.ttft.figures(), report.found.itl.figures()) == ({}, {})
    assert report.found.e2e.p50 is not None
    assert report.notes[-1].startswith("without a stream there is no first token")


def test_a_key_is_for_addresses(machine: Machine) -> None:
    machine.spec(path="specs/chat.yaml")

    assert "--api-key-env is for addresses" in machine.enova("inject", "chat", "--api-key-env", "KEY").err


def test_a_key_is_sent_and_never_shown(machine: Machine) -> None:
    machine.environment["KEY"] = "s3cret"

    with misbehaving(well) as server:
        outcome = machine.enova("inject", server.url, "--api-key-env", "KEY", *SHORT, "-o", "json")

    assert all("authorization: bearer s3cret" in head.lower() for head in server.heads)
    assert "s3cret" not in outcome.out + outcome.err
    assert b"s3cret" not in (machine.folder / "state" / "history.db").read_bytes()


def test_runs_are_kept_listed_shown_and_compared(machine: Machine) -> None:
    history = history_of(Settings(state_dir=machine.folder / "state"))
    for number, ttft_s in enumerate((0.1, 0.15)):
        history.keep_run(report(load(seed=number), ttft_s=ttft_s), service="chat", at_s=1_799_999_000.0)

    listed = machine.enova("inject", "list").out
    shown = machine.enova("inject", "show", "2", "--html", "r.html")
    compared = machine.enova("inject", "compare", "1", "2")

    assert [line.split()[0] for line in listed.splitlines()] == ["run", "1", "2"]
    assert "TTFT p95 150 ms, at most 200 ms: kept" in shown.out
    assert Path("r.html").exists()
    assert re.search(r"TTFT p95 +100 ms +150 ms +1.500 +worse", compared.out)
    data = json.loads(machine.enova("inject", "compare", "1", "2", "-o", "json").out)
    assert data["schema_version"] == 1


def test_where_no_run_is_kept_that_is_said(machine: Machine) -> None:
    outcome = machine.enova("inject", "list", "chat")

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "no run of chat was kept in the last 30d\n"


def test_files_can_be_shown_and_compared_too(machine: Machine) -> None:
    machine.write("a.json", report().model_dump_json(exclude_none=True))
    bench = {"completed": 10, "duration": 5.0, "request_throughput": 2.0, "mean_ttft_ms": 120.0}
    machine.write("bench.json", json.dumps(bench))

    assert "TTFT" in machine.enova("inject", "show", "a.json").out
    outcome = machine.enova("inject", "compare", "a.json", "bench.json")

    assert "latencies from the send" in outcome.out
    assert re.search(r"TTFT mean +100 ms +120 ms +1.200 +noise unknown", outcome.out)


def test_a_file_that_is_no_report_is_refused(machine: Machine) -> None:
    machine.write("x.json", '{"hello": 1}')

    outcome = machine.enova("inject", "show", "x.json")

    assert outcome.code == 1
    assert "x.json:0:0: is not understood (hint: it may be an injection report" in outcome.err
    assert "cannot be read" in machine.enova("inject", "show", "none.json").err


def test_a_sweep_finds_what_a_server_can_do(machine: Machine) -> None:
    seats = threading.Semaphore(1)

    def one_at_a_time(client: Client, number: int) -> bool:
        # 100 requests/s, and never more.
        with seats:
            client.wait(0.01)
        return well(client, number)

    with misbehaving(one_at_a_time) as server:
        outcome = machine.enova(
            *("inject", "sweep", server.url, "--from", "30", "--to", "480", "--tolerance", "0.5"),
            *("--duration", "1s", "--slo", "ttft.p50=200ms", "--html", "s.html", "-o", "json"),
            *("--prompt-tokens", "8", "--output-tokens", "4", "--deadline", "10s"),
        )

    data = json.loads(outcome.out)
    assert outcome.code == 0, outcome.err
    assert 5 <= data["highest_rate"] <= 240
    assert data["limits"]
    assert Path("s.html").exists()
    assert "/s: kept (run " in outcome.err


def test_a_sweep_needs_a_promise_that_could_break(machine: Machine) -> None:
    with misbehaving(well) as server:
        outcome = machine.enova("inject", "sweep", server.url, "--duration", "1s")

    assert outcome.code == 64
    assert "nothing is promised that a rate could break" in outcome.err
