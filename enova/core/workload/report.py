"""What a run of real load found out: the form in which it is kept, shown, and compared with a forecast.

The form is versioned: what is there keeps its name and meaning, and readers refuse versions they do not know.
Version 2 has more than version 1, and all of that.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from enova.core.spec.injection import Injection

KIND: Final = "enova injection report"

REPORTED = ("ttft", "tpot", "itl", "e2e")
"""The latencies in a report, by the names of their fields."""
STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p99_9")

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Ends = dict[str, tuple[Number, Number]]
"""By figure, the ends between which the truth is with probability 0.9; of a forecast its band."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Asked(_Strict):
    """Who got the load, and how they were asked."""

    url: str
    api: Literal["completions", "chat"]
    model: str
    """As the endpoint calls it."""
    stream: bool
    ignore_eos: bool
    emulated: bool = False
    """Whether no model ran there."""


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


class Seen(_Strict):
    """One latency, in seconds, as far as it was measured."""

    mean: Seconds | None = None
    p50: Seconds | None = None
    p90: Seconds | None = None
    p95: Seconds | None = None
    p99: Seconds | None = None
    p99_9: Seconds | None = None
    max: Seconds | None = None
    ends: Ends = {}

    def figures(self) -> dict[str, float]:
        """Return what is known, by the names of statistics."""
        known = {name: getattr(self, name) for name in STATISTICS}
        return {name: value for name, value in known.items() if value is not None}


class Delivery(_Strict):
    """How well the load was sent: what is below is of all requests, warm-up too."""

    asked_per_s: Number
    achieved_per_s: Number
    achieved_share: Number
    lag: Seen
    """From the scheduled time to the send."""
    workers: Count
    cpu_share: Number
    """The most that a worker used of its core."""
    deadline_s: Seconds
    max_in_flight: Count | None = None
    closed_loop: bool
    """Whether slow answers held requests back."""
    prompt_tokens: tuple[Count, Count]
    """Asked for, and counted by the server, of requests that were answered; as are output tokens."""
    output_tokens: tuple[Count, Count]
    stopped: bool = False
    """Whether it was ended by hand."""


class Sent(_Strict):
    """The load. The same injection and seed make the same requests."""

    injection: Injection
    seed: Annotated[int, Field(ge=0)] = 0
    requests: Annotated[int, Field(ge=1)]
    """How many were sent."""
    warmup_s: Seconds = 0.0
    """What was due before is not counted in what was found."""
    delivery: Delivery | None = None


class Figures(_Strict):
    """What can be measured, and be predicted."""

    requests_per_s: Seconds | None = None
    prompt_tokens_per_s: Seconds | None = None
    output_tokens_per_s: Seconds | None = None
    ttft: Seen = Seen()
    """To the first token: measured from sending the request."""
    tpot: Seen = Seen()
    """(E2E - TTFT) / (output tokens - 1) of each request."""
    itl: Seen = Seen()
    """Between tokens, over all of them."""
    e2e: Seen = Seen()
    goodput: Share | None = None
    """Share of the requests that met every target; what failed did not."""
    goodput_per_s: Seconds | None = None
    ends: Ends = {}
    """Of the figures that are no latencies."""


class Part(Figures):
    """What one class of requests saw, from its scheduled times."""

    served: Count
    failed: Count = 0


class OverTime(_Strict):
    """Intervals from the start, warm-up too. Latencies from the schedule, of what was due in an interval."""

    interval_s: Seconds
    due: tuple[Count, ...]
    sent: tuple[Count, ...]
    answered: tuple[Count, ...]
    failed: tuple[Count, ...]
    """By when they were due."""
    output_tokens: tuple[Count, ...]
    ttft_p50: tuple[Seconds | None, ...]
    ttft_p95: tuple[Seconds | None, ...]
    e2e_p95: tuple[Seconds | None, ...]


class Found(Figures):
    """What came of it, of requests that were answered."""

    served: Count
    failed: Count = 0
    duration_s: Seconds
    errors: dict[str, Count] = {}
    """By kind: what failed. Of all requests, warm-up too."""
    from_schedule: Figures | None = None
    """The same from when requests were due: what their users saw, whoever was late."""
    classes: dict[str, Part] = {}
    over_time: OverTime | None = None

    @property
    def seen(self) -> Figures:
        """Return what users saw: from the schedule where that is known, else from the send."""
        return self.from_schedule or self


class Kept(_Strict):
    """A promise, and what was measured of it, from the schedule."""

    metric: Literal["ttft", "tpot", "itl", "e2e", "availability"]
    statistic: str = ""
    target: Number
    """Seconds; of availability a share."""
    measured: Number | None = None
    kept: bool


class Foretold(_Strict):
    """What was to happen in each interval from the start, as far as it is known."""

    interval_s: Seconds
    answered: tuple[Count, ...]
    output_tokens: tuple[Count, ...]


class Predicted(Figures):
    """What was foretold of the same requests before they were sent."""

    basis: str
    """Where step times come from."""
    classes: dict[str, Part] = {}
    over_time: Foretold | None = None


class InjectionReport(_Strict):
    """A run of real load against a real engine."""

    kind: Literal["enova injection report"] = KIND
    schema_version: Literal[1, 2] = 2
    name: str = ""
    asked: Asked | None = None
    tested: Tested | None = None
    """None: nobody knows what is behind the address."""
    began_s: Number | None = None
    """Unix time, as is its end."""
    ended_s: Number | None = None
    problems: tuple[str, ...] = ()
    """Why the run is not valid; empty: it is."""
    notes: tuple[str, ...] = ()
    sent: Sent
    found: Found
    slo: tuple[Kept, ...] = ()
    predicted: Predicted | None = None
    not_predicted: str = ""
    """Why nothing is predicted."""

    @property
    def valid(self) -> bool:
        """Return whether what was found tells about the engine."""
        return not self.problems

    @property
    def keeps(self) -> bool:
        """Return whether every promise was kept."""
        return all(one.kept for one in self.slo)
