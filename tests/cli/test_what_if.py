"""`enova what-if`."""

from __future__ import annotations

import json

import pytest

from tests.cli.terminal import Machine

pytestmark = pytest.mark.usefixtures("few_requests")

TRAFFIC = (
    "{arrival: {process: poisson, rate: 2/s}, prompt_tokens: {distribution: fixed, tokens: 200}, "
    "output_tokens: {distribution: fixed, tokens: 40}}"
)


def spec(machine: Machine, **lines: str) -> str:
    sections = {"injection": TRAFFIC, "slo": "{tpot: {p95: 60ms}}"} | lines
    text = "metadata: {name: chat}\nmodel: Qwen/Qwen2.5-7B-Instruct\n"
    return machine.write("chat.yaml", text + "".join(f"{key}: {value}\n" for key, value in sections.items()))


def test_the_spec_as_it_is_written_stands_beside_what_is_supposed(machine: Machine) -> None:
    shown = machine.enova("what-if", spec(machine), "--set", "scaling.min=2")

    assert "as written     what if" in shown.out
    assert "    $/h                    2.69        5.38\n" in shown.out
    assert "scaling.min is pinned: 2 costs 2.69 USD/h more than 1 x h100-sxm" in shown.out
    assert (shown.code, shown.err) == (0, "")


def test_nothing_is_written_or_done(machine: Machine) -> None:
    machine.enova("what-if", spec(machine), "--set", "injection.rate=9/s")

    assert sorted(path.name for path in machine.folder.iterdir()) == ["chat.yaml"]
    assert machine.host.writes == []


def test_json_has_both_forecasts_and_what_would_be_chosen(machine: Machine) -> None:
    data = json.loads(machine.enova("what-if", spec(machine), "--set", "scaling.min=2", "-o", "json").out)

    service = data["services"]["chat"]
    assert (data["kind"], data["set"]) == ("WhatIf", ["scaling.min=2"])
    assert service["chosen"] == {"gpu": "h100-sxm", "replicas": 2, "scaling.max": 4}
    assert [service[name]["replicas"] for name in ("as_written", "what_if")] == [1, 2]
    assert data["total"] == {
        "now": {"usd_per_h": 2.69, "gpus": 1},
        "after": {"usd_per_h": 5.38, "gpus": 2},
    }


def test_markdown_is_a_table_for_a_pull_request(machine: Machine) -> None:
    shown = machine.enova("what-if", spec(machine), "--set", "scaling.min=2", "-o", "markdown")

    assert "| | as written | what if | band | promised |" in shown.out


def test_what_cannot_be_is_said_with_the_nearest_that_can(machine: Machine) -> None:
    shown = machine.enova("what-if", spec(machine), "--set", "slo.tpot.p95=1ms")

    assert shown.code == 1
    assert shown.err.startswith("chat: infeasible: ")
    assert "tpot.p95 up to" in shown.err
    assert "slo.tpot.p95" in shown.err


def test_without_a_change_it_says_how_to_make_one(machine: Machine) -> None:
    shown = machine.enova("what-if", spec(machine))

    assert (shown.code, shown.err) == (
        64,
        "error: nothing is set\nhint: for example --set slo.ttft.p95=300ms\n",
    )
