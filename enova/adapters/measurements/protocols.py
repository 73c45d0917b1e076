"""Enova's own facts on how published measurements were made."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ruamel.yaml import YAML

from enova.core.accuracy.protocol import Protocols


@cache
def protocols() -> Protocols:
    """Return the rules of `enova/facts/protocols.yaml`."""
    text = files("enova.facts").joinpath("protocols.yaml").read_text(encoding="utf-8")
    return Protocols.model_validate(YAML(typ="safe").load(text))
