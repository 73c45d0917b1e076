"""What Enova chooses for a spec of three lines on one inventory after another, beside ENOVA 0.0.7's rules.

    uv run python benchmarks/recommend_table.py

Prints a table, and writes it into docs/recommend.md. The rules are those of enova-instrumentation-llmo 0.0.7 for
engines that start for the first time, in words of our own: they look at the model's size and at the number and
memory of the GPUs, and at nothing else. What both hold is simulated with the same model under the same traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generated import write_generated
from questions import all_rentable, owned, question_of, rentable, service_of

from enova.core.engine.fit import fit_of
from enova.core.engine.memory import memory_of
from enova.core.engine.setup import EngineSetup
from enova.core.inventory import Inventory, Pool
from enova.core.recommend.demand import Demand
from enova.core.recommend.question import Question
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Infeasible, Recommendation
from enova.core.recommend.shape import Shape, shape_with
from enova.core.simulate.capacity import Capacity, capacity_of
from enova.core.simulate.forecast import Conditions

MODEL = "Qwen/Qwen2.5-7B-Instruct"
PROMISES = {"ttft": {"p95": "1s"}}
RATES, HIGH_RATE = (2, 10), 100
"""Requests/s; the high one for what has room for it."""
INVENTORIES: tuple[tuple[str, Inventory], ...] = (
    ("1 x RTX 4090, 24 GB", owned("rtx-4090", 1)),
    ("2 x RTX 4090", owned("rtx-4090", 2)),
    ("1 x L4, 24 GB", owned("l4", 1)),
    ("2 x L4", owned("l4", 2)),
    ("1 x A100, 80 GB", owned("a100-sxm-80gb", 1)),
    ("1 x H100, 80 GB", owned("h100-sxm", 1)),
    ("8 x H100", owned("h100-sxm", 8)),
    ("8 x H200, 141 GB", owned("h200-sxm", 8)),
    ("ten kinds to rent", rentable()),
)
PRINTED_GB = {"rtx-4090": 24, "l4": 24, "a100-sxm-80gb": 80, "h100-sxm": 80, "h200-sxm": 141}
"""What is printed on the box, which is what ENOVA is told."""
COLUMNS = (
    "there is",
    "traffic",
    "by",
    "runs",
    "$/h",
    "memory asked for",
    "of the cards in use",
    "KV tokens",
    "requests/s with TTFT P95 up to 1 s",
    "$/1M output tokens at that",
)
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Rules:
    """What ENOVA 0.0.7 starts an engine with; one replica, always."""

    tensor_parallel: int | None
    """None: no number of GPUs is found, and neither is a share of memory."""
    memory_share: float | None
    max_num_seqs: int


HEADS, LONGEST, KV_ELEMENTS = 32, 8192, 262_144
"""Of a model of 7 billion parameters, by ENOVA's table: without grouped queries, whatever the model has."""
FRAMEWORK_BYTES = 3 * GIB
KEPT = 0.9
"""Share of the memory that is counted on, twice."""
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def rules(billions: int, memory_gb: int, gpus: int) -> Rules:
    """Return what its rules give: room for the weights and one sequence as long as can be, in 16 bits."""
    parameters = billions * GIB
    sizes = [2**power for power in range(3, 11)]
    seats = min(sizes, key=lambda size: abs(size - 256 * 7 * GIB / parameters))
    needed = 2 * (parameters + KV_ELEMENTS * LONGEST) + FRAMEWORK_BYTES
    counted = KEPT * memory_gb * GIB
    divisors = [size for size in range(1, HEADS + 1) if HEADS % size == 0 and size <= gpus]
    ranks = next((size for size in divisors if KEPT * size * counted > needed), None)
    share = next((share for share in SHARES if ranks and share * ranks * counted > needed), None)
    return Rules(ranks, share, seats)


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table."""
    for words, inventory in INVENTORIES:
        for rate in (*RATES, HIGH_RATE) if has_room(inventory) else RATES:
            question = question_of(service_of(MODEL, rate=rate, slo=PROMISES), inventory)
            yield (words, f"{rate}/s", "Enova", *chosen(question))
            yield ("", "", "ENOVA 0.0.7", *by_rules(question))


def has_room(inventory: Inventory) -> bool:
    """Return whether there is a host with eight GPUs or more."""
    return max(pool.per_host for pool in inventory.pools) >= 8


def chosen(question: Question) -> Sequence[str]:
    """Return the cells of what Enova chooses, or of what comes closest, with the nearest ways out."""
    outcome = recommend(question, rentable=all_rentable())
    if isinstance(outcome, Recommendation):
        return cells(question, outcome.shape, outcome.replicas)
    ways = "; ".join(f"{near.field}: {near.value}" for near in outcome.nearest)
    words = f"infeasible: {binding(outcome)}; any of these would do: {ways}"
    if outcome.fallback is None:
        return words, *("",) * 6
    return words, *cells(question, outcome.fallback.shape, outcome.fallback.replicas)[1:]


def binding(outcome: Infeasible) -> str:
    return outcome.binding.removeprefix("the closest there is, ")


def by_rules(question: Question) -> Sequence[str]:
    """Return the cells of what ENOVA 0.0.7's rules give."""
    pools = question.inventory.pools
    if len(pools) > 1:
        return "chooses no kind of GPU", *("",) * 6
    pool = pools[0]
    found = rules(7, PRINTED_GB[pool.gpu.name], pool.per_host)
    if found.tensor_parallel is None or found.memory_share is None:
        return "no answer: TP None, memory None", *("",) * 6
    return cells(question, as_shape(question, pool, found), 1)


