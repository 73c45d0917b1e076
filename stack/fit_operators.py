"""Make enova/facts/efficiency.json: how close to its maker's figures each measured GPU gets, kernel by kernel.

    uv run python stack/fit_operators.py [FOLDER]    # default: $ENOVA_SHARED/data/operators

Reads NVIDIA aiconfigurator's measured kernel latencies (Apache-2.0): matrix products and all-reduce become grids
of measured over ideal time, attention a few parts fitted robustly to relative errors.
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
PROMPTS_OF = {"h200_sxm": "h100_sxm"}
"""The H200's table of prompt attention mixes windows with none; the chip that multiplies is the H100's."""
MOST_CHOSEN, MOST_TOKENS = 16, 16384
"""Of experts' tables; beyond them no server goes."""
MESSAGE_BYTES = tuple(256 << shift for shift in range(22))
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
        prompts = rows_of(folder, PROMPTS_OF.get(name, name), "context_attention_perf")
        sets[name] = {
            "family": family,
            "gemm": {
                FORMATS[word].value: grid(gemm, word, card) for word in sorted({r["gemm_dtype"] for r in gemm})
            },
            "decode_attention": decode_attention(decode, card, L2_BYTES.get(name, 0.0)),
            "prompt_attention": prompt_attention(prompts, gpu_card(PROMPTS_OF.get(name, name))),
            "allreduce": allreduce(rows_of(folder, name, "custom_allreduce_perf"), card),
            "experts": experts(rows_of(folder, name, "moe_perf"), card),
        }
        print(name, {key: list(value) for key, value in sets[name].items() if isinstance(value, dict)})
    OUTPUT.write_text(json.dumps({"source": SOURCE, "efficiency": sets}, separators=(",", ":")) + "\n")


def rows_of(folder: Path, name: str, kind: str) -> list[dict[str, str]]:
    """Return the rows of one table."""
    (path,) = folder.glob(f"{name}__*__{kind}.csv.gz")
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def grid(rows: list[dict[str, str]], word: str, card: GpuCard) -> dict[str, object]:
    """Return the grid of one format; holes take the values of the next rows.

    A product of fewer rows takes no longer than one of more, at worst it is padded, and one in FP8 no longer than
    in BF16: where a table says otherwise (B200's FP8 with less than 16 rows, by 40 %, and with more than 4096) it
    is of a kernel chosen badly.
    """
    numbers = FORMATS[word]
    compute = Numbers.FP8 if numbers is Numbers.FP8_BLOCK else numbers
    found: dict[tuple[int, int, int], list[float]] = defaultdict(list)
    for row in rows:
        if row["gemm_dtype"] == word:
            found[int(row["m"]), int(row["n"]), int(row["k"])].append(float(row["latency"]) / 1e3)
    if numbers is Numbers.FP8:
        found = quantised_elsewhere(found, rows, card)
    ratios = np.full((len(ROWS), len(SIDES), len(SIDES)), np.nan)
    for j, n in enumerate(SIDES):
        for at, k in enumerate(SIDES):
            measured = [m for m in ROWS if (m, n, k) in found]
            times = rising([median(found[m, n, k]) for m in measured])
            for m, seconds in zip(measured, times, strict=True):
                traffic = n * k * numbers.bytes_per_value + 2 * m * (n + k)
                ideal_s = max(traffic / card.memory_bytes_per_s, 2 * m * n * k / card.flops_for(compute))
                ratios[ROWS.index(m), j, at] = math.log(seconds / (ideal_s + GEMM_FLOOR_S))
    flat = ratios.reshape(len(ROWS), -1)
    for column in flat.T:
        known = np.flatnonzero(~np.isnan(column))
        if len(known):
            column[:] = np.interp(np.arange(len(ROWS)), known, column[known])
    for row_values in flat:
        row_values[np.isnan(row_values)] = np.nanmedian(row_values)
    return {"rows": ROWS, "sides": SIDES, "log_ratios": [round(float(value), 2) for value in flat.ravel()]}


Times = dict[tuple[int, int, int], list[float]]
"""Seconds by m, n and k."""


def quantised_elsewhere(fp8: Times, rows: list[dict[str, str]], card: GpuCard) -> Times:
    """Return times of FP8 products without what bringing activations [m, k] to FP8 takes, and not above BF16's.

    A table has that as a kernel of its own; servers compile it into the norm or activation before. Its launch is
    what the smallest product takes more than that in BF16, and it reads two bytes of a value and writes one.
    """
    wide: Times = defaultdict(list)
    for row in rows:
        if row["gemm_dtype"] == "bfloat16":
            wide[int(row["m"]), int(row["n"]), int(row["k"])].append(float(row["latency"]) / 1e3)
    found: Times = defaultdict(list)
    for (m, n, k), times in fp8.items():
        seconds, smallest = median(times), (m, SIDES[0], SIDES[0])
        if smallest in fp8 and smallest in wide:
            launch_s = max(0.0, median(fp8[smallest]) - median(wide[smallest]))
            seconds = max(seconds / 2, seconds - launch_s - 3 * m * k / card.memory_bytes_per_s)
        found[m, n, k] = [min(seconds, median(wide[m, n, k]))] if (m, n, k) in wide else [seconds]
    return found


def rising(times: list[float]) -> list[float]:
    """Return for each the shortest of the times from there on."""
    return [min(times[place:]) for place in range(len(times))]


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
            launch, head, ratio = robust_parts(np.array(features), np.array(times), (1e-5, 1e-7, 1.0))
            parts[numbers.value] = {
                "launch_s": round(float(launch), 8),
                "head_s": round(float(head), 10),
                "bytes_ratio": round(float(ratio), 3),
            }
    if Numbers.FP8.value not in parts:
        parts[Numbers.FP8.value] = parts[Numbers.BF16.value]
    return parts


