"""How close to its maker's figures a GPU gets, as measured: the data that turns a roofline into a prediction."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enova.core.engine.numbers import Numbers

Floats = npt.NDArray[np.float64]

GEMM_FLOOR_S = 2e-6
"""Added to a product's ideal time before it is compared with the measured one: no kernel is shorter."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Measured over ideal time of products [m, k] x [k, n] on a grid; in between, linear in the logarithms."""

    rows: tuple[int, ...]
    """Values of m, ascending."""
    sides: tuple[int, ...]
    """Values of n and of k."""
    log_ratios: tuple[float, ...]
    """Natural logarithms, m slowest, then n, then k."""

    def ratios(self, tokens: Floats, n: float, k: float) -> Floats:
        """Return measured over ideal time for each m in `tokens`; outside the grid that of its nearest edge."""
        table = np.reshape(self.log_ratios, (len(self.rows), len(self.sides), len(self.sides)))
        columns = _at(table, self.sides, n)
        column = _at(columns, self.sides, k)
        ratios: Floats = np.exp(np.interp(np.log(tokens), np.log(self.rows), column))
        return ratios


def _at(table: Floats, sides: tuple[int, ...], wanted: float) -> Floats:
    """Return the table at one place of its second axis, between two of its points on a logarithmic scale."""
    wanted = min(max(wanted, sides[0]), sides[-1])
    index = min(bisect_right(sides, wanted) - 1, len(sides) - 2)
    part = math.log(wanted / sides[index]) / math.log(sides[index + 1] / sides[index])
    return table[:, index] + part * (table[:, index + 1] - table[:, index])


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeAttention:
    """Time of one layer's decode attention on one GPU: three parts that add up."""

    launch_s: float
    head_s: float
    """For each sequence and eight key-value heads."""
    bytes_ratio: float
    """Time to read the cache over what HBM bandwidth says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAttention:
    """Time of one layer's attention of prompts on one GPU: three parts that add up."""

    launch_s: float
    tokens_ratio: float
    """For each new token and head, over the time to read its query and write what comes out."""
    pairs_ratio: float
    """For pairs of tokens, over the time that peak BF16 FLOP/s would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduce:
    """Time of one all-reduce among so many GPUs, over the links' bandwidth and the shortest time there is."""

    gpus: int
    launch_s: float
    message_bytes: tuple[int, ...]
    """Ascending."""
    log_ratios: tuple[float, ...]

    def seconds(self, message_bytes: Floats, moved_s: Floats) -> Floats:
        """Return the times of messages which links at their full bandwidth would move in `moved_s`."""
        found = np.interp(np.log(message_bytes), np.log(self.message_bytes), self.log_ratios)
        seconds: Floats = (self.launch_s + moved_s) * np.exp(found)
        return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertTimes:
    """Time of one layer's experts on one GPU: four parts that add up."""

    launch_s: float
    """Routing, sorting, the launches of its kernels."""
    bytes_ratio: float
    """To read the weights of experts that are visited, over what HBM bandwidth says."""
    flops_ratio: float
    """To multiply, over the time of peak FLOP/s."""
    rows_ratio: float
    """To gather and scatter tokens, over the time to move them once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """What was measured on one kind of GPU."""

    gemm: Mapping[Numbers, Grid]
    decode_attention: Mapping[Numbers, DecodeAttention]
    """By the number format of the cache."""
    prompt_attention: Mapping[Numbers, PromptAttention]
    """By the number format of the cache."""
    allreduce: tuple[AllReduce, ...]
    """Ascending by the number of GPUs."""
    experts: Mapping[Numbers, ExpertTimes]
    """By the format of the weights."""
    family: str
    """hopper, blackwell …: which of the coefficients below hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What no operator table says, fitted to whole servers (docs/accuracy.md); all but seconds is over those."""

    gemm: Mapping[Numbers, float]
    """By the format of the weights, over the grid."""
    gemm_flops: float
    """More, over the time of peak FLOP/s: GPUs busy for long lower their clocks, which benchmarks do not see."""
    head: float
    attention: float
    """Decode attention, launch and heads."""
    attention_bytes: float
    prompt_attention: float
    elementwise: float
    """Norms, activations, rotary embedding: over the time to move what is between products."""
    expert_launch: float
    expert_bytes: Mapping[Numbers, float]
    """By the format of the weights, over the table of the format they are multiplied in; so are the next."""
    expert_flops: Mapping[Numbers, float]
    expert_rows: float
    allreduce_launch: float
    """The shortest all-reduce over the table's: ranks wait for each other, which a benchmark's do not."""
    layer_s: float
    step_s: float
    sequence_s: float
    """For each sequence in the batch: sampling."""
    host_sequence_s: float
    """More where scheduling is not asynchronous, and the GPU waits for the host's bookkeeping."""
    prompt_token_s: float
    prompt_step_s: float
    """More, when a step has prompt chunks."""
    launch_layer_s: float
    """To launch a layer's kernels in a step with more tokens than the largest captured piece: the host does so
    while the GPU works, so a step cannot be shorter than this for each."""
    launch_experts_s: float
    """More for a layer with experts."""
    eager_layer_s: float
    """For a layer of a model that is not compiled, instead of `launch_layer_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendTimes:
    """What a request costs outside the scheduler, in seconds."""

    before_s: float
    before_s_per_prompt_token: float
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All that was measured and fitted, for every kind of GPU."""

    efficiency: Mapping[str, Efficiency]
    """By the name that `GpuCard.efficiency` refers to."""
    coefficients: Mapping[str, Coefficients]
    """By family; `any` holds for those that have none of their own."""
    frontend: FrontendTimes

    def coefficients_for(self, family: str) -> Coefficients:
        """Return the coefficients of a family of GPUs."""
        return self.coefficients.get(family) or self.coefficients["any"]
