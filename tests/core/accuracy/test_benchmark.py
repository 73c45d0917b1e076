"""A benchmark's requests are those its client really sent."""

from __future__ import annotations

from enova.core.accuracy.benchmark import Benchmark, random_lengths
from enova.core.workload.request import Request


def test_random_lengths_keep_to_the_range_and_come_out_the_same_again() -> None:
    prompts, outputs = random_lengths(1024, 512, 1000, range_ratio=0.8)

    assert (min(prompts), max(prompts)) == (819, 1024)
    assert (min(outputs), max(outputs)) == (409, 512)
    assert random_lengths(1024, 512, 1000, range_ratio=0.8) == (prompts, outputs)


def test_random_lengths_are_those_of_numpys_legacy_generator_seeded_with_zero() -> None:
    # np.random.seed(0); np.random.randint(819, 1025, size=4), then (409, 513), as the benchmark client does.
    assert random_lengths(1024, 512, 4, range_ratio=0.8) == ((991, 866, 936, 1011), (476, 476, 512, 418))


def test_fixed_lengths_are_a_range_of_one() -> None:
    assert random_lengths(100, 7, 3, range_ratio=1.0) == ((100, 100, 100), (7, 7, 7))


def test_requests_keep_their_order_and_wait_from_the_start() -> None:
    load = Benchmark(users=1, prompt_tokens=(5, 6), output_tokens=(2, 3))

    assert list(load.requests()) == [Request(0, 0.0, 5, 2), Request(1, 0.0, 6, 3)]
