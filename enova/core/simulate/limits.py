"""What bounds a scheduler: plain numbers, so that it can be run without knowing any model or GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KvPages:
    """How a sequence's tokens turn into blocks.

    Layers are cached in groups that share one pool of blocks: `full_groups` blocks for every `block_size` tokens,
    and in each of `window_groups` no more than `window_blocks`, since what slid out of the window is given back.
    """

    block_size: int = 16
    full_groups: int = 1
    window_groups: int = 0
    window_blocks: int = 0
    per_sequence: int = 0
    """Blocks every sequence takes whatever its length (recurrent states)."""

    def of(self, tokens: int) -> int:
        """Return the blocks that a sequence of so many tokens holds."""
        blocks = -(-tokens // self.block_size)
        return self.full_groups * blocks + self.window_groups * min(blocks, self.window_blocks) + self.per_sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """vLLM's scheduler settings. For an engine with data-parallel ranks: of all ranks together."""

    max_num_seqs: int
    max_num_batched_tokens: int
    kv_blocks: int
    """Usable ones: vLLM's null block is already taken off."""
    pages: KvPages = KvPages()
    max_model_len: int = 1 << 40
    long_prefill_token_threshold: int = 0
    prefix_caching: bool = True
    chunked_prefill: bool = True
    reserve_full_prompt: bool = True
    watermark_blocks: int = 0
    decide_ahead: bool = False
    """Async scheduling: a batch is decided while the one before it runs, so it knows of arrivals and completions
    only up to the start of that one."""
    tokens_per_step: float = 1.0
    """Tokens a decoding sequence gains in a step; more than 1 with speculation."""
