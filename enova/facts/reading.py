"""The way to the data files of this package: each is read once and then kept."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from ruamel.yaml import YAML

from enova.core.engine.known_models import KnownModels


@cache
def facts(name: str) -> Any:
    """Return what `<name>.yaml` in this package says. Callers must not change it."""
    text = resources.files("enova.facts").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)


@cache
def known_models() -> KnownModels:
    """Return the models there are facts for."""
    return KnownModels(facts("models")["models"])
