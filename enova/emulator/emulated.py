"""What an emulated engine stands in for: a model on a GPU, as in a forecast, or a small one that always starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card
from enova.adapters.models import find_card
from enova.core.engine.fit import fit_of
from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_config import card_of
from enova.core.engine.roofline import frontend_of, step_time_of
from enova.core.engine.service_setup import setup_of_service
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Frontend, StepTime
from enova.core.simulate.limits import Limits
from enova.core.simulate.limits_of import limits_of
from enova.core.simulate.rejection import most_tokens
from enova.emulator.arguments import Settings
from enova.errors import CannotModel

SMALL_GPU = "l4"
SMALL_CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32_768,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151_936,
}
"""A model of half a billion parameters, shaped as Qwen2.5-0.5B: on an L4 a token takes some 4 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """An engine as the simulator takes it."""

    limits: Limits
    step_time: StepTime
    frontend: Frontend
    says: str = ""
    """What it is, for the log."""

    @property
    def max_model_len(self) -> int:
        """Return the most tokens a request may have, prompt and answer, for this engine to serve it at all."""
        return most_tokens(self.limits)

    @property
    def kv_tokens(self) -> int:
        """Return the tokens that the KV cache holds."""
        pages = self.limits.pages
        return self.limits.kv_blocks // max(1, pages.full_groups) * pages.block_size


def emulated(settings: Settings) -> Emulated:
    """Return what to emulate. Nothing is asked of the hub.

    Without a GPU it is a small engine that any arguments will do for. With one it is the model itself as far as it
    is known here, and a small model if it is not.

    Raises:
        CannotModel: there is no such GPU, or vLLM would not start this model on it with these arguments.
    """
    if settings.gpu is None:
        return _always_starts(_setup(settings, _small(settings), SMALL_GPU), "no --emulate-gpu: a small model")
    try:
        card = find_card(settings.model, offline=True)
    except CannotModel as reason:
        return _always_starts(_setup(settings, _small(settings), settings.gpu), f"{reason.message}: a small model")
    setup = _setup(settings, card, settings.gpu)
    fit = fit_of(setup)
    if not fit.starts:
        hint = f"try {fit.remedies[0].argument}: {fit.remedies[0].value}" if fit.remedies else None
        raise CannotModel(f"{card.name} does not start on {setup.gpu.name}: {fit.reason}", hint=hint)
    return _of(setup, limits_of(setup), card.name)


def _setup(settings: Settings, card: ModelCard, gpu: str) -> EngineSetup:
    return setup_of_service(settings.service, card, gpu_card(gpu))


def _small(settings: Settings) -> ModelCard:
    card = card_of(SMALL_CONFIG, name="a small model")
    length = settings.engine.get("max_model_len")
    return replace(card, max_model_len=max(card.max_model_len, length)) if isinstance(length, int) else card


def _always_starts(setup: EngineSetup, says: str) -> Emulated:
    """Arguments may be for a model of another size: if there is no room for a sequence of full length, make it."""
    limits = limits_of(setup)
    longest = setup.max_model_len + math.ceil(limits.tokens_per_step)
    roomy = replace(limits, kv_blocks=max(limits.kv_blocks, limits.pages.of(longest)))
    return _of(setup, roomy, says)


def _of(setup: EngineSetup, limits: Limits, name: str) -> Emulated:
    curves = measured_curves()
    gpus = f"{setup.gpus} x {setup.gpu.name}" if setup.gpus > 1 else setup.gpu.name
    return Emulated(
        limits=limits,
        step_time=step_time_of(setup, curves),
        frontend=frontend_of(curves),
        says=f"{name} on {gpus}, {limits.max_num_seqs} sequences at once, {limits.kv_blocks} KV blocks",
    )
