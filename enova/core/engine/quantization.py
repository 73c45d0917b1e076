"""Number formats of a model's parts, from the quantisation its `config.json` describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from enova.core.engine.config_keys import ConfigKeys
from enova.core.engine.model_card import Formats, ModelCard
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

Json = Mapping[str, Any]

_DTYPES = {
    "bfloat16": Numbers.BF16,
    "float16": Numbers.FP16,
    # vLLM serves models stored in fp32 in 16 bits unless told otherwise.
    "float32": Numbers.BF16,
}

_ATTENTION = (
    "self_attn.q_proj", "self_attn.o_proj", "self_attn.kv_b_proj", "attention.wq",
    "linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv",
)  # fmt: skip
_MLP = ("mlp.gate_proj", "mlp.down_proj", "mlp.gate_up_proj", "feed_forward.w1")
_SHARED = ("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj")
_EXPERTS = ("mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w1", "mlp.experts", "feed_forward.experts")
_EXPERTS_BESIDE_MLP = ("experts.0.down_proj", "experts.down_proj")
_PREFIXES = ("model.layers", "language_model.model.layers", "model.language_model.layers", "language_model.layers")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How the quantised parts are kept."""

    weights: Numbers
    activations: Numbers | None = None
    """What their products compute in; None: in the format of what is not quantised."""
    ignored: tuple[str, ...] = ()
    """Names or patterns of modules that stay as they are."""
    experts_only: bool = False


def formats_of(keys: ConfigKeys, layers: int) -> Formats:
    """Return the formats of a model's parts.

    Raises:
        CannotModel: it is quantised in a way that is not understood.
    """
    plain = _DTYPES.get(str(keys.get("dtype", "torch_dtype") or "bfloat16").removeprefix("torch."), Numbers.BF16)
    kept = Formats(attention=plain, mlp=plain, experts=plain, embedding=plain, activations=plain)
    section = keys.get("quantization_config", "compression_config")
    if not isinstance(section, Mapping):
        return kept
    scheme = _scheme(keys.name, section)
    places = [f"{prefix}.{layers // 2}" for prefix in _PREFIXES]
    has_shared = bool(keys.get("n_shared_experts", "shared_expert_intermediate_size", "num_shared_experts"))
    expert_names = _EXPERTS_BESIDE_MLP if keys.get("enable_moe_block") else _EXPERTS
    attention, mlp, shared, experts = (
        _stays(places, names, scheme.ignored) for names in (_ATTENTION, _MLP, _SHARED, expert_names)
    )
    # Where a model has shared experts, those are in more layers than dense MLPs are.
    dense_stays = scheme.experts_only or (shared if has_shared else mlp)
    return Formats(
        attention=plain if scheme.experts_only or attention else scheme.weights,
        mlp=plain if dense_stays else scheme.weights,
        experts=plain if experts else scheme.weights,
        embedding=plain,
        activations=scheme.activations or plain,
    )


def quantized(card: ModelCard, method: str) -> ModelCard:
    """Return the card as an engine argument `quantization` makes it.

    `fp8` quantises while loading what is not quantised yet; a method that only names how the files are stored
    changes nothing. A number format (`nvfp4`, `int8` …) stands for files in that format.

    Raises:
        CannotModel: the method is not known, or asks for other weights than the files have.
    """
    word = method.lower().replace("-", "_")
    if word in {"", "none", "auto"}:
        return card
    numbers = _ONLINE.get(word)
    already = {card.formats.attention, card.formats.mlp, card.formats.experts} - _PLAIN
    if word in _STORED and already:
        return card
    if numbers is None:
        known = ", ".join(sorted(_ONLINE))
        raise CannotModel(
            f"cannot model {card.name} with quantization {method}: its weights are not stored like that"
            if word in _STORED
            else f"cannot model quantization {method}",
            hint=f"quantised while loading: {known}; for others name a checkpoint that is stored so",
        )
    if already:
        return card
    formats = replace(
        card.formats,
        attention=numbers,
        mlp=numbers,
        experts=numbers,
        activations=_computes_in(numbers) or card.formats.activations,
    )
    return replace(card, formats=formats, weight_bytes=None)


_PLAIN = {Numbers.FP32, Numbers.BF16, Numbers.FP16}
_STORED = {
    "awq", "awq_marlin", "compressed_tensors", "fbgemm_fp8", "gptq", "gptq_marlin", "modelopt", "modelopt_fp4",
    "modelopt_mixed", "mxfp4", "quark", "auto_round", "inc", "moe_wna16", "bitsandbytes",
}  # fmt: skip
_ONLINE = {
    "fp8": Numbers.FP8,
    "ptpc_fp8": Numbers.FP8,
    "fp8_per_tensor": Numbers.FP8,
    "fp8_per_block": Numbers.FP8_BLOCK,
    "fp8_block": Numbers.FP8_BLOCK,
    "int8": Numbers.INT8,
    "int4": Numbers.INT4,
    "bitsandbytes": Numbers.INT4,
    "nvfp4": Numbers.NVFP4,
    "mxfp4": Numbers.MXFP4,
}


def _computes_in(numbers: Numbers) -> Numbers | None:
    """What products with such weights compute in, where activations are quantised too."""
    if numbers is Numbers.FP8_BLOCK:
        return Numbers.FP8
    return numbers if numbers in {Numbers.FP8, Numbers.INT8, Numbers.NVFP4} else None


