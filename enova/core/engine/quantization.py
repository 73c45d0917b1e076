"""Number formats of a model's parts: as its files are stored, or as the engine is told to quantise them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from enova.core.engine.attention_layout import alternation_of
from enova.core.engine.config_keys import ConfigKeys
from enova.core.engine.model_card import Formats, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.quantization_schemes import ALL, Scheme, computes_in, ignored_in, kv_cache_in, schemes_of
from enova.errors import CannotModel

_DTYPES = {
    "bfloat16": Numbers.BF16,
    "float16": Numbers.FP16,
    # vLLM serves models stored in fp32 in 16 bits unless told otherwise.
    "float32": Numbers.BF16,
}
_PLAIN = {Numbers.FP32, Numbers.BF16, Numbers.FP16}

_PREFIXES = (
    "model.layers", "language_model.model.layers", "model.language_model.layers", "language_model.layers",
    "backbone.layers",
)  # fmt: skip
_ATTENTION = (
    "self_attn.q_proj", "self_attn.o_proj", "self_attn.kv_b_proj", "attention.wq",
    "linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv", "mixer.in_proj",
)  # fmt: skip
_MLP = ("mlp.gate_proj", "mlp.down_proj", "mlp.gate_up_proj", "feed_forward.w1", "mixer.down_proj")
_SHARED = ("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj", "mixer.shared_experts.down_proj")
_EXPERTS = (
    "mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w1", "mlp.experts", "feed_forward.experts",
    "mixer.experts.0.down_proj",
)  # fmt: skip
_EXPERTS_BESIDE_MLP = ("experts.0.down_proj", "experts.down_proj")
"""Names that families give to modules of a layer, a few of each part for all of it."""


def formats_of(keys: ConfigKeys, layers: int) -> Formats:
    """Return the formats of a model's parts.

    Raises:
        CannotModel: it is quantised in a way that is not understood.
    """
    plain = _DTYPES.get(str(keys.get("dtype", "torch_dtype") or "bfloat16").removeprefix("torch."), Numbers.BF16)
    section = keys.get("quantization_config", "compression_config")
    if not isinstance(section, Mapping):
        return Formats(attention=plain, mlp=plain, experts=plain, embedding=plain, activations=plain)
    schemes, ignored = schemes_of(keys.name, section), ignored_in(section)
    # Where a model has shared experts, those are in more layers than dense MLPs are.
    has_shared = bool(keys.get("n_shared_experts", "shared_expert_intermediate_size", "num_shared_experts"))
    expert_names = _EXPERTS_BESIDE_MLP if keys.get("enable_moe_block") else _EXPERTS
    attention, mlp, experts = (
        _scheme(modules, _layers_with(keys, signs, layers), schemes, ignored)
        for modules, signs in ((_ATTENTION, "M"), (_SHARED if has_shared else _MLP, "E-"), (expert_names, "E"))
    )
    if not (attention or mlp or experts):
        raise CannotModel(f"cannot model {keys.name} because none of its modules is found in its quantisation")
    # Most of the work is in the experts, or the MLP where there are none.
    foremost = experts or mlp or attention
    return Formats(
        attention=attention.weights if attention else plain,
        mlp=mlp.weights if mlp else plain,
        experts=experts.weights if experts else plain,
        embedding=plain,
        activations=(foremost.activations if foremost else None) or plain,
    )


def kv_cache_of(keys: ConfigKeys) -> Numbers | None:
    """Return the format the files ask the KV cache to be kept in, None where they do not."""
    section = keys.get("quantization_config", "compression_config")
    return kv_cache_in(section) if isinstance(section, Mapping) else None


def quantized(card: ModelCard, method: str) -> ModelCard:
    """Return the card as an engine argument `quantization` makes it.

    `fp8` quantises while loading what is not quantised yet; a method that only names how the files are stored
    changes nothing. A number format (`nvfp4`, `int8` …) stands for files in that format.

    Raises:
        CannotModel: the method is not known, or asks for other weights than the files have.
    """
    word = method.lower().replace("-", "_")
    already = {card.formats.attention, card.formats.mlp, card.formats.experts} - _PLAIN
    if word in {"", "none", "auto"} or (already and word in {*_STORED, *_ONLINE}):
        return card
    numbers = _ONLINE.get(word)
    if numbers is None:
        known = ", ".join(sorted(_ONLINE))
        raise CannotModel(
            f"cannot model {card.name} with quantization {method}"
            + (": its weights are not stored like that" if word in _STORED else ""),
            hint=f"quantised while loading: {known}; for others name a checkpoint that is stored so",
        )
    formats = replace(
        card.formats,
        attention=numbers,
        mlp=numbers,
        experts=numbers,
        activations=computes_in(numbers) or card.formats.activations,
    )
    return replace(card, formats=formats, weight_bytes=None)


_STORED = {
    "awq", "awq_marlin", "auto_round", "compressed_tensors", "fbgemm_fp8", "gptq", "gptq_marlin", "inc",
    "modelopt", "modelopt_fp4", "modelopt_mixed", "moe_wna16", "quark",
}  # fmt: skip
_ONLINE = {
    "bitsandbytes": Numbers.INT4,
    "fp8": Numbers.FP8,
    "fp8_block": Numbers.FP8_BLOCK,
    "fp8_per_block": Numbers.FP8_BLOCK,
    "fp8_per_tensor": Numbers.FP8,
    "int4": Numbers.INT4,
    "int8": Numbers.INT8,
    "mxfp4": Numbers.MXFP4,
    "nvfp4": Numbers.NVFP4,
    "ptpc_fp8": Numbers.FP8,
}


def _layers_with(keys: ConfigKeys, signs: str, layers: int) -> list[int]:
    """Layers to look at: one from the middle, or all that hold the part where it is not in every layer."""
    alternation = alternation_of(keys)
    if alternation is None:
        return [layers // 2]
    return [number for number, sign in enumerate(alternation) if sign in signs]


def _scheme(
    modules: Sequence[str], layers: Iterable[int], schemes: Sequence[Scheme], ignored: Sequence[str]
) -> Scheme | None:
    """The scheme of a part in most of these layers, None where it stays as it is."""
    found = Counter(
        _scheme_of([f"{prefix}.{layer}.{module}" for prefix in _PREFIXES for module in modules], schemes, ignored)
        for layer in layers
    )
    return found.most_common(1)[0][0] if found else None


def _scheme_of(names: Sequence[str], schemes: Iterable[Scheme], ignored: Iterable[str]) -> Scheme | None:
    if any(_covers(pattern, name) for pattern in ignored for name in names):
        return None
    for scheme in schemes:
        if scheme.targets == ALL or any(_covers(target, name) for target in scheme.targets for name in names):
            return scheme
    return None


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern[3:], name) is not None
    if "*" in pattern:
        return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    return name == pattern or name.startswith(f"{pattern}.") or f".{pattern}." in f".{name}."
