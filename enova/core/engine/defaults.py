"""What vLLM chooses where the user does not: from a model, a GPU and some arguments to a whole setup."""

from __future__ import annotations

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup, Speculation, Version
from enova.core.engine.versions import Behaviour, behaviour_of
from enova.core.engine.weights import in_format, quantized_to

NEWEST: Version = (0, 32)

LARGEST_GRAPH = 512
LARGEST_GRAPHS = {"GptOssForCausalLM": 1024}
"""Of architectures that vLLM makes an exception for (vllm/model_executor/models/config.py)."""
BLOCK_SIZE, CPU_BLOCK_SIZE = 16, 128
BLACKWELL_LATENT_BLOCK_SIZE, SPARSE_BLOCK_SIZE = 32, 64
"""What attention kernels ask for: FlashInfer's for latent attention, FlashMLA's for the sparse kind."""
CPU_BATCHED_TOKENS, CPU_SEQS = 2048, 128
"""Times the number of ranks."""


def engine_setup(
    model: ModelCard,
    gpu: GpuCard,
    *,
    vllm: Version = NEWEST,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    data_parallel: int = 1,
    expert_parallel: bool = False,
    max_model_len: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    long_prefill_token_threshold: int = 0,
    block_size: int | None = None,
    gpu_memory_utilization: float | None = None,
    numbers: Numbers | None = None,
    quantization: Numbers | None = None,
    kv_cache: Numbers | None = None,
    kv_cache_bytes: int | None = None,
    prefix_caching: bool | None = None,
    chunked_prefill: bool = True,
    async_scheduling: bool | None = None,
    reserve_full_prompt: bool | None = None,
    watermark: float = 0.0,
    enforce_eager: bool = False,
    graph_sizes: tuple[int, ...] | None = None,
    speculation: Speculation | None = None,
    throughput_mode: bool = False,
) -> EngineSetup:
    """Return the setup that these arguments lead to; None stands for vLLM's own choice.

    `numbers` is vLLM's dtype, `quantization` what it quantises to while loading.
    """
    on_cpu = gpu.vendor == "cpu"
    known = behaviour_of(vllm)
    served = _in_formats(model, numbers, quantization)
    length = max_model_len or served.max_model_len
    tokens, seqs = _batch_defaults(known, gpu, tensor_parallel * pipeline_parallel)
    if throughput_mode:
        tokens, seqs = 2 * tokens, 2 * seqs
    if not chunked_prefill:
        tokens = max(tokens, length)
    tokens = max_num_batched_tokens or min(tokens, (max_num_seqs or seqs) * length)
    seqs = max_num_seqs or min(seqs, tokens)
    runs_ahead = known.async_scheduling and (known.async_with_stages or pipeline_parallel == 1)
    graphs = graph_sizes
    if graphs is None:
        graphs = cudagraph_sizes(_largest_graph(known, model, gpu, seqs, tokens, speculation), vllm=vllm)
    recurrent = any(entry.kind is AttentionKind.LINEAR for entry in model.attention)
    return EngineSetup(
        model=served,
        gpu=gpu,
        vllm=vllm,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        data_parallel=data_parallel,
        expert_parallel=expert_parallel,
        max_model_len=length,
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens,
        long_prefill_token_threshold=long_prefill_token_threshold,
        block_size=block_size or _block_size(model, gpu),
        gpu_memory_utilization=gpu_memory_utilization or known.gpu_memory_utilization,
        kv_cache=kv_cache or served.kv_cache or served.formats.embedding,
        kv_cache_bytes=kv_cache_bytes,
        prefix_caching=(known.recurrent_prefixes or not recurrent) if prefix_caching is None else prefix_caching,
        chunked_prefill=chunked_prefill,
        async_scheduling=(runs_ahead if async_scheduling is None else async_scheduling) and not on_cpu,
        reserve_full_prompt=known.reserve_full_prompt if reserve_full_prompt is None else reserve_full_prompt,
        watermark=watermark,
        enforce_eager=enforce_eager,
        cudagraph_sizes=() if enforce_eager or on_cpu else graphs,
        speculation=speculation,
    )


def _in_formats(model: ModelCard, numbers: Numbers | None, quantization: Numbers | None) -> ModelCard:
    if numbers is None and model.formats.embedding is Numbers.FP32:
        # vLLM's dtype `auto` runs fp32 checkpoints in 16 bits.
        numbers = Numbers.BF16
    served = in_format(model, numbers) if numbers else model
    return quantized_to(served, quantization) if quantization else served


def _batch_defaults(known: Behaviour, gpu: GpuCard, ranks: int) -> tuple[int, int]:
    """Return tokens and sequences of one step."""
    if gpu.vendor == "cpu":
        return CPU_BATCHED_TOKENS * ranks, CPU_SEQS * ranks
    is_a100 = "a100" in gpu.name
    fitting = next(
        row for row in known.batch if gpu.memory_bytes >= row.memory_bytes and (row.a100 or not is_a100)
    )
    return fitting.max_num_batched_tokens, fitting.max_num_seqs


def cudagraph_sizes(largest: int, *, vllm: Version = NEWEST) -> tuple[int, ...]:
    """Return the batch sizes that graphs are captured for, given the largest."""
    step = 16 if behaviour_of(vllm).coarse_graphs else 8
    candidates = (1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, step))
    return tuple(size for size in candidates if size <= largest)


def _largest_graph(
    known: Behaviour, model: ModelCard, gpu: GpuCard, seqs: int, tokens: int, speculation: Speculation | None
) -> int:
    if model.architecture in LARGEST_GRAPHS:
        return min(LARGEST_GRAPHS[model.architecture], tokens)
    per_sequence = 1 + (speculation.draft_tokens if speculation else 0)
    most = known.largest_graph_blackwell if _is_blackwell(gpu) else LARGEST_GRAPH
    return min(most, 2 * seqs * per_sequence, tokens)


def _block_size(model: ModelCard, gpu: GpuCard) -> int:
    if gpu.vendor == "cpu":
        return CPU_BLOCK_SIZE
    if any(entry.sparse_tokens for entry in model.attention):
        return SPARSE_BLOCK_SIZE
    return BLACKWELL_LATENT_BLOCK_SIZE if model.latent and _is_blackwell(gpu) else BLOCK_SIZE


def _is_blackwell(gpu: GpuCard) -> bool:
    """Tell whether it is one for data centres; others of the name have other kernels."""
    return gpu.compute_capability is not None and gpu.compute_capability[0] == 10
