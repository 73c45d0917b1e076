"""Facts that come with Enova: GPU cards, with the prices of this installation, and cards of known models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu, gpu_card_of, priced
from enova.core.engine.model_card import ModelCard
from enova.errors import CannotModel, UsageError
from enova.facts.reading import facts, known_models


@cache
def gpu_cards(prices: Path | None = None) -> tuple[GpuCard, ...]:
    """Return all GPUs there are facts for, older and slower ones first.

    Args:
        prices: a YAML file of `name: dollars an hour`, whose prices replace those of the facts.

    Raises:
        UsageError: the file cannot be read, or is not of that form.
    """
    cards = tuple(gpu_card_of(entry) for entry in facts("gpus"))
    if prices is None:
        return cards
    try:
        return priced(cards, _prices(prices), source=str(prices))
    except CannotModel as error:
        raise UsageError(f"{prices}: {error.message}", hint=error.hint) from error


def gpu_card(name: str, prices: Path | None = None) -> GpuCard:
    """Return the card of a GPU by its name or an alias, among which are what NVML reports.

    Raises:
        CannotModel: there are no facts for such a GPU.
        UsageError: the file of prices cannot be used.
    """
    return find_gpu(gpu_cards(prices), name)


def _prices(path: Path) -> dict[str, float]:
    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"prices cannot be read: {error}", hint="see ENOVA_PRICES") from error
    except YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} must map names of GPUs to dollars an hour", hint="for example `h100-sxm: 2.10`")
    wrong = [str(name) for name, usd in found.items() if not _is_price(usd)]
    if wrong:
        raise UsageError(
            f"{path}: not a price of 0 or more: {', '.join(wrong)}", hint="for example `h100-sxm: 2.10`"
        )
    return {str(name): float(usd) for name, usd in found.items()}


def _is_price(usd: object) -> bool:
    return isinstance(usd, (int, float)) and not isinstance(usd, bool) and usd >= 0


def model_card(name: str) -> ModelCard:
    """Return the card of a model there are facts for, by the name it has on the hub; capitals do not matter.

    Raises:
        CannotModel: there are none, or its architecture is not understood.
    """
    return known_models().card(name)


def model_names() -> tuple[str, ...]:
    """Return the names of all models there are facts for, sorted."""
    return known_models().names
