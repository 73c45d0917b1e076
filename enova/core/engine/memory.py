"""Where the memory of a GPU goes when vLLM starts, and how much KV cache that leaves.

    KV cache = memory * utilisation - weights - peak of activations - other - CUDA graphs (from some version on)

which is vLLM's own reckoning (vllm/v1/worker/gpu_worker.py, `determine_available_memory`); `other` is what PyTorch
knows nothing of. Each part is modelled in `weights`, `profiling` and `kv_layout`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from enova.core.engine.kv_layout import KvLayout, kv_layout
from enova.core.engine.profiling import OVERHEADS, Overheads, activation_bytes, graph_bytes, other_bytes
from enova.core.engine.setup import EngineSetup
from enova.core.engine.versions import behaviour_of
from enova.core.engine.weights import loaded_bytes

GIB = 1 << 30

CONTEXT_BYTES = 0.51 * GIB
"""What CUDA holds before vLLM does anything; on H100."""
COLLECTIVE_CONTEXT_BYTES = 1.5 * GIB
"""The same with several GPUs, whose collectives are set up first."""
CPU_PROCESS_BYTES = 1.5 * GIB
"""Of a vLLM process on CPUs beside the weights. An estimate."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one GPU: of the pipeline stage that has room for the fewest blocks, which all others follow."""

    setup: EngineSetup
    total: int
    requested: int
    """What vLLM may use of it."""
    weights: int
    activations: int
    other: int
    """Kernels, collectives: what PyTorch does not allocate."""
    graphs: int
    graphs_in_budget: bool
    """Whether CUDA graphs are taken off the KV cache; else they come on top of what was requested."""
    kv_cache: int
    """0 or less: nothing is left."""
    layout: KvLayout
    bytes_per_block: int
    kv_blocks: int
    """As vLLM reports them, its null block included. Of one data-parallel rank."""

    @property
    def kv_tokens(self) -> int:
        """Return the capacity in tokens, as the version reports it."""
        if behaviour_of(self.setup.vllm).tokens_by_concurrency:
            return int(self.max_concurrency * self.setup.max_model_len)
        return self.kv_blocks // len(self.layout.groups) * self.layout.block_size

    @property
    def max_concurrency(self) -> float:
        """Return the sequences of `max_model_len` tokens that fit at once, as vLLM reports it."""
        return self.concurrency(self.setup.max_model_len)

    def concurrency(self, tokens: int) -> float:
        """Return how many sequences of so many tokens fit at once, as far as memory goes."""
        return self.kv_blocks / self.layout.blocks(tokens)

    @cached_property
    def longest(self) -> int:
        """Return the longest `max_model_len` that vLLM would start with here; 0: none."""
        low, high = 0, self.kv_blocks * self.layout.block_size
        while low < high:
            middle = (low + high + 1) // 2
            if self.layout.blocks(middle) <= self.kv_blocks:
                low = middle
            else:
                high = middle - 1
        return low


def memory_of(setup: EngineSetup, overheads: Overheads = OVERHEADS) -> Memory:
    """Return where the memory goes. Whether the engine starts with it, `enova.core.engine.fit` says."""
    layout = kv_layout(setup)
    known = behaviour_of(setup.vllm)
    requested = math.ceil(setup.gpu.memory_bytes * setup.gpu_memory_utilization)
    on_cpu = setup.gpu.vendor == "cpu"
    activations = (0.0,) * setup.pipeline_parallel if on_cpu else activation_bytes(setup, overheads)
    other = CPU_PROCESS_BYTES if on_cpu else other_bytes(setup, overheads)
    graphs = graph_bytes(setup, overheads)
    if on_cpu and not known.cpu_in_budget:
        requested, other = setup.gpu.memory_bytes // 2, 0.0
    stages = []
    for weights, peak, width in zip(loaded_bytes(setup), activations, layout.bytes_per_block, strict=True):
        taken = weights if not on_cpu or known.cpu_in_budget else 0.0
        left = requested - taken - peak - other - (graphs if known.graphs_in_budget else 0.0)
        kv_cache = setup.kv_cache_bytes or int(left)
        stages.append((max(0, kv_cache // max(1, width)), kv_cache, weights, peak, width))
    blocks, kv_cache, weights, peak, width = min(stages)
    return Memory(
        setup=setup,
        total=setup.gpu.memory_bytes,
        requested=requested,
        weights=int(weights),
        activations=int(peak),
        other=int(other),
        graphs=int(graphs),
        graphs_in_budget=known.graphs_in_budget,
        kv_cache=kv_cache,
        layout=layout,
        bytes_per_block=width,
        kv_blocks=blocks,
    )
