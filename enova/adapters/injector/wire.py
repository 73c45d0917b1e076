"""What a worker saw, packed as numbers: so thousands of outcomes a second cost neither side much."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from enova.core.inject.outcome import Batch, Outcome
from enova.core.workload.request import Request

_OF_REQUEST = len(Request._fields)
_COLUMNS = _OF_REQUEST + 6
_KIND = Request._fields.index("kind")


class Packed(NamedTuple):
    """A report on its way."""

    worker: int
    at_s: float
    outcomes: bytes
    gaps_s: bytes
    words: tuple[str, ...]
    """Kinds of requests and failures, which outcomes name by their place here."""
    sent: int
    in_flight: int
    cpu_s: float
    sending: bool
    emulated: bool


def packed(batch: Batch) -> Packed:
    """Return a report as it is sent."""
    places: dict[str, int] = {}
    rows = array("d")
    for request, sent_s, first_s, last_s, prompt, output, failure in batch.outcomes:
        kind, why = places.setdefault(request.kind, len(places)), places.setdefault(failure, len(places))
        whole: tuple[Any, ...] = request
        rows.extend(whole[:_KIND])
        rows.append(kind)
        rows.extend(whole[_KIND + 1 :])
        rows.extend((sent_s, first_s, last_s, prompt, output, why))
    return Packed(
        worker=batch.worker,
        at_s=batch.at_s,
        outcomes=rows.tobytes(),
        gaps_s=batch.gaps_s.tobytes(),
        words=tuple(places),
        sent=batch.sent,
        in_flight=batch.in_flight,
        cpu_s=batch.cpu_s,
        sending=batch.sending,
        emulated=batch.emulated,
    )


def unpacked(report: Packed) -> Batch:
    """Return a report as it was."""
    rows, gaps_s = array("d"), array("d")
    rows.frombytes(report.outcomes)
    gaps_s.frombytes(report.gaps_s)
    return Batch(
        worker=report.worker,
        at_s=report.at_s,
        outcomes=[_outcome(rows[at : at + _COLUMNS], report.words) for at in range(0, len(rows), _COLUMNS)],
        gaps_s=gaps_s,
        sent=report.sent,
        in_flight=report.in_flight,
        cpu_s=report.cpu_s,
        sending=report.sending,
        emulated=report.emulated,
    )


def _outcome(row: array[float], words: tuple[str, ...]) -> Outcome:
    number, arrival_s, prompt, output, kind, *rest = row[:_OF_REQUEST]
    request = Request(int(number), arrival_s, int(prompt), int(output), words[int(kind)], *map(int, rest))
    sent_s, first_s, last_s, took, made, why = row[_OF_REQUEST:]
    return Outcome(request, sent_s, first_s, last_s, int(took), int(made), words[int(why)])
