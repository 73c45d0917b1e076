"""What the quantisation section of a `config.json` says, in each of the forms tools write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

Json = Mapping[str, Any]

ALL = ("Linear",)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How some modules are kept."""

    weights: Numbers
    activations: Numbers | None = None
    """What their products compute in; None: in the format of what is not quantised."""
    targets: tuple[str, ...] = ALL
    """Names or patterns of the modules."""


def schemes_of(name: str, section: Json) -> tuple[Scheme, ...]:
    """Return the schemes of a quantised model; where several cover a module, the first holds.

    Raises:
        CannotModel: the tool or one of its formats is not known.
    """
    method = str(section.get("quant_method") or ("modelopt" if section.get("quant_algo") else "")).lower()
    read = _METHODS.get(method)
    if read is None:
        raise CannotModel(
            f"cannot model {name} because its weights are quantised with {method or 'an unnamed method'}",
            hint=f"understood are {', '.join(sorted(_METHODS))}",
        )
    return read(name, section)


def ignored_in(section: Json) -> tuple[str, ...]:
    """Return the names and patterns of modules that stay as they are."""
    nested = section.get("quantization")
    places = (section, nested) if isinstance(nested, Mapping) else (section,)
    lists = (place.get(key) for place in places for key in _IGNORED)
    return tuple(str(word) for words in lists if isinstance(words, list) for word in words)


def kv_cache_in(section: Json) -> Numbers | None:
    """Return the format the KV cache is to have where the engine is not told, None where it is left open.

    vLLM takes FP8 whenever a scheme is given (`Attention.__init__`), and what modelopt writes as an algorithm.
    """
    nested = _mapping(section.get("quantization"))
    scheme = nested.get("kv_cache_scheme") or section.get("kv_cache_scheme")
    algorithm = nested.get("kv_cache_quant_algo") or section.get("kv_cache_quant_algo")
    return Numbers.FP8 if scheme or str(algorithm).upper() == "FP8" else None


def computes_in(numbers: Numbers) -> Numbers | None:
    """Return what products with such weights compute in where activations are quantised too, None if never."""
    if numbers is Numbers.FP8_BLOCK:
        return Numbers.FP8
    return numbers if numbers in {Numbers.FP8, Numbers.INT8, Numbers.NVFP4} else None


_IGNORED = ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules", "exclude")
_ALGORITHMS = {
    "FP8": Numbers.FP8,
    "FP8_PER_CHANNEL_PER_TOKEN": Numbers.FP8,
    "FP8_PB_WO": Numbers.FP8_BLOCK,
    "NVFP4": Numbers.NVFP4,
    "W4A16_NVFP4": Numbers.NVFP4,
    "W4A16_AWQ": Numbers.INT4,
    "W8A8_SQ_PER_CHANNEL": Numbers.INT8,
}
_QUARK = {"fp8_e4m3": Numbers.FP8, "fp4": Numbers.MXFP4, "int8": Numbers.INT8, "int4": Numbers.INT4}


def _fp8(_name: str, section: Json) -> tuple[Scheme, ...]:
    weights = Numbers.FP8_BLOCK if section.get("weight_block_size") else Numbers.FP8
    return (Scheme(weights, Numbers.FP8),)


def _mxfp4(_name: str, _section: Json) -> tuple[Scheme, ...]:
    # gpt-oss, the only family stored like this, has it in its experts only.
    return (Scheme(Numbers.MXFP4, targets=("re:.*experts.*",)),)


def _weight_only(name: str, section: Json) -> tuple[Scheme, ...]:
    bits = section.get("bits") or section.get("w_bit") or (8 if section.get("load_in_8bit") else 4)
    return (Scheme(_integers(name, bits, section.get("group_size") or section.get("q_group_size"))),)


def _groups(name: str, section: Json) -> tuple[Scheme, ...]:
    """Compressed-tensors, and modelopt where it writes the same: groups of modules with a scheme each."""
    groups = section.get("config_groups")
    if isinstance(groups, Mapping) and groups:
        found = [_group(name, _mapping(group)) for group in groups.values()]
        # What is named is meant rather than what is of a type.
        return tuple(sorted(found, key=lambda scheme: scheme.targets == ALL))
    nested = section.get("quantization")
    told = nested if isinstance(nested, Mapping) else section
    layers = told.get("quantized_layers")
    if isinstance(layers, Mapping):
        by_algorithm: dict[str, list[str]] = {}
        for module, how in layers.items():
            by_algorithm.setdefault(str(_mapping(how).get("quant_algo")), []).append(str(module))
        return tuple(
            replace(_algorithm(name, word), targets=tuple(modules)) for word, modules in by_algorithm.items()
        )
    return (_algorithm(name, str(told.get("quant_algo") or "")),)


def _group(name: str, group: Json) -> Scheme:
    weights, inputs = _mapping(group.get("weights")), group.get("input_activations")
    bits, kind = weights.get("num_bits"), weights.get("type", "int")
    if kind == "float" and bits == 8:
        numbers = Numbers.FP8_BLOCK if weights.get("strategy") == "block" else Numbers.FP8
    elif kind == "float" and bits == 4:
        numbers = Numbers.MXFP4 if weights.get("group_size") == 32 else Numbers.NVFP4
    elif kind == "int" and bits is not None:
        numbers = _integers(name, bits, weights.get("group_size"))
    else:
        raise CannotModel(f"cannot model {name} because its weights are kept in {bits} bits of type {kind}")
    targets = group.get("targets")
    return Scheme(
        numbers,
        computes_in(numbers) if isinstance(inputs, Mapping) else None,
        tuple(str(target) for target in targets) if isinstance(targets, list) else ALL,
    )


def _algorithm(name: str, word: str) -> Scheme:
    numbers = _ALGORITHMS.get(word.upper())
    if numbers is None:
        raise CannotModel(
            f"cannot model {name} because its weights are quantised as {word or 'nothing its config names'}",
            hint=f"understood are {', '.join(_ALGORITHMS)}",
        )
    return Scheme(numbers, None if "A16" in word.upper() else computes_in(numbers))


def _quark(name: str, section: Json) -> tuple[Scheme, ...]:
    weights = _mapping(section.get("global_quant_config")).get("weight")
    kind = str(_mapping(weights[0] if isinstance(weights, list) and weights else weights).get("dtype", ""))
    if kind not in _QUARK:
        raise CannotModel(f"cannot model {name} because Quark keeps its weights as {kind or 'nothing it names'}")
    return (Scheme(_QUARK[kind], computes_in(_QUARK[kind])),)


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _integers(name: str, bits: object, group_size: object) -> Numbers:
    if bits == 8:
        return Numbers.INT8
    if bits == 4:
        return Numbers.INT4_G32 if group_size == 32 else Numbers.INT4
    raise CannotModel(f"cannot model {name} because its weights are kept in integers of {bits} bits")


_METHODS: Mapping[str, Callable[[str, Json], tuple[Scheme, ...]]] = {
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
