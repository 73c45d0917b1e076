"""The measured and fitted curves that come with Enova."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from pydantic import TypeAdapter

from enova.core.engine.curves import Curves


@cache
def measured_curves() -> Curves:
    """Return the curves this version of Enova predicts with."""
    folder = resources.files("enova.facts")
    efficiency = json.loads(folder.joinpath("efficiency.json").read_text(encoding="utf-8"))
    coefficients = json.loads(folder.joinpath("coefficients.json").read_text(encoding="utf-8"))
    return TypeAdapter(Curves).validate_python(efficiency | coefficients)
