"""`enova backtest` replays traffic against policies, and refuses what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Machine, Outcome

SPEC = """\
metadata: {name: chat}
model: Qwen/Qwen3-8B
placement: {gpu_types: [L40S]}
slo: {ttft: {p99: 2s}, tpot: {p99: 60ms}}
scaling: {min: 1, max: 4}
injection:
  arrival: {process: poisson, rate: 2/s}
  prompt_tokens: {distribution: fixed, tokens: 800}
  output_tokens: {distribution: fixed, tokens: 60}
"""
RATES = "t_s,rate_rps\n0,1\n120,9\n240,1\n360,1\n"
ENGINE = ("--model", "Qwen/Qwen3-8B", "--gpu", "l40s", "--slo", "ttft.p99=2s")


@pytest.fixture
def spec(machine: Machine) -> str:
    machine.write("chat.yaml", SPEC)
    machine.write("rates.csv", RATES)
    return "chat.yaml"


def reports(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["schema_version"] == 1
    return list(found["backtests"])


@pytest.mark.slow
def test_a_spec_and_rates_are_all_it_takes(machine: Machine, spec: str) -> None:
    outcome = machine.enova("backtest", spec, "--trace", "rates.csv", "--start-up", "30s")

    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "chat: Qwen/Qwen3-8B on l40s, vLLM 0.32"
    assert "starts in 30.0 s" in outcome.out
    assert "at most 4 (scaling.max is 4)" in outcome.out
    table = {line.split()[0]: line for line in lines if line and not line.startswith(" ")}
    assert {"enova", "static-peak", "oracle"} <= table.keys()


@pytest.mark.slow
def test_json_has_all_figures_and_every_decision_with_its_reason(machine: Machine, spec: str) -> None:
    args = ("--trace", "rates.csv", "--start-up", "30s", "--policy", "enova", "--policy", "dstack", "-o", "json")
    (found,) = reports(machine.enova("backtest", spec, *args))
    ours, theirs = found["policies"]

    assert (ours["name"], theirs["name"]) == ("enova", "dstack")
    assert ours["requests"] == theirs["requests"] == found["traffic"]["requests"]
    assert 0.9 < ours["attainment"] <= 1
    assert ours["gpu_h"] == pytest.approx(ours["of_oracle"] * found["oracle"]["gpu_h"])
    changes = [one for one in ours["decisions"] if one["replicas"] != one["up"]]
    assert changes
    assert all(one["reason"] and one["capacity_per_s"] > 0 for one in changes)
    assert theirs["decisions"] == []
    assert found["oracle"]["attainment"] >= found["target"]


@pytest.mark.slow
def test_recorded_requests_are_replayed_and_can_be_thinned(machine: Machine, spec: str) -> None:
    rows = "".join(f"{place / 4},300,20\n" for place in range(400))
    machine.write("requests.csv", "timestamp,prompt_tokens,output_tokens\n" + rows)
    args = (spec, "--trace", "requests.csv", "--no-oracle", "-o", "json")
    (whole,) = reports(machine.enova("backtest", *args))
    (thinned,) = reports(machine.enova("backtest", *args, "--rate", "1"))
    more = machine.enova("backtest", *args, "--rate", "9")

    assert whole["traffic"]["requests"] == 400
    assert thinned["traffic"]["requests"] == pytest.approx(100, abs=35)
    assert whole["oracle"] is None
    assert (more.code, "no more can be made" in more.err) == (64, True)


@pytest.mark.slow
def test_the_specs_own_traffic_is_replayed_where_it_has_an_end(machine: Machine, spec: str) -> None:
    endless = machine.enova("backtest", spec)
    cut = machine.enova("backtest", spec, "--duration", "2m", "--no-oracle", "-o", "json")

    assert (endless.code, "never ends" in endless.err) == (64, True)
    assert reports(cut)[0]["traffic"]["duration_s"] == pytest.approx(120)


@pytest.mark.slow
def test_rates_can_be_scaled_to_any(machine: Machine, spec: str) -> None:
    args = (spec, "--trace", "rates.csv", "--no-oracle", "-o", "json")
    (few,) = reports(machine.enova("backtest", *args, "--rate", "0.5"))
    (many,) = reports(machine.enova("backtest", *args, "--rate", "5"))

    assert few["traffic"]["requests"] == pytest.approx(180, rel=0.3)
    assert many["traffic"]["requests"] == pytest.approx(1800, rel=0.1)


@pytest.mark.slow
def test_a_model_and_a_gpu_do_without_a_spec(machine: Machine, spec: str) -> None:
    (found,) = reports(
        machine.enova("backtest", *ENGINE, "--trace", "rates.csv", "--rate", "1", "--no-oracle", "-o", "json")
    )

    assert found["service"] is None
    assert found["promises"] == [{"metric": "ttft", "statistic": "p99", "target_s": 2.0}]


@pytest.mark.slow
def test_a_report_opens_offline(machine: Machine, spec: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outcome = machine.enova("backtest", spec, "--trace", "rates.csv", "--html", str(page))

    assert outcome.code == 0, outcome.err
    text = page.read_text()
    assert "<svg" in text
    assert "Why enova decided so" in text
    assert "src=" not in text
    assert "<script" not in text


@pytest.mark.slow
def test_an_slo_nobody_can_keep_is_said(machine: Machine, spec: str) -> None:
    outcome = machine.enova("backtest", spec, "--trace", "rates.csv", "--slo", "ttft.p99=1ms")

    assert outcome.code == 0, outcome.err
    assert "infeasible" in outcome.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--policy", "magic"), "--policy: magic is not known"),
        (("--trace", "absent.csv"), "absent.csv"),
        (("--trace", "rates.csv", "--rate", "0"), "--rate: must be above 0"),
        (("--trace", "rates.csv", "--start-up", "soon"), "--start-up"),
        (("--duration", "0s"), "--duration"),
    ],
)
def test_what_makes_no_sense_is_refused(machine: Machine, spec: str, args: tuple[str, ...], words: str) -> None:
    outcome = machine.enova("backtest", spec, *args)

    assert outcome.code != 0
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_without_a_promise_nothing_can_be_attained(machine: Machine, spec: str) -> None:
    outcome = machine.enova("backtest", "--model", "Qwen/Qwen3-8B", "--gpu", "l40s", "--trace", "rates.csv")

    assert (outcome.code, "nothing is promised" in outcome.err) == (64, True)


@pytest.mark.slow
def test_all_policies_run_over_one_trace(machine: Machine, spec: str) -> None:
    args = ("--trace", "rates.csv", "--policy", "all", "--no-oracle", "--start-up", "20s", "--failures", "20")
    (found,) = reports(machine.enova("backtest", spec, *args, "-o", "json"))

    assert len(found["policies"]) == 15
    assert all(0 <= one["attainment"] <= 1 and one["gpu_h"] > 0 for one in found["policies"])
    peaks = {one["name"]: one["ups"] + one["downs"] for one in found["policies"]}
    assert peaks["static-peak"] <= 1


@pytest.mark.slow
def test_a_plan_says_what_would_have_become_of_past_traffic(machine: Machine, spec: str) -> None:
    machine.write(
        "chat.yaml",
        SPEC.replace("scaling:", "engine: {kind: emulated, extra_args: {emulate_gpu: l40s}}\nscaling:"),
    )
    shown = machine.enova("plan", spec, "--backtest", "rates.csv")
    told = machine.enova("plan", spec, "--backtest", "rates.csv", "-o", "json")
    unknown = machine.enova("plan", spec, "--backtest", "24h")
    wrong = machine.enova("plan", spec, "--backtest", "absent.csv")

    assert "Backtest on rates.csv" in shown.out
    assert "chat: with replicas that follow the traffic: " in shown.out
    assert "chat: with replicas as planned: " in shown.out
    policies = json.loads(told.out)["backtest"]["chat"]["policies"]
    assert [one["name"] for one in policies] == ["enova", "planned"]
    assert "chat: none: chat: no traffic of that time is kept" in unknown.out
    assert (wrong.code, "neither a file that is there nor a time" in wrong.err) == (64, True)
