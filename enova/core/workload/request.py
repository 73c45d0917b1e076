"""One request, as everything that makes, simulates or sends load knows it."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """A request. Compared and hashed by value; `number` makes it unique within a load."""

    number: int
    arrival_s: float
    """From the start of the load."""
    prompt_tokens: int
    output_tokens: int
    kind: str = ""
    """The class it belongs to, where the load is a mix."""
    prefix: int = -1
    """Which shared prefix its prompt starts with; -1: none, its prompt is its own."""
    prefix_tokens: int = 0
    """Length of that prefix, at most `prompt_tokens`."""
    row: int = -1
    """Which row of its class's dataset its prompt is; -1: its prompt is made up."""
