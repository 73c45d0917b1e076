"""Step times from what a GPU can do, how close to it measured kernels get, and what fitted servers add to that.

A step's time is a sum: matrix products, decode and prompt attention, experts, all-reduce, element-wise work, and
fixed costs by layer, step and sequence. Products and experts depend on the number of tokens alone, so their sum is
tabulated once for each engine and read off linearly in between; decode attention is linear in the cached tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from enova.core.engine.curves import GEMM_FLOOR_S, Coefficients, Curves, Efficiency, Floats
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import AttentionKind
from enova.core.engine.numbers import Numbers
from enova.core.engine.products import Product, computed_in, head_of, products_of
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Chunk, Frontend, Line, Origin

_INF = float("inf")
_BF16_BYTES = 2
_HEADS_PER_GROUP = 8
"""Key-value heads that `DecodeAttention.head_s` is for."""
_RESIDUAL_VALUES = 4
"""Hidden-sized values that a layer's two norms read and write beside what products give and get."""


def step_time_of(setup: EngineSetup, curves: Curves) -> Roofline:
    """Return the step times of an engine. Raises KeyError when `curves` lack the GPU's efficiency."""
    return Roofline(setup, curves)


def frontend_of(curves: Curves) -> Frontend:
    """Return what requests cost outside the scheduler."""
    times = curves.frontend
    return Frontend(times.before_s, times.before_s_per_prompt_token, times.after_s)


