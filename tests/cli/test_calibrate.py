"""`enova calibrate`, and `enova simulate --calibration`, against a server that says what vLLM would."""

from __future__ import annotations

import json
import re

import pytest

from enova.core.engine.calibration import Calibrated, StepCosts, Work
from enova.core.engine.learnt import learnt_in
from enova.core.engine.snapshot import Snapshot
from enova.core.metrics.names import ANSWERS, NAMES
from tests.cli.metrics_server import EVERY_S, Server
from tests.cli.terminal import Machine
from tests.core.engine.scraped import poisson, scraped

TRUTH = StepCosts(
    step_s=11e-3, chunk_s=5e-3, sequence_s=0.2e-3, prompt_token_s=0.4e-3, pair_s=0.3e-6, kv_token_s=3e-6
)
LOOKS = ("--for", "70s", "--every", "500ms")


def exposition(snapshot: Snapshot) -> str:
    """Return the metrics page that reads as a snapshot."""
    values = {names[0].text: getattr(snapshot, field) for field, names in NAMES.items()}
    lines = [f'{name}{{engine="0"}} {value}' for name, value in values.items() if value is not None]
    http = (("count", snapshot.answers), ("sum", snapshot.answers_s))
    lines += [
        f'{ANSWERS}_{name}{{handler="/v1/completions"}} {value}' for name, value in http if value is not None
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return [exposition(snapshot) for snapshot in scraped(poisson(1.0, 60), Calibrated(TRUTH), every_s=EVERY_S)]


def test_it_shows_what_steps_cost_with_their_errors(machine: Machine, pages: list[str]) -> None:
    with Server(pages).at(machine) as url:
        shown = machine.enova("calibrate", url, *LOOKS)

    assert shown.code == 0
    assert shown.err.splitlines()[:2] == ["10 of 70 s", "20 of 70 s"]
    assert re.match(rf"{re.escape(url)}: \d+ observations in \d+ s, which scatter by \d+\.\d%\n", shown.out)
    assert re.search(r"^  a prompt token +0\.\d+ ms ± 0\.\d+$", shown.out, re.MULTILINE)
    assert re.search(r"^  8 sequences of 500 tokens +2\d\.?\d* ms ± ", shown.out, re.MULTILINE)


def test_as_json_it_is_what_simulate_takes(machine: Machine, pages: list[str]) -> None:
    with Server(pages).at(machine) as url:
        told = machine.enova("calibrate", url, *LOOKS, "-o", "json")
    learnt = learnt_in(told.out, "told")
    file = machine.write("chat.calibration.json", told.out)

    forecast = machine.enova(
        *("simulate", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "h100-sxm", "--rate", "0.05"),
        *("--prompt-tokens", "100", "--output-tokens", "50", "--requests", "40"),
        *("--calibration", str(machine.folder / file), "-o", "json"),
    )

    assert learnt.source == url
    work = Work(1, 0, 4, 0, 0, 3000)
    assert learnt.calibration.costs.seconds(work) == pytest.approx(TRUTH.seconds(work), rel=0.1)
    assert forecast.code == 0
    assert '"calibrated"' in forecast.out
    # One sequence at a time, of 125 tokens on average; a step of the real model on that GPU takes half as long.
    assert json.loads(forecast.out)["forecasts"][0]["results"]["latencies"]["tpot"]["p50"][
        "value"
    ] == pytest.approx(TRUTH.seconds(Work(1, 0, 1, 0, 0, 125)), rel=0.15)


@pytest.mark.slow
def test_an_idle_server_teaches_nothing_and_that_is_said(machine: Machine, pages: list[str]) -> None:
    with Server(pages[-1:]).at(machine) as url:
        shown = machine.enova("calibrate", url, "--for", "2s")

    assert (shown.code, shown.out) == (1, "")
    assert shown.err == (
        f"error: nothing could be learnt from {url}: it was idle\n"
        "hint: look for longer, or while it serves requests\n"
    )


@pytest.mark.slow
def test_a_metric_that_is_not_offered_is_named(machine: Machine, pages: list[str]) -> None:
    without = [re.sub(r"^vllm:iteration_tokens_total_count.*\n", "", page, flags=re.MULTILINE) for page in pages]

    with Server(without).at(machine) as url:
        shown = machine.enova("calibrate", url, "--for", "2s")

    assert shown.code == 1
    assert shown.err == f"error: nothing could be learnt from {url}: it does not offer steps\n"


@pytest.mark.slow
def test_another_servers_metrics_are_not_taken_for_vllms(machine: Machine) -> None:
    with Server(["process_open_fds 32.0\n"]).at(machine) as url:
        shown = machine.enova("calibrate", url, "--for", "2s")

    assert shown.code == 1
    assert shown.err.startswith(f"error: {url} has metrics, but none of vLLM's\n")


def test_nobody_at_the_address_is_an_error_with_a_hint(machine: Machine) -> None:
    shown = machine.enova("calibrate", "http://127.0.0.1:9")

    assert shown.code == 1
    assert shown.err.startswith("error: metrics of http://127.0.0.1:9 could not be read: ")
    assert "hint: check the address" in shown.err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--for", "soon"), "error: --for: "),
        (("--every", "0s"), "error: --every: must be more than 0\n"),
    ],
)
def test_a_time_that_is_none_is_called_wrongly(machine: Machine, option: tuple[str, str], said: str) -> None:
    shown = machine.enova("calibrate", "http://127.0.0.1:9", *option)

    assert shown.code == 64
    assert shown.err.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ("{}", "source: Field required"),
        ('{"kind": "enova injection report"}', "kind: Input should be 'enova calibration'"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(machine: Machine, text: str, said: str) -> None:
    machine.write("odd.json", text)

    shown = machine.enova(
        *("simulate", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "h100-sxm", "--rate", "1"),
        *("--calibration", str(machine.folder / "odd.json")),
    )

    assert shown.code == 64
    assert said in shown.err
    assert "hint: make one with `enova calibrate`" in shown.err
