"""The emulated engine's queue, slots, timing and accounts."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enova.emulator.engine import Burst, Engine, Work
from enova.emulator.metrics import Metrics
from enova.emulator.timing import ConstantRate, Timing

INSTANT = ConstantRate(overhead_s=0, prefill_tokens_per_s=1e9, output_token_s=0)


def work(*, tokens: int = 3, prompt_tokens: int = 10, stream: bool = True, index: int = 0) -> Work:
    return Work(
        index=index,
        prompt_tokens=prompt_tokens,
        max_tokens=tokens,
        output_tokens=tokens,
        seed=f"seed {index}",
        stream=stream,
    )


def engine(*, timing: Timing = INSTANT, max_num_seqs: int = 2) -> tuple[Engine, Metrics]:
    metrics = Metrics(model_name="tiny", kv_tokens=100)
    return Engine(max_num_seqs=max_num_seqs, kv_tokens=100, timing=timing, metrics=metrics), metrics


def value(metrics: Metrics, name: str, **labels: str) -> float:
    samples = (s for family in text_string_to_metric_families(metrics.text().decode()) for s in family.samples)
    return sum(s.value for s in samples if s.name == f"vllm:{name}" and labels.items() <= s.labels.items())


async def answered(engine: Engine, *works: Work) -> list[Burst]:
    async with aclosing(engine.answer(works)) as bursts:
        return [burst async for burst in bursts]


async def eventually(metrics: Metrics, name: str, expected: float) -> None:
    async with asyncio.timeout(5):
        while value(metrics, name) != expected:
            await asyncio.sleep(0.001)


def test_a_stream_gives_every_token_and_its_reason_with_the_last() -> None:
    one, _ = engine(timing=ConstantRate(overhead_s=0, prefill_tokens_per_s=1e9, output_token_s=0.002))

    bursts = asyncio.run(answered(one, work(tokens=5)))

    assert sum(len(burst.tokens) for burst in bursts) == 5
    assert [burst.finish_reason for burst in bursts] == [None] * (len(bursts) - 1) + ["length"]


def test_several_prompts_of_one_request_are_all_answered() -> None:
    one, _ = engine(max_num_seqs=1)

    bursts = asyncio.run(answered(one, *(work(index=index) for index in range(4))))

    assert [burst.index for burst in bursts if burst.finish_reason] == [0, 1, 2, 3]


def test_tokens_come_out_when_the_timing_says() -> None:
    one, metrics = engine(timing=ConstantRate(overhead_s=0.03, prefill_tokens_per_s=1000, output_token_s=0.004))

    asyncio.run(answered(one, work(tokens=51, prompt_tokens=20)))

    # Never too early; how late depends on what else the machine is doing.
    assert 0.0499 <= value(metrics, "time_to_first_token_seconds_sum") < 0.5
    assert 0.1999 <= value(metrics, "request_decode_time_seconds_sum") < 2
    assert value(metrics, "inter_token_latency_seconds_sum") == pytest.approx(
        value(metrics, "request_decode_time_seconds_sum")
    )
    assert value(metrics, "e2e_request_latency_seconds_sum") >= 0.2498


def test_delays_do_not_add_up() -> None:
    async def scenario() -> list[int]:
        one, _ = engine(timing=ConstantRate(overhead_s=0, prefill_tokens_per_s=1e9, output_token_s=0.01))
        sizes = []
        async with aclosing(one.answer([work(tokens=100)])) as bursts:
            async for burst in bursts:
                sizes.append(len(burst.tokens))
                if len(sizes) == 2:
                    time.sleep(0.3)  # the whole process is held up
        return sizes

    sizes = asyncio.run(scenario())

    assert sum(sizes) == 100
    assert max(sizes) >= 29


def test_every_token_is_accounted_for() -> None:
    one, metrics = engine()

    asyncio.run(answered(one, work(tokens=7), work(tokens=5, index=1, stream=False)))

    assert value(metrics, "prompt_tokens_total") == 20
    assert value(metrics, "generation_tokens_total") == 12
    assert value(metrics, "inter_token_latency_seconds_count") == 10
    assert value(metrics, "request_generation_tokens_sum") == 12
    assert value(metrics, "e2e_request_latency_seconds_count") == 2
    assert value(metrics, "request_success_total", finished_reason="length") == 2
    assert value(metrics, "num_requests_running") == 0
    assert value(metrics, "kv_cache_usage_perc") == 0


def test_what_has_no_slot_waits_and_is_served_in_the_order_of_its_arrival() -> None:
    async def scenario() -> list[int]:
        one, metrics = engine(
            timing=ConstantRate(overhead_s=0.02, prefill_tokens_per_s=1e9, output_token_s=0), max_num_seqs=1
        )
        answers = asyncio.create_task(answered(one, *(work(index=index) for index in range(3))))
        await eventually(metrics, "num_requests_waiting", 2)
        assert value(metrics, "num_requests_running") == 1
        return [burst.index for burst in await answers if burst.finish_reason]

    assert asyncio.run(scenario()) == [0, 1, 2]


def test_closing_the_answer_aborts_it_and_frees_its_slot_for_the_next() -> None:
    async def scenario() -> None:
        endless = ConstantRate(overhead_s=0, prefill_tokens_per_s=1e9, output_token_s=60)
        one, metrics = engine(timing=endless, max_num_seqs=1)
        async with aclosing(one.answer([work(prompt_tokens=49)])) as bursts:
            await anext(bursts)
            assert value(metrics, "kv_cache_usage_perc") == 0.5
            queued = asyncio.create_task(answered(one, work(index=1, tokens=1)))
            await eventually(metrics, "num_requests_waiting", 1)
        await queued

        assert value(metrics, "request_success_total", finished_reason="abort") == 1
        assert value(metrics, "request_success_total", finished_reason="length") == 1
        assert value(metrics, "num_requests_running") == 0
        assert value(metrics, "kv_cache_usage_perc") == 0

    asyncio.run(scenario())


def test_leaving_the_queue_takes_nobody_elses_slot() -> None:
    async def scenario() -> None:
        endless = ConstantRate(overhead_s=60, prefill_tokens_per_s=1e9, output_token_s=0)
        one, metrics = engine(timing=endless, max_num_seqs=1)
        running = asyncio.create_task(answered(one, work()))
        await eventually(metrics, "num_requests_running", 1)
        queued = asyncio.create_task(answered(one, work(index=1)))
        await eventually(metrics, "num_requests_waiting", 1)

        queued.cancel()
        await eventually(metrics, "num_requests_waiting", 0)

        assert value(metrics, "num_requests_running") == 1
        assert value(metrics, "request_success_total", finished_reason="abort") == 1
        running.cancel()
        await eventually(metrics, "num_requests_running", 0)

    asyncio.run(scenario())


def test_a_timing_that_fails_fails_the_request_and_frees_its_slot() -> None:
    class Broken(ConstantRate):
        def first_token_s(self, prompt_tokens: int) -> float:
            raise ArithmeticError("no such step")

    one, metrics = engine(timing=Broken(), max_num_seqs=1)

    for _ in range(2):
        with pytest.raises(ArithmeticError, match="no such step"):
            asyncio.run(answered(one, work()))

    assert value(metrics, "request_success_total", finished_reason="error") == 2
    assert value(metrics, "num_requests_running") == 0
