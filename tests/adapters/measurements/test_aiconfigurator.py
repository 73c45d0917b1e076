"""Rows of aiconfigurator's tables become points, or problems with their place."""

from __future__ import annotations

from pathlib import Path

from enova.adapters.measurements.aiconfigurator import read_aiconfigurator
from enova.core.accuracy.point import ServingPoint

HEADER = (
    "id,silicon_data_source,backend,backend_version,model_path,system,precision,mode,isl,osl,gemm_quant_mode,"
    "moe_quant_mode,batch_size,tp_size,pp_size,attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms"
)
ROW = (
    "r1,source_file=x.csv; silicon_concurrency=8; measured=2026-03-11T18:39:31Z; wip=False,vllm,0.17.0,"
    "org/Model,b200_sxm,fp8,agg,1024,512,fp8,fp8,4,2,1,2,1,4,100.5,9.5"
)


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "measured.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_row_becomes_a_point_in_seconds_with_all_its_users(tmp_path: Path) -> None:
    (point,), problems = read_aiconfigurator(table(tmp_path, ROW))

    assert problems == []
    assert point == ServingPoint(
        name="r1",
        file=str(tmp_path / "measured.csv"),
        line=2,
        source="inferencex",
        run="source_file=x.csv; silicon_concurrency=8; measured=2026-03-11T18:39:31Z; wip=False; 0.17.0",
        measured_on="2026-03-11",
        model="org/Model",
        gpu="b200-sxm",
        quantisation="fp8",
        vllm=(0, 17),
        tensor_parallel=2,
        pipeline_parallel=1,
        data_parallel=2,
        expert_parallel=True,
        users=8,
        isl=1024,
        osl=512,
        ttft_s=0.1005,
        tpot_s=0.0095,
    )


def test_what_a_row_leaves_blank_is_open_or_one(tmp_path: Path) -> None:
    row = "r1,,,,org/Model,h200_sxm,bf16,,4000,500,bfloat16,,16,4,,,,,,7.25"

    (point,), problems = read_aiconfigurator(table(tmp_path, row))

    assert problems == []
    assert (point.vllm, point.measured_on, point.source) == (None, "", "unknown")
    assert (point.pipeline_parallel, point.data_parallel, point.expert_parallel, point.users) == (1, 1, False, 16)
    assert (point.quantisation, point.ttft_s, point.tpot_s) == ("bf16", None, 0.00725)


def test_a_nightly_build_has_no_version(tmp_path: Path) -> None:
    (point,), _ = read_aiconfigurator(table(tmp_path, ROW.replace("0.17.0", "nightly-5b8c30d62b754b57")))

    assert point.vllm is None
    assert point.run.endswith("nightly-5b8c30d62b754b57")


def test_runs_from_a_home_folder_are_nvidias_own(tmp_path: Path) -> None:
    row = ROW.replace("source_file=x.csv", "source_file=/Users/someone/data/x.csv")

    assert read_aiconfigurator(table(tmp_path, row))[0][0].source == "nvidia"


def test_all_that_is_wrong_is_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    bad = ROW.replace(",1024,512,", ",many,0.5,").replace(",vllm,", ",sglang,").replace("100.5", "-3")

    points, problems = read_aiconfigurator(table(tmp_path, ROW, bad))

    assert [point.name for point in points] == ["r1"]
    assert [(problem.line, problem.path) for problem in problems] == [
        (3, "backend"),
        (3, "silicon_ttft_ms"),
        (3, "isl"),
        (3, "osl"),
    ]
    assert problems[0].column == bad.index("sglang") + 1
    assert problems[1].column == bad.index("-3") + 1
    assert "sglang cannot be compared" in str(problems[0])


def test_a_table_without_the_columns_that_matter_says_which(tmp_path: Path) -> None:
    points, (problem,) = read_aiconfigurator(table(tmp_path, header="model_path,isl,osl,silicon_ttft_ms"))

    assert points == []
    assert problem.message == "no column system, batch_size, tp_size"


def test_a_table_that_measured_nothing_says_so(tmp_path: Path) -> None:
    _, (problem,) = read_aiconfigurator(table(tmp_path, header="model_path,system,isl,osl,batch_size,tp_size"))

    assert "nothing measured" in problem.message


def test_a_row_of_another_length_than_the_header_is_a_problem(tmp_path: Path) -> None:
    _, (problem,) = read_aiconfigurator(table(tmp_path, "r1,short"))

    assert (problem.line, problem.message) == (2, "2 fields where the header has 20")
