"""For `enova plan`: what would have become of past traffic, with replicas as planned and with ones that follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.options import seconds_of
from enova.cli.rehearsed import OURS, PLANNED, How, rehearsed
from enova.cli.replayed import recorded_rates
from enova.cli.setups import asked_of
from enova.cli.traffic import Traffic
from enova.errors import EnovaError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enova.cli.session import Session
    from enova.core.resolve import Resolved
    from enova.render.backtest import Report


def backtests(session: Session, resolved: Sequence[Resolved], past: str) -> dict[str, Report | str]:
    """Return the backtest of each service on a trace, or on so much of its past; or in words why there is none.

    Raises UsageError if `past` is neither a file nor a length of time.
    """
    trace = Path(past) if Path(past).exists() else None
    if trace is None and not past[:1].isdigit():
        raise UsageError(f"--backtest: {past} is neither a file that is there nor a time such as 24h")
    past_s = 0.0 if trace is not None else seconds_of("--backtest", past)
    found: dict[str, Report | str] = {}
    for one in resolved:
        name = one.service.name
        try:
            found[name] = _backtest(session, one, trace, past_s)
        except EnovaError as error:
            found[name] = error.message
    return found


def _backtest(session: Session, resolved: Resolved, trace: Path | None, past_s: float) -> Report:
    service = resolved.service
    gpu = resolved.gpu or service.engine.extra_args.get("emulate_gpu")
    asked, *_ = asked_of(session, service, [str(gpu)] if gpu else None, None, named=True)
    rates = None if trace is not None else recorded_rates(session, service.name, past_s)
    how = How(policies=(OURS, PLANNED), oracle=False, planned=resolved.replicas)
    return rehearsed(asked, Traffic(), trace or rates, how, named=True)
