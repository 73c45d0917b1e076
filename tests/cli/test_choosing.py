"""What `enova plan` tells of what it chose, and of what users will see."""

from __future__ import annotations

import json

import pytest

from tests.cli.terminal import Machine, Outcome

pytestmark = pytest.mark.usefixtures("few_requests")

TRAFFIC = (
    "{arrival: {process: poisson, rate: 2/s}, prompt_tokens: {distribution: fixed, tokens: 200}, "
    "output_tokens: {distribution: fixed, tokens: 40}}"
)
MODEL = "Qwen/Qwen2.5-7B-Instruct"


def spec(machine: Machine, model: str = MODEL, name: str = "chat", **lines: str) -> str:
    sections = {"injection": TRAFFIC, "slo": "{tpot: {p95: 60ms}}"} | lines
    text = f"metadata: {{name: {name}}}\nmodel: {model}\n"
    return machine.write(
        f"{name}.yaml", text + "".join(f"{key}: {value}\n" for key, value in sections.items() if value)
    )


def test_a_new_service_is_shown_with_what_was_chosen_and_what_is_expected(machine: Machine) -> None:
    lines = machine.enova("plan", spec(machine)).out.splitlines()

    assert lines[:10] == [
        "chat",
        "  + create chat@gateway: not found",
        "  + create chat#0: not found",
        "  gpu: h100-sxm (recommended: the cheapest that will do at 2.69 USD/h)",
        "  replicas: 1 (recommended: the fewest that hold 1.2 x 2/s with tpot.p95 <= 60 ms)",
        "  scaling.max: 2 (recommended: 2 times what is needed, as far as budget and inventory go)",
        "  scaling.min: 1 (recommended: what the quietest traffic takes)",
        "  max_tokens to ask for: 64 (holds 99 % of answers; nothing enforces it)",
        "  forecast under poisson 2/s; step times: measured table; bands hold 90 % of cases",
        "                     now       after  band               promised",
    ]
    assert [line for line in lines if "60.0 ms: kept" in line]
    assert lines[-6:] == [
        "    $/h                -        2.69",
        lines[-5],
        "  takes about 111 s once image and weights are there; no request is interrupted",
        "",
        "Forecast: 0.00 $/h -> 2.69 $/h, 0 -> 1 GPUs, 1 of 1 services keep their promises",
        "Plan: 2 to create, 0 to replace, 0 to remove",
    ]


def test_a_change_is_shown_from_now_to_after(machine: Machine) -> None:
    machine.enova("apply", spec(machine), "--yes")

    shown = machine.enova("plan", spec(machine, scaling="{min: 2}"))

    assert "    GPUs             1 h100-sxm  2 h100-sxm\n" in shown.out
    assert "    $/h                    2.69        5.38\n" in shown.out
    assert "  scaling.min is pinned: 2 costs 2.69 USD/h more than 1 x h100-sxm\n" in shown.out
    assert "Forecast: 2.69 $/h -> 5.38 $/h, 1 -> 2 GPUs, 1 of 1 services keep their promises\n" in shown.out


def test_markdown_has_a_table_of_now_and_after(machine: Machine) -> None:
    machine.enova("apply", spec(machine), "--yes")

    shown = machine.enova("plan", spec(machine, scaling="{min: 2}"), "-o", "markdown").out

    assert "| | now | after | band | promised |\n|---|---|---|---|---|\n| TTFT p50 | " in shown
    assert "| GPUs | 1 h100-sxm | 2 h100-sxm |  |  |\n| $/h | 2.69 | 5.38 |  |  |\n" in shown


def test_json_has_now_after_promises_and_totals(machine: Machine) -> None:
    machine.enova("apply", spec(machine), "--yes")

    data = json.loads(machine.enova("plan", spec(machine, scaling="{min: 2}"), "-o", "json").out)

    forecast = data["forecast"]
    assert forecast["total"] == {"now": {"usd_per_h": 2.69, "gpus": 1}, "after": {"usd_per_h": 5.38, "gpus": 2}}
    chat = forecast["services"]["chat"]
    assert [(chat[when]["replicas"], chat[when]["expected"][0]["verdict"]) for when in ("now", "after")] == [
        (1, "kept"),
        (2, "kept"),
    ]
    assert {"field": "replicas", "value": 2, "provenance": "recommended"}.items() <= {
        choice["field"]: choice for choice in data["resolved"]["chat"]
    }["replicas"].items()
    assert data["considered"]["chat"]["ways"][0]["verdict"] == "chosen"