def as_shape(question: Question, pool: Pool, found: Rules) -> Shape:
    """Return the engine that rules start."""
    engine = {
        "engine.gpu_memory_utilization": found.memory_share,
        "engine.max_num_seqs": found.max_num_seqs,
        "engine.tensor_parallel_size": found.tensor_parallel,
    }
    return shape_with(question, pool, engine)


def cells(question: Question, shape: Shape, replicas: int) -> Sequence[str]:
    """Return what is run, what it costs and uses, and what it holds."""
    setup, price = shape.setup, (shape.usd_per_h or 0.0) * replicas
    runs = f"{replicas} x {shape.words}"
    if reason := fit_of(setup).reason:
        return f"{runs}; does not start: {reason}", *("",) * 6
    assert question.demand is not None
    capacity = held(question, shape, replicas)
    return (
        runs,
        f"{price:.2f}",
        f"{setup.gpu_memory_utilization:.0%}",
        f"{in_use(setup):.0%}",
        f"{replicas * memory_of(setup).kv_tokens:,}",
        rate_words(capacity),
        cost_words(price, capacity.rate.value, question.demand),
    )


def in_use(setup: EngineSetup) -> float:
    """Return the share of a GPU's memory that the engine takes."""
    memory = memory_of(setup)
    beside = 0 if memory.graphs_in_budget else memory.graphs
    return (memory.requested + beside) / memory.total


def held(question: Question, shape: Shape, replicas: int) -> Capacity:
    """Return the traffic under which promises are kept."""
    assert question.demand is not None
    conditions = Conditions(promises=question.promises, error=question.evidence.error)
    return capacity_of([question.evidence.replica(shape.setup)] * replicas, question.demand.load, conditions)


def rate_words(capacity: Capacity) -> str:
    value, band = capacity.rate
    return f"{value:.3g} ({band.low:.3g} to {band.high:.3g})" if value else "none"


def cost_words(usd_per_h: float, rate: float, demand: Demand) -> str:
    if not rate:
        return ""
    return f"{1e6 * usd_per_h / (3600 * rate * demand.output_tokens):.2f}"


def main() -> None:
    """Print the table and write it."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows()]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(text)
    write_generated("docs/recommend.md", "benchmarks/recommend_table.py", text)


if __name__ == "__main__":
    main()
