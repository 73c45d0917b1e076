"""Two runs differ where their figures are further apart than the noise of both."""

from __future__ import annotations

import numpy as np
import pytest

from enova.core.inject.compare import Comparison, compared
from enova.core.inject.reported import report_of
from enova.core.inject.tally import Tally
from enova.core.simulate.forecast import Conditions
from enova.core.workload import report as form
from enova.core.workload.report import Asked, InjectionReport
from tests.core.inject.runs import answered, batch, job, load, report

CONDITIONS = Conditions()


def drawn(seed: int, factor: float = 1.0) -> InjectionReport:
    """Return a run whose TTFT are drawn anew around 100 ms times a factor."""
    sent = load(rate=50.0, seed=seed)
    ttfts = factor * np.random.default_rng(seed).lognormal(-2.3, 0.3, 500)
    tally = Tally(sent, CONDITIONS)
    tally.add(batch(answered(one, ttft_s=ttft) for one, ttft in zip(sent.requests(), ttfts.tolist(), strict=True)))
    return report_of(
        tally.measured(),
        tally.overtime,
        job(sent),
        CONDITIONS,
        name="chat",
        tested=None,
        predicted="",
        began_s=0.0,
        ended_s=10.0,
    )


def differing(comparison: Comparison) -> set[str]:
    return {row.name for row in comparison.rows if row.differs}


def test_two_draws_of_the_same_differ_no_more_often_than_chance_has_it() -> None:
    # One pair in twenty may show a difference.
    found = [differing(compared(drawn(seed), drawn(100 + seed))) for seed in range(20)]

    assert sum(bool(names) for names in found) <= 3


def test_a_fifth_more_is_found_and_called_worse() -> None:
    comparison = compared(drawn(1), drawn(2, factor=1.2))

    assert {"ttft.mean", "ttft.p50"} <= differing(comparison)
    assert not any(row.better for row in comparison.rows if row.name.startswith("ttft"))
    [mean] = [row for row in comparison.rows if row.name == "ttft.mean"]
    assert mean.ratio == pytest.approx(1.2, rel=0.05)


def test_more_throughput_is_better() -> None:
    comparison = compared(report(load(rate=10)), report(load(rate=20)))

    [rate] = [row for row in comparison.rows if row.name == "requests_per_s"]
    assert rate.better
    assert comparison.warnings == ("the traffic is not the same",)


def test_latencies_are_from_the_send_where_one_run_knows_no_schedule() -> None:
    ours = report(lag_s=0.05)
    theirs = ours.model_copy(update={"found": ours.found.model_copy(update={"from_schedule": None})})

    comparison = compared(ours, theirs)

    assert not comparison.from_schedule
    assert {row.first for row in comparison.rows if row.name == "ttft.p50"} == {ours.found.ttft.p50}


def test_where_noise_is_not_known_nothing_is_said() -> None:
    ours = report()
    bare = ours.found.ttft.model_copy(update={"ends": {}})
    schedule = ours.found.model_copy(update={"from_schedule": None, "ttft": bare})

    comparison = compared(ours, ours.model_copy(update={"found": schedule}))

    assert {row.differs for row in comparison.rows if row.name.startswith("ttft")} == {None}


def test_what_makes_runs_hard_to_compare_is_said() -> None:
    ours = report(load(seed=1))
    emulated = Asked(url="x", api="chat", model="m", stream=True, ignore_eos=True, emulated=True)
    other = form.Tested(model="org/model", gpu="l4", vllm="0.32")
    theirs = report(load(seed=2)).model_copy(
        update={"asked": emulated, "tested": other, "problems": ("the client did not keep up",)}
    )

    assert compared(ours, theirs).warnings == (
        "B is invalid: the client did not keep up",
        "one of them is emulated: no model ran",
        "they were asked in different ways (API, streaming)",
        "the engines are not the same: org/model on 1 x h100-sxm, vLLM 0.32 and org/model on 1 x l4, vLLM 0.32",
    )


def test_the_very_same_requests_share_their_noise() -> None:
    assert compared(report(), report()).warnings == (
        "both sent the very same requests: what noise of their own they share is not told apart",
    )
