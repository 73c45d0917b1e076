"""What a run of real load found out: the form in which it is kept, and compared with a forecast.

The form is versioned: what is there keeps its name and meaning, and readers refuse versions they do not know.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from enova.core.spec.injection import Injection

KIND: Final = "enova injection report"

REPORTED = ("ttft", "tpot", "itl", "e2e")
"""The latencies in a report, by the names of their fields."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tested(_Strict):
    """The engine that got the load."""

    model: str
    """As on the Hugging Face hub."""
    gpu: str
    """A name or alias of a GPU card; what NVML reports is one."""
    vllm: Annotated[str, Field(pattern=r"^v?\d+\.\d+")]
    replicas: Annotated[int, Field(ge=1)] = 1
    setup: dict[str, bool | int | float | str] = {}
    """Settings by the names of EngineSetup, as far as they are not vLLM's defaults."""


class Sent(_Strict):
    """The load. The same injection and seed make the same requests."""

    injection: Injection
    seed: Annotated[int, Field(ge=0)] = 0
    requests: Annotated[int, Field(ge=1)]
    """How many were sent."""


class Seen(_Strict):
    """One latency, in seconds, as far as it was measured."""

    mean: Seconds | None = None
    p50: Seconds | None = None
    p90: Seconds | None = None
    p95: Seconds | None = None
    p99: Seconds | None = None


class Found(_Strict):
    """What came of it, of requests that were answered."""

    served: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)] = 0
    duration_s: Seconds
    requests_per_s: Seconds | None = None
    ttft: Seen = Seen()
    """From sending a request to its first token."""
    tpot: Seen = Seen()
    """(E2E - TTFT) / (output tokens - 1) of each request."""
    itl: Seen = Seen()
    """Between tokens, over all of them."""
    e2e: Seen = Seen()


class InjectionReport(_Strict):
    """A run of real load against a real engine."""

    kind: Literal["enova injection report"] = KIND
    schema_version: Literal[1] = 1
    name: str = ""
    tested: Tested
    sent: Sent
    found: Found
