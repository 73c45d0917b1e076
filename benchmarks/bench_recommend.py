"""Measure how long choosing takes: one service among ten kinds of GPU, and plans of many services.

    uv run python benchmarks/bench_recommend.py [MOST_SERVICES]

Prints CPU seconds, which other work on the machine blurs less, and seconds on the clock, of a choice among ten
kinds of GPU to rent with 1 to 8 of them a replica, also where promises cannot be kept; then of plans for 10, 100
and 300 services, up to MOST_SERVICES (default 100), with nothing chosen yet and all of it in the lock. One core.
The goals: about 5 s a choice, 60 s for a plan of 100 services without a lock, 2 s with it.

AIConfigurator 0.12 on the same machine: `aiconfigurator cli recommend --backend vllm --system h100_sxm
--target-request-rate 20 --isl 1155 --osl 211 --ttft 500 --tpot 40` takes 14 to 18 CPU seconds for Llama 3.1 8B and
70B and 58 for gpt-oss-120b, for that one kind of GPU, with the databases of the others still to be read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from questions import all_rentable, question_of, rentable, service_of

from enova import tick
from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_cards, model_card
from enova.adapters.model_error import measured_error
from enova.core.lockfile import Lock, lock_in, lock_text
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Outcome, Recommendation
from enova.core.spec import Service
from enova.knowledge import Knowledge
from enova.testing import MemoryHost, memory_world

FIRST_PORT = 10_000
SIZES = (10, 100, 300)


@dataclass(frozen=True, slots=True)
class Case:
    """One question."""

    model: str
    rate: float
    promises: dict[str, dict[str, str]]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return it for people."""
        promised = ", ".join(f"{metric} {value}" for metric, of in self.promises.items() for value in of.values())
        return f"{self.model.partition('/')[2]}, {self.rate:g}/s, {promised}" + (", budget" if self.more else "")


CASES = (
    Case("Qwen/Qwen2.5-7B-Instruct", 2, {"ttft": {"p95": "1s"}}),
    Case("meta-llama/Llama-3.1-8B-Instruct", 20, {"ttft": {"p95": "500ms"}, "tpot": {"p95": "40ms"}}),
    Case("Qwen/Qwen2.5-32B-Instruct", 10, {"ttft": {"p95": "1s"}, "tpot": {"p95": "50ms"}}),
    Case("meta-llama/Llama-3.1-70B-Instruct", 10, {"ttft": {"p95": "2s"}, "tpot": {"p95": "50ms"}}),
    Case("meta-llama/Llama-3.1-70B-Instruct", 100, {"e2e": {"p95": "20s"}}),
    Case("openai/gpt-oss-120b", 20, {"ttft": {"p95": "1s"}, "tpot": {"p95": "30ms"}}),
    Case("openai/gpt-oss-120b", 5, {"tpot": {"p95": "8ms"}}),
    Case("meta-llama/Llama-3.1-8B-Instruct", 10, {"ttft": {"p95": "20ms"}}),
    Case("meta-llama/Llama-3.1-70B-Instruct", 20, {"ttft": {"p95": "1s"}}, {"budget": {"cost": "3 USD/h"}}),
)
MODELS = (
    "Qwen/Qwen2.5-7B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-14B-Instruct",
    "openai/gpt-oss-20b",
    "Qwen/Qwen2.5-32B-Instruct",
)


def main(most_services: int) -> None:
    """Print one line for each case, and for each plan."""
    print(f"{'choice':62} {'CPU s':>6} {'clock s':>7}  answer")
    for case in CASES:
        taken, outcome = _timed(lambda case=case: _answer(case))  # type: ignore[misc]
        print(f"{case.words:62} {taken.cpu_s:6.2f} {taken.clock_s:7.2f}  {_words(outcome)}")
    print(f"\n{'plan':62} {'CPU s':>6} {'clock s':>7}  growth of CPU s")
    before = 0.0, 0.0
    for count in SIZES:
        if count <= most_services:
            before = _plans(count, before)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a measurement took."""

    cpu_s: float
    clock_s: float


def _timed(work: Callable[[], Any]) -> tuple[Taken, Any]:
    cpu_s, clock_s = time.process_time(), time.perf_counter()
    found = work()
    return Taken(time.process_time() - cpu_s, time.perf_counter() - clock_s), found


def _answer(case: Case) -> Outcome:
    service = service_of(case.model, rate=case.rate, slo=case.promises, **case.more)
    return recommend(question_of(service, rentable()), rentable=all_rentable())


def _words(outcome: Outcome) -> str:
    if isinstance(outcome, Recommendation):
        return f"{outcome.replicas} x {outcome.shape.words}"
    ways = ", ".join(f"{near.field} {near.value}" for near in outcome.nearest)
    return f"infeasible; {ways or 'nothing near'}"


def _plans(count: int, before: tuple[float, float]) -> tuple[float, float]:
    """Print how long plans of so many services take, and return their CPU seconds."""
    services = [_service(index) for index in range(count)]
    cold, found = _timed(lambda: _plan(services, {}))
    entries = {name: advice.entry for name, advice in found.advice.items() if advice.entry is not None}
    if len(entries) != count:
        raise SystemExit(f"{count - len(entries)} of {count} services got no choice")
    text = lock_text(entries)
    locked, again = _timed(lambda: _plan(services, lock_in(text, "enova.lock")))
    if any(advice.fresh for advice in again.advice.values()):
        raise SystemExit("the lock did not hold")
    for name, taken, earlier_s in (("without a lock", cold, before[0]), ("from the lock", locked, before[1])):
        growth = f"{taken.cpu_s / earlier_s:.1f}x" if earlier_s else ""
        print(f"{f'{count} services, {name}':62} {taken.cpu_s:6.2f} {taken.clock_s:7.2f}  {growth}")
    return cold.cpu_s, locked.cpu_s


def _plan(services: Sequence[Service], lock: Lock) -> tick.Tick:
    return tick.plan(services, memory_world(MemoryHost()), _knowledge(), lock=lock)


def _service(index: int) -> Service:
    """Return one of many services, no two alike."""
    return service_of(
        MODELS[index % len(MODELS)],
        name=f"chat-{index:05}",
        rate=1 + 0.37 * (index % 23),
        slo={"ttft": {"p95": f"{600 + 50 * (index % 7)}ms"}},
        gateway={"port": FIRST_PORT + index},
    )


def _knowledge() -> Knowledge:
    return Knowledge(
        model=lambda service, _may_ask: model_card(service.model.id),
        gpus=gpu_cards,
        inventory=lambda _observed: rentable(),
        recording=_nothing,
        learnt=_nothing,
        digest=lambda _file: "",
        curves=measured_curves,
        error=measured_error(),
        learnt_error=lambda _service, _fingerprint: None,
    )


def _nothing(file: str) -> Any:
    raise LookupError(file)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
