"""One measured serving point: how the engine was set up, under which closed-loop load, and what its users saw."""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.engine.setup import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPoint:
    """A row of a table of serving measurements, in Enova's words; what the row leaves open is None."""

    name: str
    file: str
    line: int
    source: str
    """Whose measurement: inferencex, nvidia; it decides the protocol."""
    run: str
    """What else is known of the run, for rules to match: the row's own words on where it comes from."""
    measured_on: str
    """ISO date, empty if unknown."""
    model: str
    gpu: str
    quantisation: str
    """In the row's words: fp8, nvfp4, int4_wo …; empty for as the model is published."""
    vllm: Version | None
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    expert_parallel: bool
    users: int
    """Of the whole engine, not of one data-parallel rank."""
    isl: int
    """Nominal prompt length; what is sent may be shorter, as the protocol says."""
    osl: int
    ttft_s: float | None
    tpot_s: float | None
