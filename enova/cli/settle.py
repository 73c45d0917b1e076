"""What `apply` and `delete` share: show the plan, ask, carry it out, and say what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enova.cli.interrupt import INTERRUPTED, stoppable
from enova.cli.session import Session
from enova.errors import EnovaError, PlanRefused
from enova.keeping import Origin, keep

if TYPE_CHECKING:
    from enova.executor import Result
    from enova.tick import Tick
    from enova.world import World


@contextmanager
def alone(session: Session, what: str) -> Iterator[None]:
    """Hold this machine's lock: what is planned must still be true when it is done."""
    from enova.adapters.lock import exclusive

    with exclusive(session.settings.state_dir / "apply.lock", what=what, now=session.timestamp()):
        yield


def show(tick: Tick, session: Session, color: str) -> None:
    """Print the plan."""
    from enova.render.plan import plan_text

    session.show(plan_text(tick.plan, tick.resolved, tick.outlooks), color)


def settle(
    tick: Tick,
    world: World,
    session: Session,
    *,
    yes: bool,
    color: str,
    question: str,
    origin: Origin,
    agreed: Callable[[], None] = lambda: None,
) -> int:
    """Carry out a plan that was shown, keep it in the history, and return the exit code.

    `agreed` is called before the first effect.
    """
    if tick.plan.refusals:
        raise PlanRefused("the plan is refused, so nothing was done", hint="the reasons are above")
    could_not_look = 1 if tick.plan.unknowns else 0
    if not tick.plan.actions:
        agreed()
        _keep(tick, None, session, origin)
        return could_not_look
    if not yes and not _agreed(session, question):
        session.say("nothing was changed")
        return 1
    agreed()
    return _carry_out(tick, world, session, color, origin) or could_not_look


def _carry_out(tick: Tick, world: World, session: Session, color: str, origin: Origin) -> int:
    from enova.cli.progress import progress
    from enova.render.outcome import endpoint_text, outcome_text
    from enova.tick import apply

    with progress(session, color) as screen, stoppable(session, screen.say) as stop:
        result = apply(tick, world, screen.listener, stop)
    failures = [(failure.action, failure.message, failure.hint) for failure in result.failures]
    stopped = [(failure.action, failure.message, failure.hint) for failure in result.stopped]
    text = outcome_text(len(result.done), failures, stopped, len(result.skipped), interrupted=stop.is_set())
    session.show(text, color)
    _keep(tick, result, session, origin)
    touched = {action.service for action in result.done} - {action.service for action, _, _ in failures}
    for one in tick.desired:
        if one.service in touched and not stop.is_set():
            session.show(endpoint_text(one.gateway, one.replica), color)
    if stop.is_set():
        return INTERRUPTED
    return 1 if result.failures or result.skipped else 0


def _keep(tick: Tick, result: Result | None, session: Session, origin: Origin) -> None:
    from enova.adapters.history import history_of

    try:
        keep(tick, result, origin, history_of(session.settings), at_s=session.now())
    except EnovaError as error:
        session.say(f"note: this is not kept in the history, nor for the ledger: {error.message}")


def _agreed(session: Session, question: str) -> bool:
    if not session.stdin.isatty():
        raise EnovaError("there is no terminal to ask on", hint="look at the plan, then add --yes")
    session.stderr.write(f"{question} [y/N] ")
    session.stderr.flush()
    return session.stdin.readline().strip().lower() in {"y", "yes"}
