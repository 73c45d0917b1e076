"""What an injector is told: whom to ask, for what, when, and for how long to wait for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from enova.core.workload.load import Load
from enova.core.workload.prompts import Prompts

Api = Literal["completions", "chat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An OpenAI-compatible endpoint, and how it is asked."""

    url: str
    """Without the path and a slash at its end: http://127.0.0.1:8000."""
    model: str
    """As the endpoint calls it."""
    api: Api = "completions"
    stream: bool = True
    """Without it an answer comes in one piece, and has no first token that could be told from its last."""
    ignore_eos: bool = True
    """Whether answers get the very length asked for; an extension of vLLM's."""
    key: str | None = field(default=None, repr=False)
    """The API key. It goes into one header, and nowhere else."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request, such as temperature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One worker's part of a run: of the load's requests those whose number is `worker` modulo `workers`.

    Of users who wait for their answers each worker has its part likewise.
    """

    target: Target
    load: Load
    prompts: Prompts
    requests: int | None = None
    """At most so many of the whole load."""
    deadline_s: float = 120.0
    """From a request's scheduled time until it is given up."""
    in_flight: int | None = None
    """At most so many at once, of this worker; a request that waits for its turn is late, and counted so."""
    worker: int = 0
    workers: int = 1
