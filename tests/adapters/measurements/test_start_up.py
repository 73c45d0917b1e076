"""Rows of start-up tables become starts."""

from __future__ import annotations

from pathlib import Path

from enova.adapters.measurements.start_up import read_start_ups

HEADER = (
    "log_file,status,model,gpu,tp,pp,dp,max_model_len,dtype,quantization,kv_cache_dtype,gpu_memory_utilization,"
    "init_total_memory_gib,weights_memory_gib,kv_cache_memory_gib,kv_cache_tokens,kv_cache_blocks,max_concurrency"
)
ROW = "a.log,ok,org/Model,H100-80GB,2,1,1,8192,torch.bfloat16,None,auto,0.95,79.5,14.99,58.11,476016,29751,58.11"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "starts.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_a_row_becomes_a_start_with_what_was_logged(tmp_path: Path) -> None:
    (start,), problems = read_start_ups(table(tmp_path, ROW))

    assert problems == []
    assert start.measured == {
        "weights": 14.99,
        "kv_memory": 58.11,
        "kv_tokens": 476016,
        "kv_blocks": 29751,
        "max_concurrency": 58.11,
    }
    assert (start.started, start.tensor_parallel, start.dtype, start.quantisation) == (True, 2, "bf16", "")
    assert start.memory_bytes == int(79.5 * 2**30)


def test_failed_starts_count_as_far_as_they_say_what_was_tried(tmp_path: Path) -> None:
    told = "b.log,failed,org/Model,H100-80GB,4,1,1,8192,torch.bfloat16,None,auto,0.95,79.5,,,,,"
    untold = "c.log,failed,,H100-80GB,,,,,,,,0.95,,,,,,"

    (start,), problems = read_start_ups(table(tmp_path, told, untold))

    assert problems == []
    assert (start.name, start.started, start.measured) == ("b.log", False, {})


def test_words_nobody_knows_are_problems(tmp_path: Path) -> None:
    starts, problems = read_start_ups(table(tmp_path, ROW.replace("ok", "perhaps").replace("bfloat16", "posit8")))

    assert starts == []
    assert [problem.path for problem in problems] == ["status", "dtype"]
