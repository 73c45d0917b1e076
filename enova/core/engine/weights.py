"""What a model's weights consist of, and how many bytes of them each GPU holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Literal, NamedTuple

from enova.core.engine.model_card import Attention, AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup

VOCAB_ROWS = 64
"""vLLM pads embedding and head to a multiple of so many rows."""

INDEXER_HEADS, INDEXER_HEAD_DIM = 64, 128
"""Of the indexer of sparse attention, from DeepSeek-V3.2's config.json. It is whole on every GPU."""

UNLOADED_SHARE = 0.03
"""Files may hold this much beside what is loaded (draft layers); more than that, and they are believed."""

ROTARY_TABLES = {"Gemma3ForConditionalGeneration": 9.0}
"""Rows of the tables of sines and cosines, as multiples of `max_model_len`, where that is not 1: Gemma 3 has one
for its sliding layers, and one 8 times as long for the others (linear `rope_scaling` in its config.json)."""

_PLAIN = frozenset({Numbers.FP32, Numbers.BF16, Numbers.FP16})
_MIB = 1 << 20

Part = Literal["attention", "mlp", "shared_experts", "experts", "router", "embedding", "head", "norms", "vision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Parameters or bytes, by part; which of the two, and of which layers, says the function that returns it."""

    attention: float = 0.0
    mlp: float = 0.0
    """Dense MLPs."""
    shared_experts: float = 0.0
    experts: float = 0.0
    router: float = 0.0
    embedding: float = 0.0
    head: float = 0.0
    """Output head; 0 where it is the embedding itself."""
    norms: float = 0.0
    vision: float = 0.0

    @property
    def total(self) -> float:
        """Return the sum of the parts."""
        return math.fsum(astuple(self))


class _Tensor(NamedTuple):
    """A weight as vLLM keeps it on one GPU, with what belongs together fused into one."""

    part: Part
    values: float
    copies: float = 1.0
    """Of such tensors; a fraction where layers of a kind are spread over stages."""


def parameters_of(model: ModelCard) -> Weights:
    """Return the parameters of the whole model, counted from its architecture."""
    tensors = _tensors(model, model.layers, tensor_parallel=1, expert_ranks=1, first=True, last=True, vocab_rows=1)
    return _summed((tensor.part, tensor.values * tensor.copies) for tensor in tensors)


def weights_of(setup: EngineSetup) -> tuple[Weights, ...]:
    """Return the bytes on one GPU of each pipeline stage, first stage first.

    Tensor parallelism cuts everything but norms, routers, the compression matrices of latent attention, and key
    and value heads once there are fewer of them than GPUs. Experts are spread or cut over tensor and data ranks.
    """
    model = setup.model
    scale = _stored_scale(model)
    return tuple(
        _summed((t.part, t.values * t.copies * _width(model, t.part) * scale) for t in tensors)
        for tensors in _stages(setup)
    )


def loaded_bytes(setup: EngineSetup) -> tuple[float, ...]:
    """Return what loading takes of one GPU of each stage: weights as allocated, and tables made of them.

    The allocator of PyTorch hands out large blocks in multiples of 2 MiB, of which less than 1 MiB left over stays
    with the block. Latent attention keeps its quantised up-projection once more, unpacked.
    """
    model = setup.model
    scale = _stored_scale(model)
    whole = _width(model, "norms")
    rotary = model.latent.rope_dim if model.latent else model.attention[0].head_dim
    table = ROTARY_TABLES.get(model.architecture, 1.0) * model.max_model_len * rotary * whole
    loaded = []
    for layers, tensors in zip(stage_layers(model.layers, setup.pipeline_parallel), _stages(setup), strict=True):
        weights = math.fsum(t.copies * _allocated(t.values * _width(model, t.part) * scale) for t in tensors)
        unpacked = 0.0
        if model.latent and model.formats.attention not in _PLAIN:
            heads = model.attention[0].heads / setup.tensor_parallel
            unpacked = 2 * model.latent.kv_rank * heads * (model.latent.nope_dim + model.latent.v_dim) * layers
        loaded.append(weights + unpacked + table)
    return tuple(loaded)


def stage_layers(layers: int, stages: int) -> tuple[int, ...]:
    """Return the layers of each pipeline stage as vLLM deals them: what is left over goes to the middle first."""
    counts = [layers // stages] * stages
    for place in range(2, layers % stages + 2):
        counts[-place] += 1
    return tuple(counts)


def in_format(model: ModelCard, numbers: Numbers) -> ModelCard:
    """Return the model with every part that is not quantised kept in another format, as vLLM's `dtype` does it."""
    formats = model.formats
    changed = replace(
        formats,
        attention=numbers if formats.attention in _PLAIN else formats.attention,
        mlp=numbers if formats.mlp in _PLAIN else formats.mlp,
        experts=numbers if formats.experts in _PLAIN else formats.experts,
        embedding=numbers if formats.embedding in _PLAIN else formats.embedding,
        activations=numbers if formats.activations in _PLAIN else formats.activations,
    )
    same_width = numbers.bytes_per_value == formats.embedding.bytes_per_value
    return replace(model, formats=changed, weight_bytes=model.weight_bytes if same_width else None)


def quantized_to(model: ModelCard, numbers: Numbers) -> ModelCard:
    """Return the model with its linear layers quantised while loading, as vLLM's `quantization` does it."""
    formats = replace(model.formats, attention=numbers, mlp=numbers, experts=numbers, activations=numbers)
    return replace(model, formats=formats, weight_bytes=None)


def _stages(setup: EngineSetup) -> Iterator[list[_Tensor]]:
    stages = stage_layers(setup.model.layers, setup.pipeline_parallel)
    for stage, layers in enumerate(stages):
        yield list(
            _tensors(
                setup.model,
                layers,
                tensor_parallel=setup.tensor_parallel,
                expert_ranks=setup.tensor_parallel * setup.data_parallel,
                first=stage == 0,
                last=stage == len(stages) - 1,
                vocab_rows=VOCAB_ROWS,
            )
        )


def _tensors(
    model: ModelCard,
    layers: int,
    *,
    tensor_parallel: int,
    expert_ranks: int,
    first: bool,
    last: bool,
    vocab_rows: int,
) -> Iterator[_Tensor]:
    """Yield what one GPU holds of `layers` average layers: the embedding if `first`, the head if `last`.

    Layers of a kind are taken to be spread evenly over the stages.
    """
    hidden, share = model.hidden_size, layers / model.layers
    experts = model.experts
    for entry in model.attention:
        for values in _attention(model, entry, tensor_parallel):
            yield _Tensor("attention", values, entry.layers * share)
    dense_layers = (model.layers - (experts.layers if experts else 0)) * share
    for values in _mlp(model, model.intermediate_size / tensor_parallel):
        yield _Tensor("mlp", values, dense_layers)
    if experts:
        expert_layers = experts.layers * share
        for values in _mlp(model, experts.count * experts.intermediate_size / expert_ranks):
            yield _Tensor("experts", values, expert_layers)
        for values in _mlp(model, experts.shared_intermediate_size / tensor_parallel):
            yield _Tensor("shared_experts", values, expert_layers)
        yield _Tensor("router", experts.count * hidden, expert_layers)
    yield _Tensor("norms", hidden, 2 * layers + 1)
    table = math.ceil(model.vocab_size / vocab_rows) * vocab_rows * hidden / tensor_parallel
    if first or (last and model.tied_embeddings):
        yield _Tensor("embedding", table)
    if last and not model.tied_embeddings:
        yield _Tensor("head", table)
    if first:
        yield _Tensor("vision", model.vision_parameters / tensor_parallel)


def _mlp(model: ModelCard, width: float) -> tuple[float, float]:
    """Return what goes up (with the gate, where there is one) and what goes down."""
    return (2 if model.gated else 1) * width * model.hidden_size, width * model.hidden_size


def _attention(model: ModelCard, entry: Attention, tensor_parallel: int) -> Iterator[float]:
    """Yield the matrices of one layer's attention."""
    hidden = model.hidden_size
    heads = entry.heads / tensor_parallel
    kv_heads = max(1.0, entry.kv_heads / tensor_parallel)
    latent = model.latent
    if entry.kind is AttentionKind.LINEAR:
        # Query and key of the key heads, value and gate of the value heads.
        yield hidden * 2 * (kv_heads * entry.head_dim + heads * entry.head_dim_v)
        yield hidden * heads * entry.head_dim_v
    elif latent is None:
        yield hidden * (heads * entry.head_dim + kv_heads * (entry.head_dim + entry.head_dim_v))
        yield hidden * heads * entry.head_dim_v
    else:
        query_width = heads * (latent.nope_dim + latent.rope_dim)
        yield hidden * (latent.cached_width + (latent.q_rank or 0))
        yield query_width * (latent.q_rank or hidden)
        yield latent.kv_rank * heads * (latent.nope_dim + latent.v_dim)
        yield hidden * heads * latent.v_dim
        if entry.sparse_tokens is not None:
            yield INDEXER_HEADS * INDEXER_HEAD_DIM * (latent.q_rank or hidden)
            yield hidden * (INDEXER_HEADS + INDEXER_HEAD_DIM)


def _summed(parts: Iterator[tuple[Part, float]]) -> Weights:
    sums: dict[str, float] = {}
    for part, value in parts:
        sums[part] = sums.get(part, 0.0) + value
    return Weights(**sums)


def _width(model: ModelCard, part: Part) -> float:
    """Bytes of one value."""
    formats = model.formats
    match part:
        case "attention":
            return formats.attention.bytes_per_value
        case "mlp" | "shared_experts":
            return formats.mlp.bytes_per_value
        case "experts":
            return formats.experts.bytes_per_value
        case "embedding" | "head":
            return formats.embedding.bytes_per_value
        case _:
            return 4.0 if formats.embedding is Numbers.FP32 else 2.0


def _allocated(size_bytes: float) -> float:
    left_over = -size_bytes % (2 * _MIB)
    return size_bytes + left_over if size_bytes >= 10 * _MIB and left_over <= _MIB else size_bytes


def _stored_scale(model: ModelCard) -> float:
    """What the count is multiplied by to agree with the files, where these say something else."""
    if not model.weight_bytes:
        return 1.0
    counted = _tensors(model, model.layers, tensor_parallel=1, expert_ranks=1, first=True, last=True, vocab_rows=1)
    ratio = model.weight_bytes / math.fsum(t.values * t.copies * _width(model, t.part) for t in counted)
    return 1.0 if abs(ratio - 1.0) <= UNLOADED_SHARE else ratio
