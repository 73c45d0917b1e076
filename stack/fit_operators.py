"""Make enova/facts/efficiency.json: how close to its maker's figures each measured GPU gets, kernel by kernel.

    uv run python stack/fit_operators.py [FOLDER]    # default: $ENOVA_SHARED/data/operators

Reads NVIDIA aiconfigurator's measured kernel latencies (Apache-2.0): matrix products become a grid of measured
over ideal time, decode attention three parts fitted robustly to relative errors.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import least_squares

from enova.adapters.facts import gpu_card
from enova.core.engine.curves import GEMM_FLOOR_S
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.numbers import Numbers

OUTPUT = Path(__file__).parents[1] / "enova/facts/efficiency.json"
FAMILIES = {
    "a100_sxm": "ampere",
    "l40s": "ada",
    "h100_sxm": "hopper",
    "h200_sxm": "hopper",
    "b200_sxm": "blackwell",
}
FORMATS = {
    "bfloat16": Numbers.BF16,
    "fp8": Numbers.FP8,
    "fp8_block": Numbers.FP8_BLOCK,
    "nvfp4": Numbers.NVFP4,
}
ROWS = (1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192)
SIDES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
L2_BYTES = {"l40s": 96e6}
"""Of the L40S every cache that fits its second-level cache is read from there, which serving never does."""
LONGEST_CONTEXT = 8192
"""Beyond it the H200's times double with each doubling of the context for no reason seen on any other GPU."""
SOURCE = (
    "NVIDIA aiconfigurator's measured kernels (vLLM 0.14 on A100, 0.24 on L40S, 0.19 on H100, H200, B200), "
    "Apache-2.0, github.com/ai-dynamo/aiconfigurator; condensed by stack/fit_operators.py"
)


def main() -> None:
    """Write the file."""
    shared = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[2] / "shared"))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "data/operators"
    sets = {}
    for name, family in FAMILIES.items():
        card = gpu_card(name)
        gemm = rows_of(folder, name, "gemm_perf")
        decode = rows_of(folder, name, "generation_attention_perf")
        sets[name] = {
            "family": family,
            "gemm": {
                FORMATS[word].value: grid(gemm, word, card) for word in sorted({r["gemm_dtype"] for r in gemm})
            },
            "decode_attention": decode_attention(decode, card, L2_BYTES.get(name, 0.0)),
        }
        print(name, {key: list(value) for key, value in sets[name].items() if isinstance(value, dict)})
    OUTPUT.write_text(json.dumps({"source": SOURCE, "efficiency": sets}, separators=(",", ":")) + "\n")


def rows_of(folder: Path, name: str, kind: str) -> list[dict[str, str]]:
    """Return the rows of one table."""
    (path,) = folder.glob(f"{name}__*__{kind}.csv.gz")
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def grid(rows: list[dict[str, str]], word: str, card: GpuCard) -> dict[str, object]:
    """Return the grid of one format; holes take the values of the next rows."""
    numbers = FORMATS[word]
    compute = Numbers.FP8 if numbers is Numbers.FP8_BLOCK else numbers
    found: dict[tuple[int, int, int], list[float]] = defaultdict(list)
    for row in rows:
        if row["gemm_dtype"] == word:
            found[int(row["m"]), int(row["n"]), int(row["k"])].append(float(row["latency"]) / 1e3)
    ratios = np.full((len(ROWS), len(SIDES), len(SIDES)), np.nan)
    for i, m in enumerate(ROWS):
        for j, n in enumerate(SIDES):
            for at, k in enumerate(SIDES):
                if times := found.get((m, n, k)):
                    traffic = n * k * numbers.bytes_per_value + 2 * m * (n + k)
                    ideal_s = max(traffic / card.memory_bytes_per_s, 2 * m * n * k / card.flops_for(compute))
                    ratios[i, j, at] = math.log(median(times) / (ideal_s + GEMM_FLOOR_S))
    flat = ratios.reshape(len(ROWS), -1)
    for column in flat.T:
        known = np.flatnonzero(~np.isnan(column))
        if len(known):
            column[:] = np.interp(np.arange(len(ROWS)), known, column[known])
    for row_values in flat:
        row_values[np.isnan(row_values)] = np.nanmedian(row_values)
    return {"rows": ROWS, "sides": SIDES, "log_ratios": [round(float(value), 2) for value in flat.ravel()]}


def decode_attention(rows: list[dict[str, str]], card: GpuCard, l2_bytes: float) -> dict[str, object]:
    """Return the three parts for each format of the cache."""
    parts = {}
    for word, numbers in (("bfloat16", Numbers.BF16), ("fp8", Numbers.FP8)):
        features, times = [], []
        for row in rows:
            heads, kv_heads = int(row["num_heads"]), int(row["num_key_value_heads"])
            if row["kv_cache_dtype"] != word or row["head_dim"] != "128" or not 1 < heads / max(kv_heads, 1) <= 16:
                continue
            if float(row.get("window_size") or 0):
                continue
            sequences, context = int(row["batch_size"]), int(row["step"]) + 1
            if context > LONGEST_CONTEXT:
                continue
            cached = 2 * sequences * context * kv_heads * 128 * numbers.bytes_per_value
            if 0.02 * l2_bytes < cached < l2_bytes:
                continue
            features.append((1.0, sequences * kv_heads / 8, cached / card.memory_bytes_per_s))
            times.append(float(row["latency"]) / 1e3)
        if times:
            launch, head, ratio = robust_parts(np.array(features), np.array(times))
            parts[numbers.value] = {
                "launch_s": round(float(launch), 8),
                "head_s": round(float(head), 10),
                "bytes_ratio": round(float(ratio), 3),
            }
    if Numbers.FP8.value not in parts:
        parts[Numbers.FP8.value] = parts[Numbers.BF16.value]
    return parts


def robust_parts(features: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return positive factors of the features; a table with a few rows of another kind does not move them far."""

    def errors(logs: np.ndarray) -> np.ndarray:
        return np.log(features @ np.exp(logs) / times)

    start = np.log([1e-5, 1e-7, 1.0])
    return np.exp(least_squares(errors, start, loss="soft_l1", f_scale=0.05).x)


if __name__ == "__main__":
    main()
