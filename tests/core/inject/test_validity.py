"""A run is valid if the load was what it says it was, and not a little less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.inject.measured import Lag, Measured, Tokens
from enova.core.inject.tally import Tally
from enova.core.inject.validity import notes_of, problems_of
from enova.core.simulate.forecast import Conditions
from tests.core.inject.runs import answered, batch, load


def measured(ttft_s: float = 0.1) -> Measured:
    tally = Tally(load(), Conditions())
    tally.add(batch(answered(request, ttft_s=ttft_s) for request in load().requests()))
    return tally.measured()


def test_a_load_that_was_sent_as_asked_is_valid() -> None:
    assert problems_of(measured()) == ()
    assert notes_of(measured()) == ()


@pytest.mark.parametrize(("sent", "valid"), [(100, True), (99, True), (98, False), (46, False)])
def test_below_99_per_cent_of_the_rate_it_is_not(sent: int, valid: bool) -> None:
    problems = problems_of(replace(measured(), sent=sent))

    assert (not problems) is valid
    assert valid or "the client did not keep up" in problems[0]


@pytest.mark.parametrize(
    ("cpu_share", "lag_s", "valid"),
    [(0.89, 0.02, False), (0.5, 0.009, True), (0.95, 0.009, True), (0.95, 0.011, False), (0.98, 0.0, False)],
)
def test_a_client_whose_cpu_was_the_limit_is_not(cpu_share: float, lag_s: float, valid: bool) -> None:
    # At a median TTFT of 100 ms, a lag of 11 ms is more than a tenth of it.
    found = replace(measured(), cpu_share=cpu_share, lag=Lag(lag_s / 2, lag_s, lag_s))

    assert (not problems_of(found)) is valid


def test_a_lag_that_is_little_beside_the_latency_is_no_problem() -> None:
    lag = Lag(0.01, 0.05, 0.06)

    assert problems_of(replace(measured(ttft_s=1.0), lag=lag)) == ()
    [problem] = problems_of(replace(measured(ttft_s=0.1), lag=lag))
    assert problem.startswith("1 % of the requests were sent 50 ms late or more")


def test_a_run_without_an_answer_is_not() -> None:
    assert problems_of(Tally(load(), Conditions()).measured())[0] == "no request was answered"
    [problem, *_] = problems_of(Tally(load(), Conditions(warmup_s=1.0)).measured())
    assert problem == "no request was answered after the warm-up"


def test_of_users_who_wait_no_rate_was_asked() -> None:
    found = replace(measured(), closed=True, sent=10, lag=Lag(1.0, 5.0, 5.0))

    assert problems_of(found) == ()
    assert notes_of(found)[0].startswith("closed loop: slow answers hold requests back")


def test_what_a_reader_should_know_is_noted() -> None:
    found = replace(
        measured(), emulated=True, stopped=True, prompt_tokens=Tokens(1000, 1100), output_tokens=Tokens(1000, 1019)
    )

    assert notes_of(found) == (
        "EMULATED: no model ran",
        "ended by hand before its time: all of it is counted",
        "the server counted 1,100 prompt tokens where 1,000 were asked for",
    )


def test_few_answers_are_anecdotes() -> None:
    tally = Tally(load(duration="1s"), Conditions())
    tally.add(batch(answered(request) for request in load(duration="1s").requests()))

    assert notes_of(tally.measured()) == ("only 10 requests were answered: figures are anecdotes",)
