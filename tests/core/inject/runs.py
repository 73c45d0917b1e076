"""Runs of load that tests make up, without anybody having sent them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any

from enova.core.inject.job import Job, Target
from enova.core.inject.outcome import Batch, Failure, Outcome
from enova.core.inject.reported import report_of
from enova.core.inject.tally import Tally
from enova.core.simulate.forecast import Conditions
from enova.core.simulate.promises import Promise
from enova.core.simulate.results import Metric, Results
from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, load_of
from enova.core.workload.prompts import Prompts
from enova.core.workload.report import InjectionReport, Tested
from enova.core.workload.request import Request

PROMISES = (Promise(Metric.TTFT, "p95", 0.2), Promise(Metric.TPOT, "p95", 0.05))


def load(rate: float = 10.0, duration: str = "10s", **more: Any) -> Load:
    """Return evenly spaced requests of 100 tokens, answered with 11."""
    return load_of(
        Injection.model_validate(
            {
                "arrival": {"process": "constant", "rate": f"{rate}/s"},
                "prompt_tokens": {"distribution": "fixed", "tokens": 100},
                "output_tokens": {"distribution": "fixed", "tokens": 11},
                "duration": duration,
                **more,
            }
        )
    )


def answered(request: Request, *, lag_s: float = 0.0, ttft_s: float = 0.1, tpot_s: float = 0.02) -> Outcome:
    """Return an answer; its latencies are from the send."""
    sent_s = request.arrival_s + lag_s
    first_s = sent_s + ttft_s
    last_s = first_s + tpot_s * (request.output_tokens - 1)
    return Outcome(request, sent_s, first_s, last_s, request.prompt_tokens, request.output_tokens)


def failed(request: Request, failure: str = Failure.RESET, after_s: float = 0.01) -> Outcome:
    """Return a failure."""
    sent_s = math.nan if failure == Failure.NOT_SENT else request.arrival_s
    return Outcome(request, sent_s, math.nan, request.arrival_s + after_s, 0, 0, failure)


def batch(outcomes: Iterable[Outcome], at_s: float = 10.0, **more: Any) -> Batch:
    """Return a last report of a worker."""
    listed = list(outcomes)
    sent = sum(not math.isnan(one.sent_s) for one in listed)
    gaps = array("d", [0.02] * 10 * sum(not one.failure for one in listed))
    usual = {"worker": 0, "at_s": at_s, "sent": sent, "cpu_s": 1.0, "sending": False}
    return Batch(**{**usual, **more}, outcomes=listed, gaps_s=gaps)


def report(
    sent: Load | None = None,
    conditions: Conditions | None = None,
    predicted: Results | str = "not asked for",
    **latencies: float,
) -> InjectionReport:
    """Return the report of a run whose requests were all answered alike."""
    sent, conditions = sent or load(), conditions or Conditions(promises=PROMISES)
    tally = Tally(sent, conditions)
    tally.add(batch(answered(request, **latencies) for request in sent.requests()))
    return report_of(
        tally.measured(),
        tally.overtime,
        job(sent),
        conditions,
        name="chat",
        tested=Tested(model="org/model", gpu="h100-sxm", vllm="0.32"),
        predicted=predicted,
        began_s=1000.0,
        ended_s=1010.3,
    )


def job(sent: Load) -> Job:
    """Return what an injector would have been told."""
    return Job(target=Target(url="http://127.0.0.1:8000", model="m"), load=sent, prompts=Prompts())
