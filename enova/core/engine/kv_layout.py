"""How the KV cache is cut into blocks: vLLM's groups of layers, and the bytes one block takes.

Layers that are cached alike form groups of equal size. Every group has a table of blocks of its own, and all draw
from one pool; a block of the pool is as wide as one group (vllm/v1/core/kv_cache_utils.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from enova.core.engine.model_card import Attention, AttentionKind
from enova.core.engine.setup import EngineSetup
from enova.core.engine.versions import behaviour_of
from enova.core.engine.weights import INDEXER_HEAD_DIM, stage_layers

SPARSE_FP8_BYTES = 656
"""A token's entry of FlashMLA's sparse FP8 cache: 512 values, 4 scales, 64 rotary values in 16 bits."""
INDEXER_SCALE_BYTES = 4
ALMOST_ALIKE = 1.5
"""Kinds of layers whose numbers differ by less are padded to the larger number, not split by the smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KvGroup:
    """Layers that share one table of blocks."""

    kind: AttentionKind
    layers: int
    block_size: int
    """Tokens of one block."""
    window_tokens: int | None = None
    states: int = 1
    """Recurrent layers: blocks of one sequence, whatever its length."""

    def blocks(self, tokens: int, in_flight: int) -> int:
        """Return the most blocks a sequence of so many tokens holds, with `in_flight` tokens not settled yet."""
        if self.kind is AttentionKind.LINEAR:
            return self.states
        if self.window_tokens is None:
            return -(-tokens // self.block_size)
        kept = min(self.window_tokens - 1 + in_flight, tokens)
        # One more, since a window may begin in the midst of a block.
        return -(-kept // self.block_size) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KvLayout:
    """All groups, and what one block takes on one GPU of each pipeline stage."""

    groups: tuple[KvGroup, ...]
    bytes_per_block: tuple[int, ...]
    """By stage."""
    in_flight: int
    """Tokens that steps under way may add to a sequence before what slid out of a window is given back."""

    @property
    def block_size(self) -> int:
        """Return the tokens of the smallest block that holds tokens."""
        return min(group.block_size for group in self.groups)

    def blocks(self, tokens: int) -> int:
        """Return the most blocks a sequence of so many tokens holds, as vLLM reckons at start-up."""
        return sum(group.blocks(tokens, self.in_flight) for group in self.groups)


@dataclass(frozen=True, slots=True)
class _Kind:
    """Layers that are cached alike."""

    kind: AttentionKind
    window_tokens: int | None
    layers: int
    page_bytes: int
    """Of one layer and block; of a recurrent layer, its whole state."""


def kv_layout(setup: EngineSetup) -> KvLayout:
    """Return the layout of a setup's KV cache."""
    kinds = [_kind(setup, entry) for entry in setup.model.attention if not entry.shares_cache]
    stages = stage_layers(setup.model.layers, setup.pipeline_parallel)
    shares = [layers / setup.model.layers for layers in stages]
    if len({(kind.kind, kind.window_tokens) for kind in kinds}) == 1:
        groups, widths = _one_group(setup, kinds, shares)
    else:
        groups, widths = _many_groups(setup, kinds, shares)
    steps = 1
    if behaviour_of(setup.vllm).in_flight_windows:
        steps = setup.pipeline_parallel + (1 if setup.async_scheduling else 0)
    return KvLayout(groups=groups, bytes_per_block=widths, in_flight=steps * setup.max_num_batched_tokens)


def _kind(setup: EngineSetup, entry: Attention) -> _Kind:
    model = setup.model
    width = setup.kv_cache.bytes_per_value
    if entry.kind is AttentionKind.LINEAR:
        page = float(entry.state_bytes) / setup.tensor_parallel
    elif model.latent is not None:
        of_token = model.latent.cached_width * width
        if entry.sparse_tokens is not None:
            of_token = SPARSE_FP8_BYTES if width == 1 else of_token
            of_token += INDEXER_HEAD_DIM + INDEXER_SCALE_BYTES
        page = setup.block_size * of_token
    else:
        heads = max(1, -(-entry.kv_heads // setup.tensor_parallel))
        page = setup.block_size * heads * (entry.head_dim + entry.head_dim_v) * width
    return _Kind(entry.kind, entry.window_tokens, entry.layers, math.ceil(page))


def _one_group(
    setup: EngineSetup, kinds: list[_Kind], shares: list[float]
) -> tuple[tuple[KvGroup, ...], tuple[int, ...]]:
    layers = sum(kind.layers for kind in kinds)
    group = KvGroup(
        kind=kinds[0].kind,
        layers=layers,
        block_size=setup.block_size,
        window_tokens=kinds[0].window_tokens,
        states=_states(setup),
    )
    whole = sum(kind.layers * kind.page_bytes for kind in kinds)
    return (group,), tuple(round(whole * share) for share in shares)


def _many_groups(
    setup: EngineSetup, kinds: list[_Kind], shares: list[float]
) -> tuple[tuple[KvGroup, ...], tuple[int, ...]]:
    """Layers of every kind are dealt into groups of one size; blocks are made alike by holding more tokens."""
    block_size, page = _common_page(setup, kinds)
    fewest, most = min(kind.layers for kind in kinds), max(kind.layers for kind in kinds)
    size = most if most < ALMOST_ALIKE * fewest else fewest
    groups = []
    for kind in kinds:
        tokens = block_size
        if kind.kind is not AttentionKind.LINEAR and kind.page_bytes < page:
            tokens = max(block_size, setup.block_size * (page // kind.page_bytes))
        for first in range(-(-kind.layers // size)):
            layers = len(range(first, kind.layers, -(-kind.layers // size)))
            groups.append(
                KvGroup(
                    kind=kind.kind,
                    layers=layers,
                    block_size=tokens,
                    window_tokens=kind.window_tokens,
                    states=_states(setup),
                )
            )
    return tuple(groups), tuple(math.ceil(round(size * share, 6)) * page for share in shares)


def _states(setup: EngineSetup) -> int:
    """With prefix caching a recurrent state is kept at the last block's end beside the running one."""
    return 2 if setup.prefix_caching else 1


def _common_page(setup: EngineSetup, kinds: list[_Kind]) -> tuple[int, int]:
    """Return tokens of a block and bytes of a page that hold what every kind of layer needs.

    A recurrent state fills one page, so that blocks of attention grow until they are as large.
    """
    attention = max((kind.page_bytes for kind in kinds if kind.kind is not AttentionKind.LINEAR), default=0)
    state = max((kind.page_bytes for kind in kinds if kind.kind is AttentionKind.LINEAR), default=0)
    factor = max(1, -(-state // attention)) if attention else 1
    return setup.block_size * factor, max(attention * factor, state)
