"""What attention takes: of decoding sequences, linear in the cached tokens; of prompts, by pairs of tokens."""

from __future__ import annotations

from enova.core.engine.curves import Coefficients, Efficiency
from enova.core.engine.kernels import BF16_BYTES, flops_of
from enova.core.engine.model_card import AttentionKind
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup

_HEADS_PER_GROUP = 8
"""Key-value heads that `DecodeAttention.head_s` is for."""


class DecodeTimes:
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
    return Numbers.FP8 if kv_cache.bytes_per_value < BF16_BYTES else Numbers.BF16


class PromptTimes:
    """Attention of a prompt chunk to itself and to what came before it, in all layers."""

    def __init__(self, setup: EngineSetup, efficiency: Efficiency, coefficients: Coefficients) -> None:
        model = setup.model
        measured = efficiency.prompt_attention[_cached_in(setup.kv_cache)]
        slower = coefficients.prompt_attention
        one_flop_s = slower * measured.pairs_ratio / flops_of(setup.gpu, Numbers.BF16)
        one_value_s = slower * measured.tokens_ratio * BF16_BYTES / setup.gpu.read_bytes_per_s
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
