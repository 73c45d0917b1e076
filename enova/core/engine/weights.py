"""What a model's weights consist of, and how many bytes of them each GPU holds."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace

from enova.core.engine.model_card import Attention, AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup

VOCAB_ROWS = 64
"""vLLM pads embedding and head to a multiple of so many rows."""

INDEXER_HEADS, INDEXER_HEAD_DIM = 64, 128
"""Of the indexer of sparse attention, from DeepSeek-V3.2's config.json. It is whole on every GPU."""

UNLOADED_SHARE = 0.03
"""Files may hold this much beside what is loaded (draft layers); more than that, and they are believed."""


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

    def times(self, factor: float) -> Weights:
        """Return every part multiplied."""
        return Weights(
            attention=self.attention * factor,
            mlp=self.mlp * factor,
            shared_experts=self.shared_experts * factor,
            experts=self.experts * factor,
            router=self.router * factor,
            embedding=self.embedding * factor,
            head=self.head * factor,
            norms=self.norms * factor,
            vision=self.vision * factor,
        )


def parameters_of(model: ModelCard) -> Weights:
    """Return the parameters of the whole model, counted from its architecture."""
    return _share(model, model.layers, tensor_parallel=1, expert_ranks=1, first=True, last=True, row_multiple=1)


def weights_of(setup: EngineSetup) -> tuple[Weights, ...]:
    """Return the bytes on one GPU of each pipeline stage, first stage first.

    Tensor parallelism cuts everything but norms, routers, the compression matrices of latent attention, and key
    and value heads once there are fewer of them than GPUs. Experts are spread or cut over tensor and data ranks.
    """
    model = setup.model
    scale = _stored_scale(model)
    stages = stage_layers(model.layers, setup.pipeline_parallel)
    return tuple(
        _in_bytes(
            model,
            _share(
                model,
                layers,
                tensor_parallel=setup.tensor_parallel,
                expert_ranks=setup.tensor_parallel * setup.data_parallel,
                first=stage == 0,
                last=stage == len(stages) - 1,
                row_multiple=VOCAB_ROWS,
            ),
        ).times(scale)
        for stage, layers in enumerate(stages)
    )


def stage_layers(layers: int, stages: int) -> tuple[int, ...]:
    """Return the layers of each pipeline stage as vLLM deals them: what is left over goes to the middle first."""
    counts = [layers // stages] * stages
    for place in range(2, layers % stages + 2):
        counts[-place] += 1
    return tuple(counts)


def _share(
    model: ModelCard,
    layers: int,
    *,
    tensor_parallel: int,
    expert_ranks: int,
    first: bool,
    last: bool,
    row_multiple: int,
) -> Weights:
    """Parameters of `layers` average layers on one GPU, the embedding on the first stage, the head on the last.

    Layers of a kind are taken to be spread evenly over the stages.
    """
    share = layers / model.layers
    matrices = 3 if model.gated else 2
    experts = model.experts
    dense_layers = model.layers - (experts.layers if experts else 0)
    rows = math.ceil(model.vocab_size / row_multiple) * row_multiple
    table = rows * model.hidden_size / tensor_parallel
    has_table = first or (last and model.tied_embeddings)
    expert = matrices * model.hidden_size
    return Weights(
        attention=share * math.fsum(e.layers * _attention(model, e, tensor_parallel) for e in model.attention),
        mlp=share * dense_layers * matrices * model.hidden_size * model.intermediate_size / tensor_parallel,
        shared_experts=(
            share * experts.layers * expert * experts.shared_intermediate_size / tensor_parallel
            if experts
            else 0.0
        ),
        experts=(
            share * experts.layers * experts.count * expert * experts.intermediate_size / expert_ranks
            if experts
            else 0.0
        ),
        router=share * experts.layers * experts.count * model.hidden_size if experts else 0.0,
        embedding=table if has_table else 0.0,
        head=table if last and not model.tied_embeddings else 0.0,
        norms=share * 2 * model.layers * model.hidden_size + (model.hidden_size if last else 0),
        vision=model.vision_parameters / tensor_parallel if first else 0.0,
    )


def _attention(model: ModelCard, entry: Attention, tensor_parallel: int) -> float:
    """Parameters of one layer's attention on one GPU."""
    hidden = model.hidden_size
    heads = entry.heads / tensor_parallel
    kv_heads = max(1.0, entry.kv_heads / tensor_parallel)
    if entry.kind is AttentionKind.LINEAR:
        # Query and key of the key heads, value, gate and output of the value heads.
        return hidden * (2 * kv_heads * entry.head_dim + 3 * heads * entry.head_dim_v)
    latent = model.latent
    if latent is None:
        keys_and_values = kv_heads * (entry.head_dim + entry.head_dim_v)
        return hidden * (heads * entry.head_dim + keys_and_values + heads * entry.head_dim_v)
    query_width = heads * (latent.nope_dim + latent.rope_dim)
    query = hidden * query_width
    if latent.q_rank is not None:
        query = latent.q_rank * (hidden + query_width)
    key_value = hidden * latent.cached_width + latent.kv_rank * heads * (latent.nope_dim + latent.v_dim)
    indexer = 0
    if entry.sparse_tokens is not None:
        query_rank = latent.q_rank or hidden
        indexer = INDEXER_HEADS * (query_rank * INDEXER_HEAD_DIM + hidden) + hidden * INDEXER_HEAD_DIM
    return query + key_value + heads * latent.v_dim * hidden + indexer


def _in_bytes(model: ModelCard, parameters: Weights) -> Weights:
    formats = model.formats
    whole = 4 if formats.embedding is Numbers.FP32 else 2
    return Weights(
        attention=parameters.attention * formats.attention.bytes_per_value,
        mlp=parameters.mlp * formats.mlp.bytes_per_value,
        shared_experts=parameters.shared_experts * formats.mlp.bytes_per_value,
        experts=parameters.experts * formats.experts.bytes_per_value,
        router=parameters.router * whole,
        embedding=parameters.embedding * formats.embedding.bytes_per_value,
        head=parameters.head * formats.embedding.bytes_per_value,
        norms=parameters.norms * whole,
        vision=parameters.vision * whole,
    )


def _stored_scale(model: ModelCard) -> float:
    """What the count is multiplied by to agree with the files, where these say something else."""
    if not model.weight_bytes:
        return 1.0
    ratio = model.weight_bytes / _in_bytes(model, parameters_of(model)).total
    return 1.0 if abs(ratio - 1.0) <= UNLOADED_SHARE else ratio


def in_format(model: ModelCard, numbers: Numbers) -> ModelCard:
    """Return the model with every part that is not quantised kept in another format, as vLLM's `dtype` does it."""
    plain = {Numbers.FP32, Numbers.BF16, Numbers.FP16}
    formats = model.formats
    changed = replace(
        formats,
        attention=numbers if formats.attention in plain else formats.attention,
        mlp=numbers if formats.mlp in plain else formats.mlp,
        experts=numbers if formats.experts in plain else formats.experts,
        embedding=numbers if formats.embedding in plain else formats.embedding,
        activations=numbers if formats.activations in plain else formats.activations,
    )
    same_width = numbers.bytes_per_value == formats.embedding.bytes_per_value
    return replace(model, formats=changed, weight_bytes=model.weight_bytes if same_width else None)