def prompt_attention(rows: list[dict[str, str]], card: GpuCard) -> dict[str, object]:
    """Return the parts for each format of the cache: a launch, tokens, and pairs of tokens over peak FLOP/s."""
    parts = {}
    for word, numbers in (("bfloat16", Numbers.BF16), ("fp8", Numbers.FP8)):
        features, times = [], []
        for row in rows:
            heads, kv_heads = int(row["num_heads"]), int(row["num_key_value_heads"])
            if row["kv_cache_dtype"] != word or row["head_dim"] != "128" or not 1 < heads / max(kv_heads, 1) <= 16:
                continue
            if float(row.get("window_size") or 0) or float(row["step"]):
                continue
            prompts, tokens = int(row["batch_size"]), int(row["isl"])
            flop = prompts * heads * 4 * 128 * tokens * (tokens + 1) / 2
            moved = prompts * heads * tokens * 128 * 4
            features.append((1.0, moved / card.memory_bytes_per_s, flop / card.flops_for(Numbers.BF16)))
            times.append(float(row["latency"]) / 1e3)
        if times:
            launch, moving, ratio = robust_parts(np.array(features), np.array(times), (1e-5, 1.0, 1.5))
            parts[numbers.value] = {
                "launch_s": round(float(launch), 8),
                "tokens_ratio": round(float(moving), 3),
                "pairs_ratio": round(float(ratio), 3),
            }
    if Numbers.FP8.value not in parts:
        parts[Numbers.FP8.value] = parts[Numbers.BF16.value]
    return parts


def allreduce(rows: list[dict[str, str]], card: GpuCard) -> list[dict[str, object]]:
    """Return, by the number of GPUs, the shortest time and a grid of measured over ideal time by bytes.

    The table counts values of two bytes: counted as bytes, no GPU would come near what its links are known to do.
    """
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row["backend"] == "vllm_graph":
            found[int(row["num_gpus"])][2 * int(row["message_size"])] = float(row["latency"]) / 1e3
    grids = []
    for gpus, seconds in sorted(found.items()):
        sizes = sorted(seconds)
        seconds = dict(zip(sizes, rising([seconds[size] for size in sizes]), strict=True))
        launch_s = min(seconds.values())
        moved = {size: 2 * size * (gpus - 1) / gpus / card.link_bytes_per_s for size in MESSAGE_BYTES}
        ratios = [math.log(seconds[size] / (launch_s + moved[size])) for size in MESSAGE_BYTES]
        grids.append(
            {
                "gpus": gpus,
                "launch_s": round(launch_s, 8),
                "message_bytes": MESSAGE_BYTES,
                "log_ratios": [round(ratio, 2) for ratio in ratios],
            }
        )
    return grids


def experts(rows: list[dict[str, str]], card: GpuCard) -> dict[str, object]:
    """Return the four parts for each format. Those that are only stored are multiplied as BF16, and not here.

    Of each, tables with all experts on one GPU are taken: those that spread them do not say which tokens they had.
    """
    found: dict[Numbers, tuple[list[tuple[float, ...]], list[float]]] = defaultdict(lambda: ([], []))
    for row in rows:
        tokens, chosen, count = int(row["num_tokens"]), int(row["topk"]), int(row["num_experts"])
        if (
            row["moe_dtype"] not in FORMATS
            or row["moe_ep_size"] != "1"
            or row["distribution"] == "balanced"
            or chosen > MOST_CHOSEN
            or tokens > MOST_TOKENS
        ):
            continue
        numbers = FORMATS[row["moe_dtype"]]
        compute = Numbers.FP8 if numbers is Numbers.FP8_BLOCK else numbers
        hidden, width = int(row["hidden_size"]), int(row["inter_size"]) / int(row["moe_tp_size"])
        visited = count * (1 - (1 - chosen / count) ** tokens)
        read_s = visited * 3 * hidden * width * numbers.bytes_per_value / card.memory_bytes_per_s
        multiply_s = tokens * chosen * 6 * hidden * width / card.flops_for(compute)
        move_s = tokens * chosen * 3 * (hidden + width) * 2 / card.memory_bytes_per_s
        features, times = found[numbers]
        features.append((1.0, read_s, multiply_s, move_s))
        times.append(float(row["latency"]) / 1e3)
    parts = {}
    if Numbers.NVFP4 in found:
        # FlashInfer's kernels are what vLLM takes for these too where it has them; its tables are of Triton's.
        found[Numbers.FP8_BLOCK] = found[Numbers.MXFP4] = found[Numbers.NVFP4]
    for numbers, (features, times) in sorted(found.items()):
        launch, *ratios = robust_parts(np.array(features), np.array(times), (3e-5, 1.0, 2.0, 1.0), scale=0.1)
        names = ("bytes_ratio", "flops_ratio", "rows_ratio")
        parts[numbers.value] = {"launch_s": round(float(launch), 8)} | {
            name: round(float(ratio), 3) for name, ratio in zip(names, ratios, strict=True)
        }
    return parts


def robust_parts(
    features: np.ndarray, times: np.ndarray, start: tuple[float, ...], *, scale: float = 0.05
) -> np.ndarray:
    """Return positive factors of the features; a table with a few rows of another kind does not move them far."""

    def errors(logs: np.ndarray) -> np.ndarray:
        return np.log(features @ np.exp(logs) / times)

    return np.exp(least_squares(errors, np.log(start), loss="soft_l1", f_scale=scale).x)


if __name__ == "__main__":
    main()
