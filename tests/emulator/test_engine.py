"""The emulated engine does what the simulated one does, and words come out of it when they should."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enova.core.engine.step_time import NO_FRONTEND, Chunk, Frontend, StepTime
from enova.core.simulate.limits import Limits
from enova.emulator.emulated import Emulated
from enova.emulator.engine import Burst, Engine, Work
from enova.emulator.metrics import Cache, Metrics
from tests.core.simulate.step_times import Affine
from tests.emulator.virtual_time import run

ONE_S = Affine(base_s=1.0)
FRONTEND = Frontend(before_s=0.25, before_s_per_prompt_token=0.0, after_s=0.125)


class Bench(NamedTuple):
    engine: Engine
    metrics: Metrics

    def value(self, name: str, **labels: str) -> float:
        self.engine.look()
        samples = (
            sample
            for family in text_string_to_metric_families(self.metrics.text().decode())
            for sample in family.samples
        )
        return sum(s.value for s in samples if s.name == f"vllm:{name}" and labels.items() <= s.labels.items())


def bench(
    *,
    max_num_seqs: int = 2,
    kv_blocks: int = 100,
    step_time: StepTime = ONE_S,
    frontend: Frontend = NO_FRONTEND,
    speed: float = 1.0,
) -> Bench:
    limits = Limits(max_num_seqs=max_num_seqs, max_num_batched_tokens=1000, kv_blocks=kv_blocks)
    metrics = Metrics(model_name="tiny", cache=Cache())
    emulated = Emulated(limits=limits, step_time=step_time, frontend=frontend)
    return Bench(Engine(emulated, metrics, speed=speed), metrics)


def work(
    *, tokens: int = 3, prompt_tokens: int = 10, stream: bool = True, index: int = 0, hashes: Sequence[int] = ()
) -> Work:
    return Work(
        index=index,
        prompt_tokens=prompt_tokens,
        max_tokens=tokens,
        output_tokens=tokens,
        seed=f"seed {index}",
        stream=stream,
        block_hashes=tuple(hashes),
    )


class Came(NamedTuple):
    at_s: float
    burst: Burst


async def answered(engine: Engine, *works: Work) -> list[Came]:
    clock = asyncio.get_running_loop().time
    async with aclosing(engine.answer(works)) as bursts:
        return [Came(round(clock(), 6), burst) async for burst in bursts]


def test_every_token_of_a_stream_comes_at_the_end_of_its_step_and_the_reason_with_the_last() -> None:
    async def scenario() -> list[Came]:
        return await answered(bench().engine, work(tokens=3))

    came = run(scenario())

    assert [one.at_s for one in came] == [1, 2, 3]
    assert [one.burst.tokens for one in came] == [("[emulated]",), (" These",), (" words",)]
    assert [one.burst.finish_reason for one in came] == [None, None, "length"]


def test_who_does_not_stream_gets_all_at_the_end() -> None:
    async def scenario() -> list[Came]:
        return await answered(bench().engine, work(tokens=3, stream=False))

    came = run(scenario())

    assert [(one.at_s, len(one.burst.tokens)) for one in came] == [(3, 3)]


def test_what_the_frontend_takes_delays_a_request_and_its_tokens() -> None:
    async def scenario() -> list[Came]:
        return await answered(bench(frontend=FRONTEND).engine, work(tokens=2))

    assert [one.at_s for one in run(scenario())] == [1.375, 2.375]


def test_time_runs_faster_by_the_speed_and_durations_in_metrics_are_as_much_shorter() -> None:
    async def scenario() -> tuple[list[Came], Bench]:
        one = bench(speed=10, frontend=FRONTEND)
        return await answered(one.engine, work(tokens=3)), one

    came, one = run(scenario())

    assert [one.at_s for one in came] == [0.1375, 0.2375, 0.3375]
    assert total(one, "time_to_first_token_seconds_sum") == pytest.approx(0.1375)
    assert total(one, "inter_token_latency_seconds_sum") == pytest.approx(0.2)
    assert total(one, "e2e_request_latency_seconds_sum") == pytest.approx(0.3375)


def total(one: Bench, name: str, **labels: str) -> float:
    """Return a metric without looking at the engine, which takes a loop."""
    families = text_string_to_metric_families(one.metrics.text().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"vllm:{name}" and labels.items() <= sample.labels.items()
    )


def test_requests_share_steps_and_slow_each_other_down() -> None:
    async def scenario() -> tuple[list[Came], list[Came]]:
        one = bench(step_time=Affine(base_s=1.0, per_decode_s=0.5))
        return await asyncio.gather(answered(one.engine, work()), answered(one.engine, work()))

    first, second = run(scenario())

    # The second comes when the first step has begun. Two steps have one decode in them, and then two, and one.
    assert [one.at_s for one in first] == [1, 2.5, 4.5]
    assert [one.at_s for one in second] == [2.5, 4.5, 6]


def test_what_has_no_seat_waits_and_is_served_in_the_order_of_its_arrival() -> None:
    async def scenario() -> list[Came]:
        one = bench(max_num_seqs=1)
        answers = asyncio.create_task(answered(one.engine, *(work(index=index, tokens=2) for index in range(3))))
        await asyncio.sleep(0.5)
        assert (one.value("num_requests_running"), one.value("num_requests_waiting")) == (1, 2)
        assert one.value("num_requests_waiting_by_reason", reason="capacity") == 2
        return await answers

    came = run(scenario())

    assert [(one.at_s, one.burst.index) for one in came] == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)]


def test_a_request_that_the_frontend_still_has_is_counted_as_waiting() -> None:
    async def scenario() -> None:
        one = bench(frontend=FRONTEND)
        answers = asyncio.create_task(answered(one.engine, work(tokens=1)))
        await asyncio.sleep(0.1)
        assert (one.value("num_requests_running"), one.value("num_requests_waiting")) == (0, 1)
        await asyncio.sleep(0.4)
        assert (one.value("num_requests_running"), one.value("num_requests_waiting")) == (1, 0)
        await answers
        assert (one.value("num_requests_running"), one.value("num_requests_waiting")) == (0, 0)

    run(scenario())


def test_who_came_last_is_preempted_when_the_cache_is_full_and_comes_again() -> None:
    async def scenario() -> tuple[list[Came], list[Came]]:
        # Four blocks of 16 tokens: two prompts of 30 take them all, and neither can grow beyond 32.
        one = bench(kv_blocks=4)
        first, second = await asyncio.gather(
            answered(one.engine, work(prompt_tokens=30, tokens=10)),
            answered(one.engine, work(prompt_tokens=30, tokens=10)),
        )
        assert one.value("num_preemptions_total") == 1
        assert one.value("request_num_preemptions_sum") == 1
        assert one.value("kv_cache_usage_perc") == 0
        return first, second

    first, second = run(scenario())

    gaps = [round(later.at_s - earlier.at_s) for earlier, later in pairwise(second)]
    assert [one.at_s for one in first] == list(range(1, 11))
    assert max(gaps) == 8  # it waits for the first to end
    assert sum(len(one.burst.tokens) for one in second) == 10


def test_the_cache_fills_as_contexts_grow() -> None:
    async def scenario() -> None:
        one = bench(kv_blocks=10)
        answers = asyncio.create_task(answered(one.engine, work(prompt_tokens=16, tokens=30)))
        await asyncio.sleep(0.5)
        assert one.value("kv_cache_usage_perc") == 0.1
        await asyncio.sleep(17)
        assert one.value("kv_cache_usage_perc") == 0.3
        await answers

    run(scenario())


def test_prompts_that_begin_alike_are_computed_once() -> None:
    async def scenario() -> Bench:
        one = bench()
        await answered(one.engine, work(prompt_tokens=40, hashes=[1, 2]))
        await answered(one.engine, work(prompt_tokens=70, hashes=[1, 3, 4, 5]))
        return one

    one = run(scenario())

    assert total(one, "prefix_cache_queries_total") == 110
    assert total(one, "prefix_cache_hits_total") == total(one, "prompt_tokens_cached_total") == 16
    assert total(one, "request_prefill_kv_computed_tokens_sum") == 94


@pytest.mark.parametrize("at_s", [0.1, 0.5, 1.5])
def test_closing_the_answer_aborts_it_and_frees_its_seat_for_the_next(at_s: float) -> None:
    async def scenario() -> list[Came]:
        one = bench(max_num_seqs=1, frontend=FRONTEND)
        leaving = asyncio.create_task(answered(one.engine, work(tokens=1000)))
        await asyncio.sleep(0.05)
        staying = asyncio.create_task(answered(one.engine, work(tokens=2)))
        await asyncio.sleep(at_s)
        leaving.cancel()
        came = await staying
        assert one.value("request_success_total", finished_reason="abort") == 1
        assert one.value("request_success_total", finished_reason="length") == 1
        assert (one.value("num_requests_running"), one.value("kv_cache_usage_perc")) == (0, 0)
        return came

    came = run(scenario())

    # Left with the frontend it is as if it had not come; later, the step in flight goes on to its end.
    first_s = {0.1: 1.425, 0.5: 2.375, 1.5: 3.375}[at_s]
    assert [one.at_s for one in came] == [first_s, first_s + 1]


def test_leaving_the_queue_takes_nobody_elses_seat() -> None:
    async def scenario() -> list[Came]:
        one = bench(max_num_seqs=1)
        running = asyncio.create_task(answered(one.engine, work(tokens=3)))
        queued = asyncio.create_task(answered(one.engine, work()))
        await asyncio.sleep(1.5)
        queued.cancel()
        await asyncio.sleep(0)
        assert (one.value("num_requests_running"), one.value("num_requests_waiting")) == (1, 0)
        return await running

    assert [one.at_s for one in run(scenario())] == [1, 2, 3]


def test_every_token_is_accounted_for() -> None:
    async def scenario() -> Bench:
        one = bench()
        await answered(one.engine, work(tokens=7), work(tokens=5, index=1, stream=False))
        assert one.value("num_requests_running") == 0
        return one

    one = run(scenario())

    assert total(one, "prompt_tokens_total") == 20
    assert total(one, "generation_tokens_total") == 12
    assert total(one, "inter_token_latency_seconds_count") == 10
    assert total(one, "iteration_tokens_total_sum") == 32
    assert total(one, "iteration_tokens_total_count") == 7
    assert total(one, "request_generation_tokens_sum") == 12
    assert total(one, "e2e_request_latency_seconds_count") == 2
    assert total(one, "request_success_total", finished_reason="length") == 2


def test_the_parts_of_a_latency_add_up_to_the_whole_but_for_the_frontend() -> None:
    async def scenario() -> Bench:
        one = bench(max_num_seqs=1, frontend=FRONTEND)
        await asyncio.gather(answered(one.engine, work()), answered(one.engine, work()))
        return one

    one = run(scenario())

    parts = {part: total(one, f"request_{part}_time_seconds_sum") for part in ("queue", "prefill", "decode")}
    assert parts == {"queue": 3, "prefill": 2, "decode": 4}
    assert total(one, "request_inference_time_seconds_sum") == 6
    assert total(one, "e2e_request_latency_seconds_sum") == sum(parts.values()) + 2 * 0.375


def test_tokens_that_are_late_come_together_and_the_engine_is_as_far_as_ever() -> None:
    async def scenario() -> list[int]:
        one = bench(step_time=Affine(base_s=0.01))
        sizes = []
        async with aclosing(one.engine.answer([work(tokens=100)])) as bursts:
            async for burst in bursts:
                sizes.append(len(burst.tokens))
                if len(sizes) == 2:
                    time.sleep(0.3)  # the whole process is held up
        return sizes

    sizes = asyncio.run(scenario())

    assert sum(sizes) == 100
    assert max(sizes) >= 29


def test_an_engine_that_fails_fails_all_requests() -> None:
    class Broken(Affine):
        def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
            if decodes:
                raise ArithmeticError("no such step")
            return 1.0

    async def scenario() -> Bench:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        one = bench(step_time=Broken())
        answers = await asyncio.gather(
            answered(one.engine, work()), answered(one.engine, work()), return_exceptions=True
        )
        assert [str(answer) for answer in answers] == ["no such step"] * 2
        return one

    assert total(run(scenario()), "request_success_total", finished_reason="error") == 2
