"""What one step's kernels take for so many tokens: products, experts, exchanges, and what is between them.

All of it depends on the number of tokens alone, whichever sequences they are of.
"""

from __future__ import annotations

import numpy as np

from enova.core.engine.curves import GEMM_FLOOR_S, Coefficients, Efficiency, Floats
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.products import Product, computed_in, products_of
from enova.core.engine.setup import EngineSetup

BF16_BYTES = 2
_RESIDUAL_VALUES = 4
"""Hidden-sized values that a layer's two norms read and write beside what products give and get."""


def tokens_s(setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds of all stages together for so many tokens on a rank, attention and output head aside."""
    products_s = np.zeros_like(tokens)
    for product in products_of(setup):
        measured_s = coefficients.gemm[product.weights] * product_s(product, tokens, setup, efficiency)
        products_s += product.times * (measured_s + coefficients.gemm_flops * _multiply_s(product, tokens, setup))
    return (
        products_s
        + _experts_s(setup, efficiency, coefficients, tokens * setup.data_parallel)
        + exchange_s(setup, efficiency, coefficients, tokens)
        + elementwise_s(setup, coefficients, tokens)
    )


def product_s(product: Product, tokens: Floats, setup: EngineSetup, efficiency: Efficiency) -> Floats:
    """Seconds for one product, by the grid of the format it is computed in."""
    n, k = product.n, product.k
    traffic = n * k * product.weights.bytes_per_value + BF16_BYTES * tokens * (n + k)
    reading_s = traffic / setup.gpu.read_bytes_per_s
    ideal_s = np.maximum(reading_s, _multiply_s(product, tokens, setup)) + GEMM_FLOOR_S
    compute = computed_in(product.weights, setup.model.formats.activations, setup.gpu)
    grids = efficiency.gemm
    grid = grids.get(compute) or grids.get(_scaled_once(compute)) or grids[Numbers.BF16]
    return ideal_s * grid.ratios(tokens, n, k)


def _multiply_s(product: Product, tokens: Floats, setup: EngineSetup) -> Floats:
    """Seconds for one product at peak FLOP/s."""
    compute = computed_in(product.weights, setup.model.formats.activations, setup.gpu)
    return tokens * (2 * product.n * product.k / flops_of(setup.gpu, _scaled_once(compute)))


def flops_of(gpu: GpuCard, compute: Numbers) -> float:
    """Return the FLOP/s that efficiencies are relative to."""
    return gpu.flops_for(compute) * gpu.flops_over_kin


def _scaled_once(compute: Numbers) -> Numbers:
    """Hardware multiplies blocks with a scale of their own as fast as whole tensors with one."""
    return Numbers.FP8 if compute is Numbers.FP8_BLOCK else compute


def _experts_s(setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds for the experts of all layers, with `tokens` tokens on all ranks together.

    Reading the weights of the experts that any token visits, multiplying, and moving tokens to experts and back
    add up: the kernels of a layer do one after the other more than they overlap.
    """
    model, gpu = setup.model, setup.gpu
    experts = model.experts
    if experts is None:
        return np.zeros_like(tokens)
    gpus = setup.tensor_parallel * setup.data_parallel
    spread = gpus if setup.expert_parallel else 1
    width = experts.intermediate_size * spread / gpus
    weights = model.formats.experts
    values = (3 if model.gated else 2) * model.hidden_size * width
    missed = (1 - experts.per_token / experts.count) ** tokens
    visited = experts.count * (1 - missed) / spread
    rows = tokens * experts.per_token / spread
    tables = efficiency.experts
    if weights is Numbers.MXFP4 and weights in tables:
        # The kernels that take it as it is want activations in eight bits.
        compute, measured = Numbers.FP8, tables[weights]
    else:
        compute = computed_in(weights, model.formats.activations, gpu)
        measured = tables.get(compute) or tables.get(_scaled_once(compute)) or tables[Numbers.BF16]
    read_s = visited * values * weights.bytes_per_value / gpu.read_bytes_per_s
    multiply_s = 2 * rows * values / flops_of(gpu, _scaled_once(compute))
    move_s = rows * (3 * model.hidden_size + 3 * width) * BF16_BYTES / gpu.read_bytes_per_s
    return experts.layers * (
        coefficients.expert_launch * measured.launch_s
        + coefficients.expert_bytes[weights] * measured.bytes_ratio * read_s
        + coefficients.expert_flops[weights] * measured.flops_ratio * multiply_s
        + coefficients.expert_rows * measured.rows_ratio * move_s
    )


def exchange_s(setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds for the two exchanges of activations in every layer: all-reduce, or gather and scatter of ranks."""
    gpus = setup.tensor_parallel * (setup.data_parallel if setup.model.experts else 1)
    if gpus == 1:
        return np.zeros_like(tokens)
    measured = next((entry for entry in efficiency.allreduce if entry.gpus >= gpus), efficiency.allreduce[-1])
    message_bytes = tokens * (setup.model.hidden_size * BF16_BYTES)
    moved_s = message_bytes * (2 * (gpus - 1) / gpus / setup.gpu.link_bytes_per_s)
    shortest_s = coefficients.allreduce_launch * measured.launch_s
    seconds = 2 * (shortest_s - measured.launch_s + measured.seconds(message_bytes, moved_s))
    if setup.model.norms_all_heads and setup.tensor_parallel > 1:
        seconds = seconds + shortest_s
    exchanged_s: Floats = setup.model.layers * seconds
    return exchanged_s


def elementwise_s(setup: EngineSetup, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds for what is between products: it reads what they give, and writes what they get.

    Norms are of whole rows on every GPU, the rest is cut as products are.
    """
    model = setup.model
    values = model.layers * model.hidden_size * _RESIDUAL_VALUES
    moved = values + sum(product.times * (product.n + product.k) for product in products_of(setup))
    return coefficients.elementwise * tokens * (moved * BF16_BYTES / setup.gpu.read_bytes_per_s)
