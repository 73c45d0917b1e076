"""What a worker reports arrives as it was."""

from __future__ import annotations

import math
import pickle
from array import array

from enova.adapters.injector.wire import packed, unpacked
from enova.core.inject.outcome import Batch, Failure, Outcome
from enova.core.workload.request import Request


def test_a_report_arrives_as_it_was() -> None:
    batch = Batch(
        worker=2,
        at_s=1.5,
        outcomes=[
            Outcome(Request(3, 0.5, 100, 20, "chat", 4, 50, 7), 0.5, 0.75, 1.25, 101, 20),
            Outcome(Request(8, 0.625, 10, 2), 0.625, 0.75, 1.0, 0, 1, Failure.CUT_OFF),
            Outcome(Request(9, 0.75, 10, 2, "summary"), 0.75, 0.875, 1.0, 10, 2, "http_429"),
        ],
        gaps_s=array("d", [0.125, 0.25]),
        sent=9,
        in_flight=1,
        cpu_s=0.25,
        sending=False,
        emulated=True,
    )

    assert unpacked(pickle.loads(pickle.dumps(packed(batch)))) == batch


def test_what_never_happened_stays_nothing() -> None:
    never = Outcome(Request(1, 0.0, 5, 5), math.nan, math.nan, 9.0, 0, 0, Failure.NOT_SENT)

    [found] = unpacked(packed(Batch(worker=0, at_s=9.0, outcomes=[never]))).outcomes

    assert math.isnan(found.sent_s)
    assert math.isnan(found.first_s)
    assert found.failure == "not_sent"
