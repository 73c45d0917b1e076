"""Loads that tests send, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import uvloop

from enova.adapters.injector import Run
from enova.adapters.injector.body import asking
from enova.adapters.injector.sender import Sender
from enova.core.inject.job import Job, Target
from enova.core.inject.outcome import Outcome
from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, load_of
from enova.core.workload.prompts import Prompts
from enova.core.workload.recording import Recording

EVEN = {"process": "constant", "rate": "40/s"}
LATE_S = 0.25
"""More than any machine is late by; a stall that is to show is longer."""


def load(
    duration_s: float = 0.5,
    arrival: dict[str, Any] | None = None,
    recordings: Mapping[str, Recording] | None = None,
    **more: Any,
) -> Load:
    """Return a load of 40 requests/s, or another."""
    return load_of(
        Injection.model_validate(
            {
                "arrival": arrival or EVEN,
                "prompt_tokens": {"distribution": "fixed", "tokens": 5},
                "output_tokens": {"distribution": "fixed", "tokens": 4},
                "duration": f"{1000 * duration_s:.0f}ms",
                **more,
            }
        ),
        recordings=recordings,
    )


def job(url: str, sent: Load | None = None, **changes: Any) -> Job:
    """Return a job of that load; `changes` are fields of it, or of its target."""
    target = {name: changes.pop(name) for name in list(changes) if name in Target.__dataclass_fields__}
    whole = {"target": Target(url=url, model="m", **target), "load": sent or load(), "prompts": Prompts()}
    return Job(**{"deadline_s": 5.0, **whole, **changes})


def sent(what: Job) -> list[Outcome]:
    """Send a load from this process."""

    async def send() -> list[Outcome]:
        sender = Sender(what, asking(what.target, what.prompts))
        sender.start(monotonic() + 0.02)
        await sender.done.wait()
        return sender.outcomes

    return uvloop.run(send())


def run(what: Job, workers: int = 1) -> list[Outcome]:
    """Send it from processes of their own."""
    return [outcome for batch in Run(what, workers=workers).batches() for outcome in batch.outcomes]


def failures(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many there are of each kind; empty is no failure."""
    return dict(Counter(outcome.failure for outcome in outcomes))
