"""Stages of inference-perf become injection reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.measurements.inference_perf import is_inference_perf, read_inference_perf

CONFIG = """\
data: {shared_prefix: {num_unique_system_prompts: 2, num_users_per_system_prompt: 5}}
load: {num_workers: 4, worker_max_concurrency: 10}
"""
MANIFEST = """\
      - args:
        - "--model=$(MODEL_ID)"
        - "--gpu_memory_utilization=0.9"
        - "--max-num-seqs=64"
        - "--no-enable-prefix-caching"
        - "--enable-chunked-prefill"
        env:
        - name: MODEL_ID
          value: org/model
        image: vllm/vllm-openai:v0.11.0
"""
HEADER = (
    "config,stage,n_ok,requested_rate,achieved_rate,ttft_mean_s,ttft_median_s,tpot_mean_s,e2e_mean_s,e2e_p99_s,"
    "prompt_len_mean,output_len_mean"
)
STEADY = "base,0,100,10,10.05,0.03,0.02,0.001,0.53,0.9,200.4,51"
FLOODED = "base,1,100,50,30,2,2,0.001,3,3,200.4,51"


def folder(path: Path, *rows: str, manifest: str = MANIFEST) -> Path:
    (path / "stages.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (path / "config.yaml").write_text(CONFIG)
    (path / "base__manifests.yaml").write_text(manifest)
    return path


def test_a_stage_is_a_steady_rate_against_the_engine_of_its_manifest(tmp_path: Path) -> None:
    ((place, report),), problems = read_inference_perf(folder(tmp_path, STEADY))

    assert problems == []
    assert report.tested is not None
    assert place == f"{tmp_path / 'stages.csv'}:2"
    assert (report.tested.model, report.tested.vllm, report.name) == ("org/model", "0.11", "base 0")
    assert report.tested.setup == {
        "gpu_memory_utilization": 0.9,
        "max_num_seqs": 64,
        "prefix_caching": False,
        "chunked_prefill": True,
    }
    injection = report.sent.injection.model_dump(mode="json", exclude_none=True)
    assert injection["arrival"]["process"] == "constant"
    assert injection["shared_prefix"] == {"tokens": 200, "count": 10}
    assert report.found.ttft.figures() == {"mean": 0.03, "p50": 0.02}
    assert report.found.tpot.mean == pytest.approx((0.53 - 0.03) / 50)


def test_an_engine_that_could_not_keep_up_had_as_many_users_as_connections(tmp_path: Path) -> None:
    ((_, report),), _ = read_inference_perf(folder(tmp_path, FLOODED))

    injection = report.sent.injection.model_dump(mode="json")
    assert (injection["arrival"]["process"], injection["arrival"]["users"]) == ("closed_loop", 40)
    assert report.found.requests_per_s == 30


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST.replace("v0.11.0", "v0.9.0"),
        MANIFEST.replace('"--max-num-seqs=64"', '"--quantization bitsandbytes"'),
        "nothing: here\n",
    ],
)
def test_engines_that_are_not_modelled_are_left_out(tmp_path: Path, manifest: str) -> None:
    assert read_inference_perf(folder(tmp_path, STEADY, manifest=manifest)) == ([], [])


def test_wrong_figures_are_told_with_their_place(tmp_path: Path) -> None:
    reports, problems = read_inference_perf(folder(tmp_path, STEADY.replace("0.53", "soon")))

    assert reports == []
    assert {(problem.line, problem.path) for problem in problems} == {(2, "e2e_mean_s")}


def test_a_client_that_is_not_described_is_a_problem_of_its_file(tmp_path: Path) -> None:
    lacking = folder(tmp_path, STEADY)
    (lacking / "config.yaml").write_text("load: {num_workers: many}\n")

    reports, (problem,) = read_inference_perf(lacking)

    assert reports == []
    assert problem.file.endswith("config.yaml")


def test_other_folders_are_none_of_these(tmp_path: Path) -> None:
    assert not is_inference_perf(tmp_path)
