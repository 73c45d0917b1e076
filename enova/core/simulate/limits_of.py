"""From a setup to the plain numbers that bound its scheduler."""

from __future__ import annotations

from enova.core.engine.kv_layout import KvGroup
from enova.core.engine.memory import memory_of
from enova.core.engine.model_card import AttentionKind
from enova.core.engine.setup import EngineSetup
from enova.core.simulate.limits import KvPages, Limits


def limits_of(setup: EngineSetup) -> Limits:
    """Return the limits of a setup: of all its data-parallel ranks together, and of all batches in its pipeline.

    These make up one step (`enova.core.engine.roofline.Roofline`). Batches are decided on one after the other
    within it, so that what comes meanwhile is known in time although a batch is decided ahead.

    With too little memory there are no blocks, and a simulation rejects every request.
    """
    memory = memory_of(setup)
    ranks, stages = setup.data_parallel, setup.pipeline_parallel
    blocks = max(0, memory.kv_blocks - 1)
    speculation = setup.speculation
    return Limits(
        max_num_seqs=setup.max_num_seqs * ranks,
        max_num_batched_tokens=setup.max_num_batched_tokens * ranks * stages,
        kv_blocks=blocks * ranks,
        pages=pages_of(memory.layout.groups),
        max_model_len=setup.max_model_len,
        long_prefill_token_threshold=setup.long_prefill_token_threshold * stages,
        prefix_caching=setup.prefix_caching,
        chunked_prefill=setup.chunked_prefill,
        reserve_full_prompt=setup.reserve_full_prompt,
        watermark_blocks=int(setup.watermark * blocks) * ranks,
        decide_ahead=setup.async_scheduling and stages == 1,
        tokens_per_step=speculation.tokens_per_step if speculation else 1.0,
    )


def pages_of(groups: tuple[KvGroup, ...]) -> KvPages:
    """Return how a sequence's tokens turn into blocks of these groups.

    Blocks of full layers set the size; windows are counted in blocks of their own, which may hold fewer tokens.
    """
    full = [group for group in groups if group.kind is not AttentionKind.LINEAR and group.window_tokens is None]
    sliding = [group for group in groups if group.window_tokens is not None]
    return KvPages(
        block_size=(full or sliding or groups)[0].block_size,
        full_groups=len(full),
        window_groups=len(sliding),
        # A window begins in the midst of a block.
        window_blocks=max(
            (-(-(group.window_tokens or 0) // group.block_size) + 1 for group in sliding), default=0
        ),
        per_sequence=sum(group.states for group in groups if group.kind is AttentionKind.LINEAR),
    )
