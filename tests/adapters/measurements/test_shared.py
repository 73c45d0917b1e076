"""The measurements that accuracy is judged on are read as those who made them meant them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.adapters.measurements.aiconfigurator import read_aiconfigurator
from enova.adapters.measurements.collect import read_measurements
from enova.adapters.measurements.llmservingsim import read_llmservingsim
from enova.adapters.measurements.protocols import protocols
from enova.core.accuracy.protocol import card_as_measured, protocol_of
from enova.core.accuracy.recorded_run import measured_latencies


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[4] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return folder / "data"


def test_all_measured_points_are_read_and_can_be_modelled(data: Path) -> None:
    points, problems = read_aiconfigurator(data / "serving_latency/aiconfigurator/measured_vllm.csv")

    assert (len(points), problems) == (965, [])
    assert Counter(point.source for point in points) == {"inferencex": 944, "nvidia": 21}
    for point in points:
        protocol = protocol_of(point, protocols())
        assert protocol.tensor_parallel * protocol.data_parallel <= 8
    kinds = {(point.model, point.gpu, point.quantisation): point for point in points}
    for point in kinds.values():
        card = card_as_measured(point, model_card(point.model), protocols().checkpoints)
        assert card.formats.activations in gpu_card(point.gpu).flops


def test_rows_that_repeat_a_measurement_have_the_same_engine(data: Path) -> None:
    points, _ = read_aiconfigurator(data / "serving_latency/aiconfigurator/measured_vllm.csv")
    engines: dict[tuple[object, ...], set[tuple[int, int, int]]] = {}
    for point in points:
        protocol = protocol_of(point, protocols())
        ranks = (protocol.tensor_parallel, protocol.data_parallel, point.users)
        # To six digits no two measurements are the same by chance.
        key = (point.model, point.gpu, round(point.ttft_s or 0, 6), round(point.tpot_s or 0, 6), point.measured_on)
        engines.setdefault(key, set()).add(ranks)

    repeated = [ranks for ranks in engines.values() if len(ranks) > 1]

    assert repeated == []


@pytest.mark.parametrize("run", ["RTX4090__Llama-3.1-8B", "RTXPRO6000__Qwen3-30B-A3B-Instruct-2507"])
def test_recorded_runs_have_the_figures_that_were_published_with_them(data: Path, run: str) -> None:
    folder = data / "serving_latency/llmservingsim" / run
    names = {"TTFT": "ttft", "TPOT": "tpot", "Latency": "e2e"}
    statistics = {"Mean": "mean", "Median": "p50", "P90": "p90", "P95": "p95", "P99": "p99"}
    published = {
        f"{names[cells[0]]}_{statistics[cells[1]]}": float(cells[2]) / 1000
        for line in (folder / "summary.txt").read_text().splitlines()
        if (cells := line.split()) and cells[0] in names
    }

    recorded, problems = read_llmservingsim(folder)

    assert problems == []
    assert recorded is not None
    assert dict(measured_latencies(recorded).figures()) == pytest.approx(published, abs=6e-5)


def test_everything_there_is_read_by_its_content(data: Path) -> None:
    found = read_measurements([str(data / "serving_latency"), str(data / "memory")])

    assert (len(found.points), len(found.runs), len(found.reports)) == (965, 2, 21)
    assert Counter(start.started for start in found.starts) == {True: 25, False: 5}
