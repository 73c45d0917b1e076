"""`enova rollback`: go back to what was applied of a service before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.choosing import choosing
from enova.cli.options import Color, Why, Yes, complete_service
from enova.cli.session import session_of
from enova.cli.settle import alone, settle, show
from enova.errors import EnovaError
from enova.keeping import Origin

if TYPE_CHECKING:
    from enova.core.revision import Revision
    from enova.core.spec import Service


def rollback(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Its name.", autocompletion=complete_service)],
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="NUMBER",
            help="This revision, as `enova history` numbers them. Default: the one before the last.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    why: Why = "",
    color: Color = "auto",
) -> int:
    """Apply an earlier revision of a service, with what was chosen for it then; a deleted one comes back.

    Spec files are not changed: until they are, `enova apply` brings what they say. Exits like `enova apply`.

    \b
    Examples:
      $ enova rollback chat
      $ enova history chat && enova rollback chat --to 12 --yes
    """
    from enova.adapters.history import history_of
    from enova.tick import plan

    session = session_of(ctx)
    target = _target(service, history_of(session.settings).revisions(service), to)
    how = choosing(session, (), [], None).as_saved(target.chosen)
    world = session.world()
    with alone(session, "enova rollback"):
        tick = plan([_written(target)], world, how.knowledge, lock=how.locks.entries, wish=how.wish)
        session.say(f"{service} as it was at {session.timestamp(target.at_s)} (revision {target.number})")
        show(tick, session, color)
        origin = Origin(
            command="enova rollback",
            why=why,
            files={service: target.source} if target.source else {},
            rollback=True,
        )
        code = settle(tick, world, session, yes=yes, color=color, question="Roll back to this?", origin=origin)
    if code == 0:
        session.say("note: spec files still say otherwise; change them before the next `enova apply`")
    return code


def _target(service: str, revisions: Sequence[Revision], to: int | None) -> Revision:
    from enova.core.revision import before

    if not revisions:
        raise EnovaError(
            f"nothing was applied of {service}, as far as the history goes", hint="see `enova history`"
        )
    if to is None:
        found = before(revisions)
        if found is None:
            raise EnovaError(f"no other version of {service} was applied before", hint="see `enova history`")
        return found
    found = next((one for one in revisions if one.number == to), None)
    if found is None:
        raise EnovaError(f"{service} has no revision {to}", hint=f"see `enova history {service}`")
    if not found.spec:
        raise EnovaError(f"revision {to} is a removal", hint=f"to remove it again: enova delete {service}")
    return found


def _written(revision: Revision) -> Service:
    from pydantic import ValidationError

    try:
        return revision.written
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EnovaError(
            f"this Enova does not take the spec of revision {revision.number} any more: {place}: {first['msg']}",
            hint="apply a spec file instead",
        ) from error
