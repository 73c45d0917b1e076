"""Results of other tools become reports that say what their files say, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enova.adapters.measurements.results import read_any
from enova.core.spec.injection import Constant, Fixed, Gamma, Poisson
from enova.core.spec.units import Rate
from enova.core.workload.report import InjectionReport, Seen
from tests.core.workload.reports import report

DATA = Path(__file__).parents[2] / "data" / "results"

# The keys are those vLLM 0.11 writes (vllm/benchmarks/serve.py).
VLLM: dict[str, Any] = {
    "date": "20260101-120000",
    "endpoint_type": "openai",
    "model_id": "org/model",
    "num_prompts": 100,
    "request_rate": 5.0,
    "burstiness": 1.0,
    "max_concurrency": None,
    "duration": 20.0,
    "completed": 98,
    "total_input_tokens": 98_000,
    "total_output_tokens": 9800,
    "request_throughput": 4.9,
    "mean_ttft_ms": 50.0,
    "median_ttft_ms": 40.0,
    "std_ttft_ms": 5.0,
    "p99_ttft_ms": 90.0,
    "mean_tpot_ms": 10.0,
    "mean_itl_ms": 11.0,
    "mean_e2el_ms": 1000.0,
}


def seen(found: Seen) -> dict[str, object]:
    return {name: pytest.approx(value) for name, value in found.figures().items()}


def good(path: Path) -> InjectionReport:
    found, problems = read_any(path)
    assert problems == []
    assert found is not None
    return found


def vllm(folder: Path, **keys: Any) -> InjectionReport:
    path = folder / "v.json"
    path.write_text(json.dumps(VLLM | keys))
    return good(path)


def said(folder: Path, told: Any) -> list[str]:
    path = folder / "x.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    found, problems = read_any(path)
    assert found is None
    return [str(problem).removeprefix(f"{folder}/") for problem in problems]


def test_vllms_results_are_read(tmp_path: Path) -> None:
    found = vllm(tmp_path)

    assert (found.name, found.tested, found.sent.requests) == ("", None, 100)
    assert isinstance(found.sent.injection.arrival, Poisson)
    assert found.sent.injection.arrival.rate == Rate(5)
    assert found.sent.injection.prompt_tokens == Fixed(distribution="fixed", tokens=1000)
    assert found.sent.injection.output_tokens == Fixed(distribution="fixed", tokens=100)
    assert (found.found.served, found.found.failed) == (98, 2)
    assert (found.found.duration_s, found.found.requests_per_s) == (20, 4.9)
    assert seen(found.found.ttft) == {"mean": 0.05, "p50": 0.04, "p99": 0.09}
    assert (seen(found.found.tpot), seen(found.found.itl), seen(found.found.e2e)) == (
        {"mean": 0.01},
        {"mean": 0.011},
        {"mean": 1.0},
    )


def test_vllms_arrivals_are_bursts_closed_loops_or_not_told(tmp_path: Path) -> None:
    bursts = vllm(tmp_path, burstiness=0.25).sent.injection.arrival
    loop = vllm(tmp_path, request_rate="inf", max_concurrency=8).sent.injection.arrival

    assert isinstance(bursts, Gamma)
    assert bursts.cv == 2
    assert loop is not None
    assert loop.model_dump()["users"] == 8
    assert vllm(tmp_path, request_rate="inf").sent.injection.arrival is None


def test_a_run_in_which_nothing_was_answered_has_no_latencies(tmp_path: Path) -> None:
    found = vllm(tmp_path, completed=0, total_input_tokens=0, total_output_tokens=0)

    assert (found.found.failed, found.found.ttft, found.sent.injection.prompt_tokens) == (100, Seen(), None)


def test_aiperfs_results_are_read() -> None:
    found = good(DATA / "aiperf_0.13.json")

    assert (found.name, found.tested, found.sent.requests) == ("", None, 999)
    assert isinstance(found.sent.injection.arrival, Constant)
    assert found.sent.injection.arrival.rate == Rate(100)
    assert found.sent.injection.prompt_tokens == Fixed(distribution="fixed", tokens=16)
    assert found.found.duration_s == pytest.approx(9.979546624)
    assert found.found.requests_per_s == pytest.approx(99.89021429511266)
    assert seen(found.found.ttft) == {
        "mean": 0.00037921034934933,
        "p50": 0.000333157,
        "p90": 0.000483473,
        "p95": 0.0006507571,
        "p99": 0.0008007293,
    }
    assert found.found.tpot.mean == found.found.itl.mean == 0


def test_guidellms_results_are_read() -> None:
    found = good(DATA / "guidellm_0.8.json")

    assert (found.name, found.tested, found.sent.requests) == ("", None, 1001)
    assert isinstance(found.sent.injection.arrival, Constant)
    assert (found.found.served, found.found.failed, found.found.duration_s) == (1001, 0, 10)
    assert found.found.e2e.p50 == pytest.approx(0.0012586116790771484)
    assert found.found.ttft.p95 == pytest.approx(0.0007941722869873047)
    assert (found.found.tpot, seen(found.found.itl)) == (Seen(), {"mean": 9.914306732086273e-06})


def test_our_own_reports_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(report("mine").model_dump_json())

    assert good(path) == report("mine")


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    several = json.loads((DATA / "guidellm_0.8.json").read_text())
    several["benchmarks"] *= 3
    hint = "(hint: it may be an injection report of Enova's, or results of `vllm bench serve`, aiperf or GuideLLM)"

    assert said(tmp_path, {"a": 1}) == said(tmp_path, [1]) == [f"x.json:0:0: is not understood {hint}"]
    assert said(tmp_path, '{\n"a": }') == ["x.json:2:6: is not JSON: Expecting value"]
    assert said(tmp_path, several) == [
        "x.json:0:0: is not understood: it holds 3 runs, and a report is of one",
    ]
    assert said(tmp_path, {"benchmarks": [{"metrics": {}}]}) == ["x.json:0:0: lacks request_totals"]
    assert said(tmp_path, VLLM | {"duration": -1})[0].startswith("x.json:0:0: found.duration_s: ")
    assert said(tmp_path, VLLM | {"mean_ttft_ms": "soon"})[0].startswith("x.json:0:0: is not understood: ")
    assert read_any(tmp_path / "none.json")[1][0].message == "cannot be read: No such file or directory"
