"""Step times from what a GPU can do, how close to it measured kernels get, and what fitted servers add to that.

A step's time is a sum: matrix products, decode and prompt attention, experts, all-reduce, element-wise work, and
fixed costs by layer, step and sequence. Products and experts depend on the number of tokens alone, so their sum is
tabulated once for each engine and read off linearly in between; decode attention is linear in the cached tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from enova.core.engine.attention_times import DecodeTimes, PromptTimes
from enova.core.engine.curves import Coefficients, Curves, Efficiency, Floats
from enova.core.engine.kernels import product_s, tokens_s
from enova.core.engine.products import computed_in, head_of
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Chunk, Frontend, Line, Origin

_INF = float("inf")
_KNOTS = (
    *(1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 896, 1024, 1280, 1536),
    *(1792, 2048, 2560, 3072, 4096, 5120, 6144, 8192, 12288, 16384, 32768, 65536, 131072),
)


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
        head_s = coefficients.head * product_s(head_of(setup), knots, setup, efficiency)
        self._token_s = _ByTokens(knots, tokens_s(setup, efficiency, coefficients, knots))
        self._head_s = _ByTokens(knots, head_s)
        self._sequence_s = coefficients.sequence_s
        if not setup.async_scheduling:
            self._sequence_s += coefficients.host_sequence_s
        self._fixed_s = coefficients.step_s + coefficients.layer_s * setup.model.layers
        pieces = setup.piecewise_graphs and not setup.enforce_eager
        self._captured_tokens = max(self._padded, default=0) if pieces else 0
        self._launch_s = _launch_s(setup, coefficients)
        self._shortest_decode_s = self._launch_s if setup.enforce_eager else 0.0
        self._attention = DecodeTimes(setup, efficiency, coefficients)
        self._prompt_attention = PromptTimes(setup, efficiency, coefficients)
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
