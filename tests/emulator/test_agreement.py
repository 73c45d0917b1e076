"""What users of the emulated engine measure is what a forecast of the same load says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import NamedTuple

import numpy as np
import pytest

from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Metric, Results
from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, load_of
from enova.core.workload.request import Request
from enova.emulator.arguments import Settings
from enova.emulator.emulated import Emulated, emulated
from enova.emulator.engine import Engine, Work
from enova.emulator.metrics import Cache, Metrics
from tests.emulator.virtual_time import run


class Measured(NamedTuple):
    """Means over all requests in seconds of the engine, as their users' clocks show them."""

    ttft_s: float
    tpot_s: float
    e2e_s: float
    preemptions: float


def load(rate: float, *, prompt: int, output: int) -> Load:
    lengths = {
        "prompt_tokens": {"distribution": "lognormal", "mean": prompt, "std": prompt / 2, "max": 4 * prompt},
        "output_tokens": {"distribution": "lognormal", "mean": output, "std": output / 2, "max": 4 * output},
    }
    arrival = {"process": "poisson", "rate": f"{rate}/s"}
    return load_of(Injection.model_validate({"arrival": arrival, **lengths}), seed=3)


def forecast(engine: Emulated, traffic: Load, requests: int) -> Results:
    replica = ReplicaSetup(limits=engine.limits, step_time=engine.step_time, frontend=engine.frontend)
    return run_of([replica], traffic, Conditions(requests=requests))


async def measured(emulated: Emulated, requests: Iterable[Request], *, speed: float) -> Measured:
    """Send requests when they are due, to an engine that is so many times as fast, and stop the time."""
    loop = asyncio.get_running_loop()
    metrics = Metrics(model_name="tiny", cache=Cache())
    engine = Engine(emulated, metrics, speed=speed)
    began_s = loop.time()

    async def user(request: Request) -> tuple[float, float, float]:
        await asyncio.sleep(began_s + request.arrival_s / speed - loop.time())
        work = Work(
            index=0,
            prompt_tokens=request.prompt_tokens,
            max_tokens=request.output_tokens,
            output_tokens=request.output_tokens,
            seed=str(request.number),
            stream=True,
        )
        sent_s, times_s = began_s + request.arrival_s / speed, []
        async with aclosing(engine.answer([work])) as bursts:
            async for burst in bursts:
                times_s += [loop.time()] * len(burst.tokens)
        gaps = request.output_tokens - 1
        tpot_s = (times_s[-1] - times_s[0]) / gaps if gaps else np.nan
        return times_s[0] - sent_s, tpot_s, times_s[-1] - sent_s

    latencies_s = np.array(await asyncio.gather(*(user(request) for request in requests)))
    ttft_s, tpot_s, e2e_s = (np.nanmean(latencies_s, axis=0) * speed).tolist()
    preemptions = next(s.value for m in metrics.preemptions.collect() for s in m.samples)
    return Measured(ttft_s, tpot_s, e2e_s, preemptions)


def agree(found: Measured, predicted: Results, within: float) -> None:
    for metric, seconds in ((Metric.TTFT, found.ttft_s), (Metric.TPOT, found.tpot_s), (Metric.E2E, found.e2e_s)):
        assert seconds == pytest.approx(predicted.of(metric, "mean").value, rel=within), metric


LLAMA = Settings(model="meta-llama/Llama-3.1-8B-Instruct", gpu="h100-sxm")
SHORT_OF_BLOCKS = Settings(
    model="meta-llama/Llama-3.1-8B-Instruct",
    gpu="h100-sxm",
    engine={"num_gpu_blocks_override": 1200, "max_model_len": 8192},
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "rate", "preempts"), [(LLAMA, 8.0, False), (LLAMA, 25.0, False), (SHORT_OF_BLOCKS, 8.0, True)]
)
def test_where_time_is_exact_so_is_the_agreement(settings: Settings, rate: float, preempts: bool) -> None:
    engine, traffic = emulated(settings), load(rate, prompt=1000, output=200)

    found = run(measured(engine, traffic.requests(150), speed=20))

    predicted = forecast(engine, traffic, 150)
    agree(found, predicted, within=1e-5)
    assert found.preemptions == predicted.preemptions
    assert (found.preemptions > 0) is preempts


def test_on_the_wall_clock_it_agrees_as_far_as_the_machine_is_on_time() -> None:
    # So large a model that what timers are late by is little: 5 ms a token are left of some 50.
    engine = emulated(
        Settings(model="meta-llama/Llama-3.1-70B", gpu="h100-sxm", engine={"tensor_parallel_size": 4})
    )
    traffic = load(3.0, prompt=4000, output=60)

    found = asyncio.run(measured(engine, traffic.requests(30), speed=10))

    agree(found, forecast(engine, traffic, 30), within=0.25)
