"""Enova's own facts on how published measurements were made."""

from __future__ import annotations

from functools import cache

from enova.core.accuracy.protocol import Protocols
from enova.facts.reading import facts


@cache
def protocols() -> Protocols:
    """Return what `enova/facts/protocols.yaml` says."""
    return Protocols.model_validate(facts("protocols"))
