"""Reports packed and unpacked."""

from __future__ import annotations

import pickle
from array import array

from hypothesis import given
from hypothesis import strategies as st

from enova.adapters.injector.wire import Packed, packed, unpacked
from enova.core.inject.outcome import Batch, Failure, Outcome
from enova.core.workload.request import Request

KINDS = st.sampled_from(["", "chat", "refused", "search"])
FAILURES = st.sampled_from(["", Failure.REFUSED, Failure.STOPPED, "http_429", "chat"])
COUNTS = st.integers(0, 100_000_000)
TIMES = st.floats(allow_nan=False)
ROWS = st.integers(-1, 100_000_000)
REQUESTS = st.builds(Request, COUNTS, TIMES, COUNTS, COUNTS, KINDS, ROWS, COUNTS, ROWS)
OUTCOMES = st.builds(Outcome, REQUESTS, TIMES, TIMES, TIMES, COUNTS, COUNTS, FAILURES)
BATCHES = st.builds(
    Batch,
    worker=COUNTS,
    at_s=TIMES,
    outcomes=st.lists(OUTCOMES, max_size=20),
    gaps_s=st.lists(TIMES).map(lambda gaps_s: array("d", gaps_s)),
    sent=COUNTS,
    in_flight=COUNTS,
    cpu_s=TIMES,
    sending=st.booleans(),
    emulated=st.booleans(),
)


@given(BATCHES)
def test_a_report_arrives_as_it_was(batch: Batch) -> None:
    sent: Packed = pickle.loads(pickle.dumps(packed(batch)))

    assert unpacked(sent) == batch


def test_what_never_happened_is_still_nan() -> None:
    never = float("nan")
    batch = Batch(
        worker=0, at_s=1.0, outcomes=[Outcome(Request(0, 0.5, 1, 1), never, never, 1.0, 0, 0, "not_sent")]
    )

    assert str(unpacked(packed(batch)).outcomes) == str(batch.outcomes)


def test_numbers_of_tokens_are_whole_numbers_again() -> None:
    request = Request(3, 0.5, 5, 6, "chat", 2, 4)
    [outcome] = unpacked(packed(Batch(worker=0, at_s=1.0, outcomes=[Outcome(request, 1, 2, 3, 5, 6)]))).outcomes

    values = (*outcome.request, outcome.prompt_tokens, outcome.output_tokens)
    assert [type(value) for value in values] == [int, float, int, int, str, int, int, int, int, int]
