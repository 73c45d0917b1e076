"""Which layers have experts, how many, and how wide."""

from __future__ import annotations

from enova.core.engine.config_keys import ConfigKeys
from enova.core.engine.model_card import Experts
from enova.errors import CannotModel

COUNT = (
    "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts",
)  # fmt: skip
PER_TOKEN = (
    "num_experts_per_tok", "experts_per_token", "top_k_experts", "moe_topk", "moe_k", "moe_top_k",
    "num_selected_experts",
)  # fmt: skip
SHARED_COUNT = (
    "n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts",
)  # fmt: skip


def experts_of(keys: ConfigKeys, layers: int) -> Experts | None:
    """Return the experts of a model, None if it has none."""
    nested = keys.get("ffn_config")
    if isinstance(nested, dict) and nested.get("moe_num_experts"):
        # DBRX keeps them apart.
        return Experts(
            layers=layers,
            count=keys.number_in("ffn_config", "moe_num_experts"),
            per_token=keys.number_in("ffn_config", "moe_top_k"),
            intermediate_size=keys.number_in("ffn_config", "ffn_hidden_size"),
        )
    count = keys.number(*COUNT, default=0)
    sparse = _sparse_layers(keys, layers)
    if count <= 1 or sparse == 0:
        return None
    if keys.get("moe_latent_size"):
        raise CannotModel(
            f"cannot model {keys.name} because its experts work in a space narrower than the model's"
        )
    width = keys.number("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
    return Experts(
        layers=sparse,
        count=count,
        per_token=keys.number(*PER_TOKEN),
        intermediate_size=width,
        shared_intermediate_size=_shared_width(keys, width),
    )


def _sparse_layers(keys: ConfigKeys, layers: int) -> int:
    words = keys.entries(layers, "mlp_layer_types")
    if words is not None:
        return words.count("sparse")
    frequency = keys.entries(layers, "moe_layer_freq")
    if frequency is not None:
        return sum(1 for flag in frequency if flag)
    listed = keys.get("moe_layers")
    if isinstance(listed, list):
        return len(listed)
    return sum(1 for layer in range(layers) if _is_sparse(keys, layer))


def _is_sparse(keys: ConfigKeys, layer: int) -> bool:
    dense = keys.get("mlp_only_layers")
    if isinstance(dense, list) and layer in dense:
        return False
    if layer < keys.number("first_k_dense_replace", "moe_layer_start_index", default=0):
        return False
    if keys.get("expert_layer_period"):
        return layer % keys.number("expert_layer_period") == keys.number("expert_layer_offset", default=0)
    if keys.get("moe_layer_freq"):
        return layer % keys.number("moe_layer_freq") == 0
    step = keys.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", default=1)
    return (layer + 1) % max(step, 1) == 0


def _shared_width(keys: ConfigKeys, width: int) -> int:
    """Values in the hidden layers of what every token visits beside its experts."""
    written = keys.number("shared_expert_intermediate_size", "shared_intermediate_size", default=0)
    if written:
        return written
    if keys.get("intermediate_size_mlp"):
        # Llama 4: one shared expert, as wide as the others.
        return width
    if keys.get("enable_moe_block"):
        # Gemma 4: the dense MLP stays beside the experts.
        return keys.number("intermediate_size")
    each = keys.number("moe_shared_expert_intermediate_size", default=width)
    return keys.number(*SHARED_COUNT, default=0) * each
