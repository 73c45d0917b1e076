"""`enova simulate` predicts from specs or options, says what it predicts, and refuses what makes no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.terminal import Machine, Outcome

ENGINE = ("--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "h100-sxm")
LOAD = ("--rate", "4", "--requests", "60", "--prompt-tokens", "300", "--output-tokens", "20")
SPEC = """\
metadata: {name: chat}
model: meta-llama/Llama-3.1-8B-Instruct
slo: {ttft: {p95: 10s}, itl: {p50: 1ms}}
placement: {gpu_types: [H100, L40S]}
scaling: {min: 2}
injection:
  arrival: {process: poisson, rate: 10/s}
  classes:
    - {name: short, weight: 2, prompt_tokens: {distribution: fixed, tokens: 50},
       output_tokens: {distribution: fixed, tokens: 10}}
    - {name: long, weight: 1, prompt_tokens: {distribution: uniform, min: 500, max: 900},
       output_tokens: {distribution: fixed, tokens: 20}}
  duration: 20s
  seed: 3
"""
PLAYED = SPEC.partition("injection:")[0] + "injection: {arrival: {process: trace, file: ./t.csv}}\n"


def forecasts(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["schema_version"] == 1
    return list(found["forecasts"])


def test_a_model_a_gpu_and_a_rate_are_all_it_takes(machine: Machine) -> None:
    outcome = machine.enova("simulate", *ENGINE, *LOAD)

    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "meta-llama/Llama-3.1-8B-Instruct on h100-sxm, vLLM 0.32"
    assert lines[1] == "  traffic     poisson 4/s; prompts 300, answers 20"
    assert lines[5].split() == ["mean", "p50", "p90", "p95", "p99"]
    assert [line.split()[0] for line in lines[6:16:2]] == ["TTFT", "TPOT", "ITL", "E2E", "queue"]
    assert any(line.startswith("  throughput") for line in lines)


def test_json_has_every_figure_with_its_band_and_where_it_comes_from(machine: Machine) -> None:
    (found,) = forecasts(machine.enova("simulate", *ENGINE, *LOAD, "-o", "json"))
    results = found["results"]

    assert results["origin"] in ("roofline", "measured table")
    assert results["served"] + round(results["warmup_s"] * 4) == pytest.approx(60, abs=10)
    for metric in ("ttft", "tpot", "itl", "e2e", "queue"):
        for statistic in ("mean", "p50", "p90", "p95", "p99", "p99_9"):
            figure = results["latencies"][metric][statistic]
            assert 0 < figure["low"] <= figure["value"] <= figure["high"]
    assert len(results["series"]["running"]) == len(results["series"]["served"])


def test_the_same_seed_says_the_same_and_another_one_does_not(machine: Machine) -> None:
    first, again, other = (
        machine.enova("simulate", *ENGINE, *LOAD, "--seed", seed).out for seed in ("1", "1", "2")
    )

    assert first == again
    assert first != other


def test_a_spec_is_simulated_on_every_kind_of_gpu_it_allows(machine: Machine) -> None:
    path = machine.write("chat.yaml", SPEC)
    h100, l40s = forecasts(machine.enova("simulate", path, "-o", "json"))

    assert (h100["service"], h100["replicas"], h100["seed"]) == ("chat", 2, 3)
    assert (h100["gpu"], l40s["gpu"]) == ("h100-sxm", "l40s")
    mean = [found["results"]["latencies"]["e2e"]["mean"]["value"] for found in (h100, l40s)]
    assert mean[0] < mean[1]
    assert set(h100["results"]["classes"]) == {"short", "long"}
    verdicts = {promise["metric"]: promise["verdict"] for promise in h100["promises"]}
    assert verdicts == {"ttft": "kept", "itl": "broken"}


def test_what_a_spec_promises_of_availability_is_judged(machine: Machine) -> None:
    path = machine.write("chat.yaml", SPEC.replace("slo: {", "slo: {availability: 99.9%, "))
    short = ("--gpu", "h100-sxm", "--max-model-len", "600", "-o", "json")
    (found,) = forecasts(machine.enova("simulate", path, *short))

    assert found["availability"]["target"] == pytest.approx(0.999)
    # Of the long ones, a third of all, some 70 % are too long.
    assert found["availability"]["predicted"]["value"] == pytest.approx(1 - 0.7 / 3, abs=0.1)
    assert found["availability"]["verdict"] == "broken"


def test_options_replace_what_a_spec_says(machine: Machine) -> None:
    path = machine.write("chat.yaml", SPEC)
    options = ("--gpu", "h100-sxm", "--replicas", "1", "--rate", "5", "--duration", "30s", "--slo", "ttft.p95=1ms")
    (found,) = forecasts(machine.enova("simulate", path, *options, "-o", "json"))

    assert (found["replicas"], found["gpu"]) == (1, "h100-sxm")
    assert found["traffic"].startswith("poisson 5/s; ")
    assert {(promise["metric"], promise["target_s"]) for promise in found["promises"]} == {
        ("ttft", 0.001),
        ("itl", 0.001),
    }


def test_users_who_wait_take_the_place_of_a_rate(machine: Machine) -> None:
    load = ("--concurrency", "4", "--requests", "40", "--output-tokens", "20")
    (found,) = forecasts(machine.enova("simulate", *ENGINE, *load, "-o", "json"))
    results = found["results"]

    assert found["traffic"] == "4 users who wait for each answer; prompts 512, answers 20"
    in_flight = results["requests_per_s"]["value"] * results["latencies"]["e2e"]["mean"]["value"]
    assert in_flight == pytest.approx(4, rel=0.1)


def test_capacity_and_a_sweep_are_added_on_request(machine: Machine) -> None:
    more = ("--capacity", "--rates", "2:6:3", "--slo", "ttft.p95=1ms")
    outcome = machine.enova("simulate", *ENGINE, *LOAD, *more)

    assert outcome.code == 0, outcome.err
    assert "  capacity    none: TTFT p95 <= 1.00 ms is broken at any rate" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines() if line.startswith(("  2.", "  4.", "  6."))] == [
        "2.00",
        "4.00",
        "6.00",
    ]


def test_a_page_with_the_chart_needs_nothing_else(machine: Machine) -> None:
    outcome = machine.enova("simulate", *ENGINE, *LOAD, "--chart", "chart.html", "--rates", "2:6:2")
    page = (machine.folder / "chart.html").read_text(encoding="utf-8")

    assert outcome.code == 0, outcome.err
    assert "drawn: chart.html" in outcome.err
    assert "<svg" in page
    assert "Llama-3.1-8B-Instruct on h100-sxm" in page
    assert [word for word in ("<script", "<link", "<img", " src=", "@import", "<?xml") if word in page] == []


def test_a_chart_is_a_picture_if_its_file_is_called_one(machine: Machine) -> None:
    outcome = machine.enova("simulate", *ENGINE, *LOAD, "--chart", "chart.png")

    assert outcome.code == 0, outcome.err
    assert (machine.folder / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_that_could_not_be_written_is_refused_at_once(machine: Machine) -> None:
    outcome = machine.enova("simulate", *ENGINE, *LOAD, "--chart", "nowhere/chart.svg")

    assert (outcome.code, outcome.out) == (64, "")
    assert "--chart: there is no folder nowhere" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*ENGINE,), "the traffic is not known: injection.arrival is not set"),
        ((*ENGINE, "--rate", "0"), "--rate: must be above 0"),
        ((*ENGINE, "--rate", "nan"), "--rate: must be above 0"),
        ((*ENGINE, "--rate", "1", "--concurrency", "2"), "--rate and --concurrency do not go together"),
        ((*ENGINE, "--rate", "1", "--duration", "10"), "--duration: "),
        ((*ENGINE, "--rate", "1", "--slo", "ttft.p42=1s"), "--slo: ttft.p42=1s is not a promise"),
        ((*ENGINE, "--rate", "1", "--slo", "ttft.p95=0s"), "--slo: ttft.p95=0s: must be longer than 0s"),
        ((*ENGINE, "--rate", "1", "--rates", "1:2"), "--rates: 1:2 is not of the form A:B:N"),
        ((*ENGINE, "--rate", "1", "--rates", "5:2:3"), "--rates: A must be above 0, B above A"),
        ((*ENGINE, "--rate", "1", "--chart", "a.pdf"), "--chart: a.pdf is none of .png, .svg, .html"),
        ((*ENGINE, "--concurrency", "2", "--requests", "20", "--capacity"), "the rate cannot be set"),
        ((*ENGINE, "--rate", "1", "--prompt-tokens", "0"), "greater than or equal to 1"),
        (("--model", "meta-llama/Llama-3.1-8B-Instruct", "--rate", "1", "--gpu", "h1000"), "h1000"),
    ],
    ids=lambda value: " ".join(value[4:]) if isinstance(value, tuple) else None,
)
def test_what_makes_no_sense_is_refused_with_words(
    machine: Machine, arguments: tuple[str, ...], words: str
) -> None:
    outcome = machine.enova("simulate", *arguments)

    assert outcome.out == ""
    assert outcome.code in (1, 64)
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_an_engine_that_would_not_start_is_said_to_and_how_to_mend_it(machine: Machine) -> None:
    outcome = machine.enova(
        "simulate", "--model", "meta-llama/Llama-3.1-70B-Instruct", "--gpu", "l40s", "--rate", "1"
    )

    assert outcome.code == 1
    assert "error: meta-llama/Llama-3.1-70B-Instruct does not start on l40s: " in outcome.err


def test_mistakes_in_a_trace_are_reported_at_their_lines(machine: Machine) -> None:
    machine.write("t.csv", "timestamp,prompt_tokens,output_tokens\n1,5,x\n")
    path = machine.write(
        "chat.yaml", SPEC.split("injection")[0] + "injection: {arrival: {process: trace, file: ./t.csv}}\n"
    )
    outcome = machine.enova("simulate", path)

    assert outcome.code == 1
    assert "t.csv:2:0: output_tokens: 'x' is not a number of tokens" in outcome.err
    assert "error: 1 problem in the recorded traffic" in outcome.err


def test_a_spec_without_traffic_is_named(machine: Machine) -> None:
    path = machine.write("chat.yaml", SPEC.partition("injection:")[0])
    outcome = machine.enova("simulate", path)

    assert (outcome.code, outcome.out) == (64, "")
    assert "error: chat: the traffic is not known: injection.arrival is not set" in outcome.err
    assert "--prompt-tokens" in outcome.err


def test_a_trace_is_played_back(machine: Machine) -> None:
    rows = "".join(f"{second / 4},100,10\n" for second in range(100))
    machine.write("t.csv", f"timestamp,prompt_tokens,output_tokens\n{rows}")
    path = machine.write(
        "chat.yaml", SPEC.split("injection")[0] + "injection: {arrival: {process: trace, file: ./t.csv}}\n"
    )
    (found,) = forecasts(machine.enova("simulate", path, "--gpu", "h100-sxm", "-o", "json"))

    assert found["results"]["served"] == 100
