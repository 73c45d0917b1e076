"""`enova accuracy`: everybody's measurements beside predictions."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Machine

POINTS = """\
id,silicon_data_source,backend,backend_version,model_path,system,precision,isl,osl,batch_size,tp_size,silicon_ttft_ms,silicon_tpot_ms
mine,,vllm,0.19.0,meta-llama/Llama-3.1-8B-Instruct,h100_sxm,bf16,200,20,2,1,20,7
theirs,,vllm,0.19.0,meta-llama/Llama-3.1-8B-Instruct,abacus,bf16,200,20,2,1,20,7
"""
STARTS = """\
log_file,status,model,gpu,tp,max_model_len,dtype,gpu_memory_utilization,init_total_memory_gib,kv_cache_tokens,kv_cache_blocks
a.log,ok,meta-llama/Llama-3.1-8B-Instruct,H100-80GB,1,8192,torch.bfloat16,0.95,79.19,476000,29750
b.log,failed,meta-llama/Llama-3.1-8B-Instruct,H100-80GB,1,8192,torch.bfloat16,0.95,79.19,,
"""
REPORT: dict[str, Any] = {
    "kind": "enova injection report",
    "schema_version": 1,
    "name": "tuesday",
    "tested": {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "gpu": "h100-sxm",
        "vllm": "0.19.0",
        "setup": {"max_num_seqs": 8},
    },
    "sent": {
        "requests": 20,
        "injection": {
            "arrival": {"process": "closed_loop", "users": 2},
            "prompt_tokens": {"distribution": "fixed", "tokens": 100},
            "output_tokens": {"distribution": "fixed", "tokens": 10},
        },
    },
    "found": {
        "served": 20,
        "duration_s": 1.0,
        "requests_per_s": 20.0,
        "ttft": {"mean": 0.02, "p95": 0.03},
        "itl": {"p50": 0.007},
    },
}


def written(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def a_run(folder: str) -> str:
    meta = {
        "model": "meta-llama/Llama-3.1-8B",
        "vllm_version": "0.19.0",
        "engine_kwargs": {"max_num_seqs": 4, "max_model_len": 4096},
        "kv_cache": {"num_gpu_blocks": 2588},
    }
    request = {"input_toks": 100, "output_toks": 9, "queued_ts": 5.0, "first_token_ts": 5.1, "last_token_ts": 5.4}
    written(f"{folder}/meta.json", json.dumps(meta))
    written(f"{folder}/config.json", '{"nodes": [{"instances": [{"hardware": "RTX4090"}]}]}')
    written(f"{folder}/requests.jsonl", json.dumps(request) + "\n")
    written(f"{folder}/timeseries.csv", "t,running,waiting\n1.0,1,0\n2.0,0,0\n")
    return folder


def rows(out: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["point"], row["metric"]): row for row in json.loads(out)["rows"]}


def test_each_row_is_predicted_or_told_why_not(machine: Machine) -> None:
    shown = machine.enova("accuracy", written("points.csv", POINTS))

    assert shown.code == 0
    assert re.search(r"^points.csv:2 +mine +tpot_mean +7 ms +[\d.]+ ms +[+-][\d.]+%", shown.out, re.MULTILINE)
    assert re.search(r"^not predicted: points.csv:3: .*abacus", shown.out, re.MULTILINE)
    assert shown.err.endswith("2 figures predicted, 1 rows not\n")


def test_json_has_rows_groups_and_what_could_not_be_predicted(machine: Machine) -> None:
    shown = machine.enova("accuracy", written("points.csv", POINTS), "-o", "json")

    document = json.loads(shown.out)
    assert document["schema_version"] == 1
    assert [row["point"] for row in document["unpredicted"]] == ["theirs"]
    tpot = rows(shown.out)["mine", "tpot_mean"]
    assert tpot["measured"] == pytest.approx(0.007)
    assert tpot["error"] == pytest.approx(tpot["predicted"] / 0.007 - 1)
    assert {"source": "unknown", "metric": "tpot_mean"}.items() <= document["groups"][0].items()


def test_a_summary_leaves_out_the_rows(machine: Machine) -> None:
    shown = machine.enova("accuracy", written("points.csv", POINTS), "--summary")

    assert "points.csv:2" not in shown.out
    assert "unknown · h100-sxm" in shown.out


def test_start_ups_are_compared_and_failed_ones_told(machine: Machine) -> None:
    shown = machine.enova("accuracy", written("starts.csv", STARTS), "-o", "json")

    assert abs(rows(shown.out)["a.log", "kv_tokens"]["error"]) < 0.02
    assert "the start failed" in json.loads(shown.out)["unpredicted"][0]["reason"]


def test_a_recorded_run_is_replayed_and_drawn(machine: Machine) -> None:
    shown = machine.enova("accuracy", a_run("runs/one"), "-o", "json", "--chart", "runs.svg")

    found = rows(shown.out)
    assert found["one", "ttft_p90"]["measured"] == pytest.approx(0.1)
    assert found["one", "kv_blocks"]["measured"] == 2588
    assert "running, predicted" in Path("runs.svg").read_text()


def test_an_injection_report_is_simulated_as_it_was_sent(machine: Machine) -> None:
    shown = machine.enova("accuracy", written("report.json", json.dumps(REPORT)), "-o", "json")

    assert {metric for _, metric in rows(shown.out)} == {"ttft_mean", "ttft_p95", "itl_p50", "requests_per_s"}
    mean = rows(shown.out)["tuesday", "ttft_mean"]
    assert mean["low"] <= mean["predicted"] <= mean["high"]


def test_a_report_that_does_not_say_what_was_tested_is_told_and_not_compared(machine: Machine) -> None:
    untold = {key: value for key, value in REPORT.items() if key != "tested"}
    shown = machine.enova("accuracy", written("report.json", json.dumps(untold)))

    assert "the report does not say which engine got the load, or no model ran there" in shown.out + shown.err


def test_folders_are_searched_for_whatever_is_known(machine: Machine) -> None:
    a_run("lab/deep/run")
    written("lab/points.csv", POINTS)
    written("lab/notes.csv", "a,b\n1,2\n")
    written("lab/.hidden/starts.csv", STARTS)

    shown = machine.enova("accuracy", "lab", "-o", "json")

    assert {point for point, _ in rows(shown.out)} == {"run", "mine"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "points.csv",
            POINTS.replace(",20,2,1,", ",none,2,1,", 1),
            "points.csv:2:70: osl: 'none' is not a whole number of at least 1",
        ),
        ("other.csv", "a,b\n1,2\n", "other.csv:0:0: nothing that can be compared"),
        ("report.json", json.dumps(REPORT | {"schema_version": 3}), "report.json:0:0: schema_version: "),
    ],
)
def test_wrong_files_are_told_with_line_and_column(machine: Machine, name: str, text: str, told: str) -> None:
    shown = machine.enova("accuracy", written(name, text), "missing.csv")

    assert shown.code == 1
    assert told in shown.err
    assert "missing.csv:0:0: no such file" in shown.err
    assert shown.err.endswith("error: 2 problems in the measurements\n")


def test_a_chart_needs_a_recorded_run_and_a_known_kind_of_file(machine: Machine) -> None:
    assert "nothing to draw" in machine.enova("accuracy", written("p.csv", POINTS), "--chart", "a.svg").err
    assert "no known kind" in machine.enova("accuracy", a_run("run"), "--chart", "a.xyz").err


def test_without_matplotlib_a_chart_says_what_to_install(machine: Machine, without_matplotlib: None) -> None:
    shown = machine.enova("accuracy", a_run("run"), "--chart", "a.svg")

    assert (shown.code, "enova[charts]" in shown.err) == (64, True)


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*(name for name in sys.modules if name.startswith("matplotlib")), "matplotlib.figure"]:
        monkeypatch.setitem(sys.modules, name, None)
