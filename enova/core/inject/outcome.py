"""What became of one request, as its client saw it. Times are seconds from the start of the run."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from enova.core.workload.request import Request


class Failure(StrEnum):
    """Why a request has no whole answer. HTTP errors are told apart by their status: `http_429`."""

    REFUSED = "refused"
    """No connection: nobody listens, or the name is not known."""
    RESET = "reset"
    """The connection ended before the answer began."""
    CUT_OFF = "cut_off"
    """The connection, or the stream, ended in the middle of the answer."""
    GARBAGE = "garbage"
    """What came is not what the API says."""
    ERROR = "error"
    """The answer began well, and then says that something went wrong."""
    TIMEOUT = "timeout"
    """Not there at its deadline."""
    NOT_SENT = "not_sent"
    """It was due, and could not be sent before its deadline."""
    STOPPED = "stopped"
    """Under way when the run was ended by hand."""


class Outcome(NamedTuple):
    """One request and its answer. NaN where something never happened."""

    request: Request
    """Its arrival is its schedule; in a closed loop that is when its user was free."""
    sent_s: float
    first_s: float
    """When its first token came."""
    last_s: float
    """When its last token came, or when it failed."""
    prompt_tokens: int
    """As the server counted them; 0: it did not say."""
    output_tokens: int
    """As the server counted them, else pieces of the stream."""
    failure: str = ""
    """A Failure, or `http_` and a status; empty: it was answered in full."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What a worker reports every so often, and once more in the end."""

    worker: int
    at_s: float
    outcomes: list[Outcome] = field(default_factory=list)
    """Of requests that are done since the last report."""
    gaps_s: array[float] = field(default_factory=lambda: array("d"))
    """Between two tokens, of all streams since the last report."""
    sent: int = 0
    """All that were sent so far."""
    in_flight: int = 0
    cpu_s: float = 0.0
    """CPU time that the worker used since it began to send."""
    sending: bool = True
    """Whether requests are still to come."""
    emulated: bool = False
    """Whether an answer said that no model made it."""