def _scheme(name: str, section: Json) -> _Scheme:
    method = str(section.get("quant_method") or ("modelopt" if section.get("quant_algo") else "")).lower()
    read = _METHODS.get(method)
    if read is None:
        raise CannotModel(
            f"cannot model {name} because its weights are quantised with {method or 'an unnamed method'}",
            hint=f"understood are {', '.join(sorted(_METHODS))}",
        )
    scheme = read(name, section)
    ignored = (
        section.get(key) for key in ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules")
    )
    listed = (str(word) for words in ignored if isinstance(words, list) for word in words)
    return replace(scheme, ignored=tuple(listed))


def _fp8(_name: str, section: Json) -> _Scheme:
    weights = Numbers.FP8_BLOCK if section.get("weight_block_size") else Numbers.FP8
    return _Scheme(weights, Numbers.FP8)


def _mxfp4(_name: str, _section: Json) -> _Scheme:
    return _Scheme(Numbers.MXFP4, experts_only=True)


def _weight_only(name: str, section: Json) -> _Scheme:
    bits = section.get("bits") or section.get("w_bit") or (8 if section.get("load_in_8bit") else 4)
    return _Scheme(_integers(name, int(bits), section.get("group_size") or section.get("q_group_size")))


def _groups(name: str, section: Json) -> _Scheme:
    """Compressed-tensors, and modelopt where it writes the same: groups of targets with a scheme each."""
    groups = section.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        return _algorithm(name, section)
    found = {_group(name, group) for group in groups.values()}
    if len(found) > 1:
        raise CannotModel(
            f"cannot model {name} because its modules are quantised in {len(found)} different ways",
            hint="choose a checkpoint with one format",
        )
    return found.pop()


def _group(name: str, group: Json) -> _Scheme:
    weights, inputs = group.get("weights") or {}, group.get("input_activations")
    bits, kind = weights.get("num_bits"), weights.get("type", "int")
    if kind == "float" and bits == 8:
        numbers = Numbers.FP8_BLOCK if weights.get("strategy") == "block" else Numbers.FP8
    elif kind == "float" and bits == 4:
        numbers = Numbers.MXFP4 if weights.get("group_size") == 32 else Numbers.NVFP4
    elif kind == "int" and isinstance(bits, int):
        numbers = _integers(name, bits, weights.get("group_size"))
    else:
        raise CannotModel(f"cannot model {name} because its weights are kept in {bits} bits of type {kind}")
    computes = _computes_in(numbers) if isinstance(inputs, Mapping) else None
    return _Scheme(numbers, computes)


def _algorithm(name: str, section: Json) -> _Scheme:
    nested = section.get("quantization")
    found = nested if isinstance(nested, Mapping) else section
    algorithm = str(found.get("quant_algo") or "").upper()
    numbers = {
        "FP8": Numbers.FP8,
        "FP8_PER_CHANNEL_PER_TOKEN": Numbers.FP8,
        "FP8_PB_WO": Numbers.FP8_BLOCK,
        "NVFP4": Numbers.NVFP4,
        "W4A16_NVFP4": Numbers.NVFP4,
        "MXFP8": Numbers.FP8,
        "W4A16_AWQ": Numbers.INT4,
        "W8A8_SQ_PER_CHANNEL": Numbers.INT8,
    }.get(algorithm)
    if numbers is None:
        raise CannotModel(
            f"cannot model {name} because its weights are quantised as {algorithm or 'nothing its config names'}",
            hint="choose a checkpoint with one format in all its quantised layers",
        )
    return _Scheme(numbers, None if "A16" in algorithm else _computes_in(numbers))


def _quark(name: str, section: Json) -> _Scheme:
    weights = ((section.get("global_quant_config") or {}).get("weight")) or {}
    kind = str((weights[0] if isinstance(weights, list) else weights).get("dtype", ""))
    found = {"fp8_e4m3": Numbers.FP8, "fp4": Numbers.MXFP4, "int8": Numbers.INT8, "int4": Numbers.INT4}.get(kind)
    if found is None:
        raise CannotModel(f"cannot model {name} because Quark keeps its weights as {kind or 'nothing it names'}")
    return _Scheme(found, _computes_in(found))


def _integers(name: str, bits: int, group_size: object) -> Numbers:
    if bits == 8:
        return Numbers.INT8
    if bits == 4:
        return Numbers.INT4_G32 if group_size == 32 else Numbers.INT4
    raise CannotModel(f"cannot model {name} because its weights are kept in integers of {bits} bits")


_METHODS: Mapping[str, Callable[[str, Json], _Scheme]] = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "gptq": _weight_only,
    "awq": _weight_only,
    "auto-round": _weight_only,
    "bitsandbytes": _weight_only,
    "compressed-tensors": _groups,
    "modelopt": _groups,
    "modelopt_fp4": _groups,
    "quark": _quark,
}


def _stays(places: Iterable[str], modules: Iterable[str], ignored: Iterable[str]) -> bool:
    """Whether any of the modules, as one family or another names them, is left as it is."""
    names = [f"{place}.{module}" for place in places for module in modules]
    return any(_covers(pattern, name) for pattern in ignored for name in names)


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern[3:], name) is not None
    if "*" in pattern:
        return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    return name == pattern or name.startswith(f"{pattern}.") or f".{pattern}." in f".{name}."