class Roofline:
    """The source of step times that needs no measurement of the engine itself.

    Pipeline stages work on different batches at the same time: vLLM keeps as many in flight as there are stages,
    and a sequence is in one of them. A step is one round, in which each of these batches goes through all stages
    and every sequence gains its token. Batches share the sequences evenly, as they do in time where sequences come
    and go; a prompt, as far as it fits, is in one of them. None overtakes another, so a round takes what its
    largest batch takes in all layers, and the output head, which is in the last stage alone, for every batch.

    That leaves out: who comes within a round waits for its end, not for the next batch of it; a burst that is
    scheduled as one batch stays one until other sequences come; pieces of a long prompt fill the pipeline at once;
    sending between stages takes no time. Followed batch by batch, two stages come to the same median TTFT and mean
    TPOT within some 10 %, but to a TTFT p95 of up to 1.8 times as much; four stages close to capacity differ more.
    """

    def __init__(self, setup: EngineSetup, curves: Curves) -> None:
        efficiency = curves.efficiency[setup.gpu.efficiency]
        self._coefficients = coefficients = curves.coefficients_for(efficiency.family)
        self._ranks, self._stages = setup.data_parallel, setup.pipeline_parallel
        self._most_tokens = setup.max_num_batched_tokens * setup.data_parallel
        drafted = setup.speculation.draft_tokens if setup.speculation else 0
        self._verified = 1 + drafted
        self._drafting = 1.0 + (drafted * setup.speculation.draft_share if setup.speculation else 0.0)
        self._padded = () if setup.enforce_eager else setup.cudagraph_sizes
        self.origin = _origin(setup, efficiency)
        self.window_tokens = setup.model.window_tokens
        knots = np.array(sorted({*_KNOTS, *setup.cudagraph_sizes}), dtype=float)
        head_s = coefficients.head * _product_s(head_of(setup), knots, setup, efficiency)
        self._token_s = _ByTokens(knots, _tokens_s(setup, efficiency, coefficients, knots))
        self._head_s = _ByTokens(knots, head_s)
        self._sequence_s = coefficients.sequence_s
        if not setup.async_scheduling:
            self._sequence_s += coefficients.host_sequence_s
        self._fixed_s = coefficients.step_s + coefficients.layer_s * setup.model.layers
        pieces = setup.piecewise_graphs and not setup.enforce_eager
        self._captured_tokens = max(self._padded, default=0) if pieces else 0
        self._launch_s = _launch_s(setup, coefficients)
        self._shortest_decode_s = self._launch_s if setup.enforce_eager else 0.0
        self._attention = _DecodeAttention(setup, efficiency, coefficients)
        self._prompt_attention = _PromptAttention(setup, efficiency, coefficients)
        self._lines: dict[int, Line] = {}

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:  # noqa: ARG002 - one line
        """Return the line for so many decoding sequences; it has no knots."""
        line = self._lines.get(decodes)
        if line is None:
            line = self._lines[decodes] = self._line(decodes)
        return line

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        """Return seconds for a step."""
        attention_s = 0.0
        if decodes:
            line = self.decode_line(decodes, kv_tokens, window_tokens)
            attention_s = line.per_kv_token_s * kv_tokens + line.per_window_token_s * window_tokens
            if not chunks:
                return line.base_s + attention_s
        attention_s += self._prompt_attention.launch_s
        new_tokens, longest, pairs_s = 0, 0, 0.0
        for new, context, _ in chunks:
            new_tokens += new
            if new > longest:
                longest = new
            pairs_s += self._prompt_attention.chunk_s(new, context)
        sequences = sampled = decodes + len(chunks)
        batches, decoding, in_batch = 1, decodes, new_tokens
        if self._stages > 1:
            batches = self._in_flight(sequences)
            decoding, sampled = -(-decodes // batches), -(-sequences // batches)
            in_batch = min(max(longest, -(-new_tokens // batches)), self._most_tokens)
            longest = min(longest, in_batch)
            pairs_s *= in_batch / new_tokens
        if decodes:
            attention_s += self._attention.base_s(decoding)
        decoded, on_a_rank = decoding * self._verified, in_batch
        if (ranks := self._ranks) > 1:
            # A prompt is on one rank, and all wait for the one with the most to do.
            on_a_rank = max(longest, -(-in_batch // ranks))
            decoded, sampled, sequences = (-(-count // ranks) for count in (decoded, sampled, sequences))
        computed = decoded + on_a_rank
        kernels_s = self._token_s[computed] + batches * self._head_s[sampled] + attention_s + pairs_s
        if kernels_s < self._launch_s and computed > self._captured_tokens:
            kernels_s = self._launch_s
        coefficients = self._coefficients
        return (
            self._fixed_s
            + coefficients.prompt_step_s
            + coefficients.prompt_token_s * new_tokens
            + self._sequence_s * sequences
            + kernels_s
        )

    def _line(self, decodes: int) -> Line:
        batches = self._in_flight(decodes)
        batch = -(-decodes // batches)
        at = bisect_right(self._padded, batch - 1)
        padded = self._padded[at] if at < len(self._padded) else batch
        computed, sampled, sequences = (
            -(-count // self._ranks) for count in (padded * self._verified, batch * self._verified, decodes)
        )
        kernels_s = self._token_s[computed] + batches * self._head_s[sampled] + self._attention.base_s(batch)
        base_s = self._fixed_s + self._sequence_s * sequences + max(kernels_s, self._shortest_decode_s)
        attention = self._attention
        return Line(
            self._drafting * base_s,
            self._drafting * attention.kv_token_s / batches,
            self._drafting * attention.window_token_s / batches,
            _INF,
            _INF,
        )

    def _in_flight(self, sequences: int) -> int:
        """Return how many batches so many sequences are in: no stage waits while there is one for it."""
        return max(1, min(self._stages, -(-sequences // self._ranks)))


class _ByTokens(dict[int, float]):
    """Seconds by the number of tokens, linear between knots; each is worked out once."""

    def __init__(self, knots: Floats, seconds: Floats) -> None:
        super().__init__()
        self._knots, self._seconds = knots, seconds

    def __missing__(self, tokens: int) -> float:
        seconds = self[tokens] = float(np.interp(tokens, self._knots, self._seconds))
        return seconds


def _origin(setup: EngineSetup, efficiency: Efficiency) -> Origin:
    """Kernels were measured on this very GPU and in this format, or the curves are those of kin."""
    compute = computed_in(setup.model.formats.mlp, setup.model.formats.activations, setup.gpu)
    own = setup.gpu.efficiency in (setup.gpu.name, *setup.gpu.aliases)
    return Origin.MEASURED_TABLE if own and compute in efficiency.gemm else Origin.ROOFLINE


def _launch_s(setup: EngineSetup, coefficients: Coefficients) -> float:
    """Seconds the host needs to launch what no graph holds."""
    model = setup.model
    layer_s = coefficients.eager_layer_s if setup.enforce_eager else coefficients.launch_layer_s
    return layer_s * model.layers + coefficients.launch_experts_s * (model.experts.layers if model.experts else 0)


def _tokens_s(setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds of all stages together for so many tokens on a rank, attention and output head aside."""
    products_s = np.zeros_like(tokens)
    for product in products_of(setup):
        measured_s = coefficients.gemm[product.weights] * _product_s(product, tokens, setup, efficiency)
        products_s += product.times * (measured_s + coefficients.gemm_flops * _multiply_s(product, tokens, setup))
    return (
        products_s
        + _experts_s(setup, efficiency, coefficients, tokens * setup.data_parallel)
        + _exchange_s(setup, efficiency, coefficients, tokens)
        + _elementwise_s(setup, coefficients, tokens)
    )


_KNOTS = (
    *(1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 896, 1024, 1280, 1536),
    *(1792, 2048, 2560, 3072, 4096, 5120, 6144, 8192, 12288, 16384, 32768, 65536, 131072),
)


def _product_s(product: Product, tokens: Floats, setup: EngineSetup, efficiency: Efficiency) -> Floats:
    """Seconds for one product, by the grid of the format it is computed in."""
    n, k = product.n, product.k
    traffic = n * k * product.weights.bytes_per_value + _BF16_BYTES * tokens * (n + k)
    reading_s = traffic / setup.gpu.read_bytes_per_s
    ideal_s = np.maximum(reading_s, _multiply_s(product, tokens, setup)) + GEMM_FLOOR_S
    compute = computed_in(product.weights, setup.model.formats.activations, setup.gpu)
    grids = efficiency.gemm
    grid = grids.get(compute) or grids.get(_scaled_once(compute)) or grids[Numbers.BF16]
    return ideal_s * grid.ratios(tokens, n, k)


def _multiply_s(product: Product, tokens: Floats, setup: EngineSetup) -> Floats:
    """Seconds for one product at peak FLOP/s."""
    compute = computed_in(product.weights, setup.model.formats.activations, setup.gpu)
    return tokens * (2 * product.n * product.k / _flops(setup.gpu, _scaled_once(compute)))


def _flops(gpu: GpuCard, compute: Numbers) -> float:
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
    multiply_s = 2 * rows * values / _flops(gpu, _scaled_once(compute))
    move_s = rows * (3 * model.hidden_size + 3 * width) * _BF16_BYTES / gpu.read_bytes_per_s
    return experts.layers * (
        coefficients.expert_launch * measured.launch_s
        + coefficients.expert_bytes[weights] * measured.bytes_ratio * read_s
        + coefficients.expert_flops[weights] * measured.flops_ratio * multiply_s
        + coefficients.expert_rows * measured.rows_ratio * move_s
    )


def _exchange_s(setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds for the two exchanges of activations in every layer: all-reduce, or gather and scatter of ranks."""
    gpus = setup.tensor_parallel * (setup.data_parallel if setup.model.experts else 1)
    if gpus == 1:
        return np.zeros_like(tokens)
    measured = next((entry for entry in efficiency.allreduce if entry.gpus >= gpus), efficiency.allreduce[-1])
    message_bytes = tokens * (setup.model.hidden_size * _BF16_BYTES)
    moved_s = message_bytes * (2 * (gpus - 1) / gpus / setup.gpu.link_bytes_per_s)
    shortest_s = coefficients.allreduce_launch * measured.launch_s
    seconds = 2 * (shortest_s - measured.launch_s + measured.seconds(message_bytes, moved_s))
    if setup.model.norms_all_heads and setup.tensor_parallel > 1:
        seconds = seconds + shortest_s
    exchanged_s: Floats = setup.model.layers * seconds
    return exchanged_s


def _elementwise_s(setup: EngineSetup, coefficients: Coefficients, tokens: Floats) -> Floats:
    """Seconds for what is between products: it reads what they give, and writes what they get.

    Norms are of whole rows on every GPU, the rest is cut as products are.
    """
    model = setup.model
    values = model.layers * model.hidden_size * _RESIDUAL_VALUES
    moved = values + sum(product.times * (product.n + product.k) for product in products_of(setup))
    return coefficients.elementwise * tokens * (moved * _BF16_BYTES / setup.gpu.read_bytes_per_s)


class _DecodeAttention:
    """Attention of decoding sequences, in all layers: a launch, a part by sequences, a part by cached tokens."""

    def __init__(self, setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients) -> None:
        model, ranks = setup.model, setup.data_parallel
        measured = efficiency.decode_attention[_cached_in(setup.kv_cache)]
        one_byte_s = (
            coefficients.attention_bytes * measured.bytes_ratio / setup.gpu.read_bytes_per_s / ranks
        ) * setup.kv_cache.bytes_per_value
        self._launch_s = self._sequence_s = 0.0
        self.kv_token_s = self.window_token_s = 0.0
        for entry in model.attention:
            kv_heads = max(1.0, entry.kv_heads / setup.tensor_parallel)
            # Latent attention has one key for all heads; its kernels split the work by the query heads.
            busy_heads = entry.heads / setup.tensor_parallel if model.latent else kv_heads
            width = model.latent.cached_width if model.latent else kv_heads * (entry.head_dim + entry.head_dim_v)
            self._launch_s += coefficients.attention * measured.launch_s * entry.layers
            self._sequence_s += (
                coefficients.attention * measured.head_s * busy_heads / _HEADS_PER_GROUP * entry.layers / ranks
            )
            if entry.kind is AttentionKind.LINEAR:
                moved = 2 * entry.state_bytes / setup.tensor_parallel
                self._sequence_s += entry.layers * moved / setup.gpu.read_bytes_per_s / ranks
            elif entry.kind is AttentionKind.SLIDING:
                self.window_token_s += entry.layers * width * one_byte_s
            else:
                self.kv_token_s += entry.layers * width * one_byte_s

    def base_s(self, decodes: int) -> float:
        """Return seconds that do not depend on how long contexts are."""
        return self._launch_s + self._sequence_s * decodes


def _cached_in(kv_cache: Numbers) -> Numbers:
    """Return the format of the tables that is nearest to a cache's."""
    return Numbers.FP8 if kv_cache.bytes_per_value < _BF16_BYTES else Numbers.BF16


class _PromptAttention:
    """Attention of a prompt chunk to itself and to what came before it, in all layers."""

    def __init__(self, setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients) -> None:
        model = setup.model
        measured = efficiency.prompt_attention[_cached_in(setup.kv_cache)]
        slower = coefficients.prompt_attention
        one_flop_s = slower * measured.pairs_ratio / _flops(setup.gpu, Numbers.BF16)
        one_value_s = slower * measured.tokens_ratio * _BF16_BYTES / setup.gpu.read_bytes_per_s
        self.launch_s = slower * measured.launch_s * model.layers
        self._full = self._windowed = self._token_s = 0.0
        self._window = model.window_tokens or 0
        for entry in model.attention:
            heads = entry.heads / setup.tensor_parallel
            latent = model.latent
            key_dim = latent.nope_dim + latent.rope_dim if latent else entry.head_dim
            value_dim = latent.v_dim if latent else entry.head_dim_v
            pair_s = entry.layers * 2 * heads * (key_dim + value_dim) * one_flop_s
            if entry.kind is AttentionKind.LINEAR:
                continue
            self._token_s += entry.layers * heads * (key_dim + value_dim) * one_value_s
            if entry.kind is AttentionKind.SLIDING:
                self._windowed += pair_s
            else:
                self._full += pair_s

    def chunk_s(self, new_tokens: int, context_tokens: int) -> float:
        """Return seconds for the pairs of tokens that look at each other."""
        pairs = new_tokens * (context_tokens + 0.5 * (new_tokens + 1))
        seconds = self._token_s * new_tokens + self._full * pairs
        if self._windowed:
            window = self._window
            growing = min(new_tokens, max(0, window - context_tokens))
            pairs = growing * (context_tokens + 0.5 * (growing + 1)) + (new_tokens - growing) * window
            seconds += self._windowed * pairs
        return seconds
