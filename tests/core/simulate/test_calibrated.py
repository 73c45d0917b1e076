"""From the metrics of one load on a real engine to what users of another load saw there, right after.

The recording is of `benchmarks/accuracy_vllm_cpu.py`, made on a machine of 2 cores on which other programs ran:
what it allows for is mostly the machine's own changes of speed.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from enova.core.engine.calibration import calibrate
from enova.core.engine.frontend import measured_frontend
from enova.core.engine.snapshot import Snapshot
from enova.core.engine.windows import reading_of
from enova.core.simulate.engine import Engine
from enova.core.simulate.limits import KvPages, Limits
from enova.core.workload.request import Request
from tests.core.simulate.tally import Tally

FILE = Path(__file__).parents[2] / "data" / "vllm_cpu_loads.json.gz"
LIMITS = Limits(
    max_num_seqs=16, max_num_batched_tokens=2048, kv_blocks=169, pages=KvPages(block_size=128), max_model_len=2048
)


@dataclass(frozen=True)
class Load:
    """What a calibrating load's metrics were, and what users of the load after it saw."""

    name: str
    snapshots: list[Snapshot]
    answers: list[tuple[int, int, float, float, float]]
    """Prompt and output tokens, when it was sent, and when its first and last token came."""


@pytest.fixture(scope="module")
def loads() -> list[Load]:
    recorded = json.loads(gzip.decompress(FILE.read_bytes()))
    names = recorded["snapshot_fields"]
    return [
        Load(
            name=load["name"],
            snapshots=[Snapshot(**dict(zip(names, row, strict=True))) for row in load["snapshots"]],
            answers=[tuple(row) for row in load["answers"]],
        )
        for load in recorded["loads"]
    ]


def figures(rows: np.ndarray) -> dict[str, float]:
    """Return what the load's users saw; rows are output tokens, sent, first and last token."""
    tokens, sent, first, last = rows.T
    ttft, tpot, e2e = first - sent, (last - first) / (tokens - 1), last - sent
    return {
        "ttft.p50": float(np.median(ttft)),
        "ttft.p95": float(np.quantile(ttft, 0.95)),
        "tpot.p50": float(np.median(tpot)),
        "e2e.p50": float(np.median(e2e)),
        "e2e.p95": float(np.quantile(e2e, 0.95)),
        "requests_per_s": len(rows) / float(last.max() - sent.min()),
    }


def predicted(load: Load) -> dict[str, float]:
    calibration = calibrate(reading_of(load.snapshots).observations)
    frontend = measured_frontend(load.snapshots, calibration)
    assert frontend is not None
    tally = Tally()
    engine = Engine(LIMITS, calibration.step_time(), tally, frontend=frontend)
    for number, (prompt_tokens, output_tokens, sent_s, _, _) in enumerate(load.answers):
        engine.advance(sent_s)
        engine.submit(Request(number, sent_s, prompt_tokens, output_tokens), sent_s)
    engine.advance(float("inf"))
    return figures(
        np.array(
            [(a.request.output_tokens, a.request.arrival_s, a.first_token_s, a.finished_s) for a in tally.answers]
        )
    )


def test_other_rates_and_lengths_are_predicted_from_one_loads_metrics(loads: list[Load]) -> None:
    errors: dict[str, list[float]] = {}
    for load in loads:
        seen = figures(np.array([row[1:] for row in load.answers]))
        for name, value in predicted(load).items():
            errors.setdefault(name, []).append(abs(value / seen[name] - 1))

    medians = {name: float(np.median(each)) for name, each in errors.items()}
    assert len(loads) == 5
    assert medians == pytest.approx(dict.fromkeys(medians, 0.0), abs=0.1), errors
    assert medians["tpot.p50"] < 0.06
    assert max(errors["requests_per_s"]) < 0.06


def test_requests_spend_some_milliseconds_outside_the_scheduler(loads: list[Load]) -> None:
    for load in loads:
        calibration = calibrate(reading_of(load.snapshots).observations)
        frontend = measured_frontend(load.snapshots, calibration)

        assert frontend is not None
        assert 0.002 < frontend.before_s < 0.04


def test_all_recorded_metrics_are_known(loads: list[Load]) -> None:
    for load in loads:
        reading = reading_of(load.snapshots)

        assert reading.unknown == ()
        assert len(reading.observations) > 0.4 * reading.windows