def test_a_plan_from_the_lock_shows_what_the_one_that_chose_did(machine: Machine) -> None:
    first = machine.enova("plan", spec(machine), "-o", "json").out
    second = machine.enova("plan", spec(machine), "-o", "json").out

    ours, theirs = json.loads(first), json.loads(second)
    assert (ours.pop("considered")["chat"]["infeasible"], "considered" in theirs) == (None, False)
    assert ours["forecast"]["services"]["chat"].pop("fresh") is True
    assert theirs["forecast"]["services"]["chat"].pop("fresh") is False
    assert ours == theirs


def test_explain_shows_what_else_was_considered(machine: Machine) -> None:
    machine.enova("plan", spec(machine))

    shown = machine.enova("plan", "chat.yaml", "--explain").out

    assert shown.startswith(
        "chat: what was considered\n"
        "WAY           REPLICAS    $/H  VERDICT\n"
        "h100-sxm             1   2.69  chosen\n"
        "h100-sxm TP2         -   5.38  costs more at best\n"
        "h100-sxm TP4         -  10.76  costs more at best\n"
        "h100-sxm TP8         -      -  its 28 attention heads cannot be shared by 8 GPUs\n"
        "\n"
        "chat\n"
    )


def test_a_chart_is_drawn_where_it_is_asked_for(machine: Machine) -> None:
    shown = machine.enova("plan", spec(machine), "--chart", "ways.svg")

    assert "drawn: ways.svg\n" in shown.err
    assert (machine.folder / "ways.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_chart_of_an_unknown_kind_is_refused_before_anything_is_done(machine: Machine) -> None:
    shown = machine.enova("plan", spec(machine), "--chart", "ways.pdf")

    assert shown == Outcome(64, "", "error: --chart: ways.pdf is none of .png, .svg, .html\n")


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ({}, "note: chat: nothing is chosen: no model ./mine was found"),
        ({"slo": "", "injection": ""}, ""),
    ],
    ids=["asked", "not asked"],
)
def test_a_model_that_nobody_knows_is_planned_with_defaults(
    machine: Machine, lines: dict[str, str], note: str
) -> None:
    shown = machine.enova("plan", spec(machine, "./mine", **lines))

    assert ("Plan: 2 to create" in shown.out, shown.code) == (True, 2)
    assert ("nothing is chosen: no model" in shown.out) == bool(note)
    assert not (machine.folder / "enova.lock").exists()


def test_a_recorded_trace_is_planned_for(machine: Machine) -> None:
    rows = "".join(f"{second / 4},200,40\n" for second in range(400))
    machine.write("monday.csv", f"timestamp,prompt_tokens,output_tokens\n{rows}")
    trace = "{arrival: {process: trace, file: ./monday.csv, speed: 2}}"

    shown = machine.enova("plan", spec(machine, injection=trace))
    machine.write("monday.csv", f"timestamp,prompt_tokens,output_tokens\n{rows}100.5,200,40\n")
    changed = machine.enova("plan", "chat.yaml")

    assert "replicas: 1 (recommended: the fewest that hold 1.2 x 8" in shown.out
    assert changed.err == "wrote enova.lock: commit it with the specs\n"


def test_a_trace_with_mistakes_refuses_the_plan_with_their_places(machine: Machine) -> None:
    machine.write("monday.csv", "timestamp,prompt_tokens,output_tokens\n0,many,40\n")

    shown = machine.enova("plan", spec(machine, injection="{arrival: {process: trace, file: ./monday.csv}}"))

    assert (shown.code, "refused: chat: nothing can be chosen: " in shown.out) == (1, True)


def test_an_emulated_engine_is_planned_for_as_the_gpu_it_emulates(machine: Machine) -> None:
    machine.host.gpus = ()
    engine = "{kind: emulated, extra_args: {emulate_gpu: l40s}}"

    shown = machine.enova("plan", spec(machine, engine=engine))

    assert [line.split() for line in shown.out.splitlines() if line.startswith("    GPUs")] == [
        ["GPUs", "-", "l40s"]
    ]
    assert "figures and prices are those of the GPU that is emulated; nothing is paid\n" in shown.out
    assert shown.code == 2


def test_two_services_share_the_gpus_there_are(machine: Machine) -> None:
    machine.host.gpus = machine.host.gpus[:1]  # type: ignore[index]
    files = [spec(machine, name=name, gateway=f"{{port: {port}}}") for name, port in (("a", 9300), ("b", 9301))]

    shown = machine.enova("plan", *files)

    assert shown.code == 1
    assert "refused: b: infeasible: nothing is left to run it on, others have all there is (hint: " in shown.out
