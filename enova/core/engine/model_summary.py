"""A model in a few figures: parameters, bytes, and what a token takes in the KV cache."""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.engine.model_card import AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.weights import parameters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """Of the whole model, before any split over GPUs."""

    parameters: float
    """As stored where that is known, else counted from the architecture."""
    active_parameters: float
    """Those one token is computed with: all but the experts it does not visit and the embedding table."""
    weight_bytes: float
    """As stored where that is known, else counted from the architecture."""
    kv_bytes_per_token: float
    """Of all layers that look back at everything."""
    window_kv_bytes_per_token: float
    """Of the layers that look back at a window; only the tokens in it are kept."""
    state_bytes: float
    """Of one sequence in the recurrent layers, however long it is."""


def summary_of(model: ModelCard, *, kv_cache: Numbers | None = None) -> ModelSummary:
    """Return a model's figures, with a KV cache in the format given, or else that which its files ask for."""
    kept = kv_cache or model.kv_cache or Numbers.BF16
    counted = parameters_of(model)
    formats, experts = model.formats, model.experts
    whole = formats.embedding.bytes_per_value
    stored = (
        counted.attention * formats.attention.bytes_per_value
        + (counted.mlp + counted.shared_experts) * formats.mlp.bytes_per_value
        + counted.experts * formats.experts.bytes_per_value
        + (counted.router + counted.embedding + counted.head + counted.norms + counted.vision) * whole
    )
    idle = counted.experts * (1 - experts.per_token / experts.count) if experts else 0.0
    table = 0.0 if model.tied_embeddings else counted.embedding
    cached = {kind: _cached_values(model, kind) * kept.bytes_per_value for kind in AttentionKind}
    return ModelSummary(
        parameters=model.parameters or counted.total,
        active_parameters=counted.total - idle - table - counted.vision,
        weight_bytes=model.weight_bytes or stored,
        kv_bytes_per_token=cached[AttentionKind.FULL],
        window_kv_bytes_per_token=cached[AttentionKind.SLIDING],
        state_bytes=float(sum(entry.layers * entry.state_bytes for entry in model.attention)),
    )


def _cached_values(model: ModelCard, kind: AttentionKind) -> float:
    """Values kept for each token in the layers of a kind."""
    own = [entry for entry in model.attention if entry.kind is kind and not entry.shares_cache]
    if model.latent is not None:
        return float(sum(entry.layers * model.latent.cached_width for entry in own))
    return float(sum(entry.layers * entry.kv_heads * (entry.head_dim + entry.head_dim_v) for entry in own))
