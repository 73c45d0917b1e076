"""`enova delete`: remove what Enova runs of a service."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.options import Color, Why, Yes, complete_service_or_path
from enova.cli.session import session_of
from enova.cli.settle import alone, settle, show
from enova.cli.specs import STDIN, load_services
from enova.errors import EnovaError, ObserveError
from enova.keeping import Origin

if TYPE_CHECKING:
    from enova.core.spec import Service
    from enova.tick import Tick
    from enova.world import World


def delete(
    ctx: typer.Context,
    services: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE|PATH",
            help="Names of services, or spec files or folders: what has a `/` or a `.` in it, or `-` for stdin.",
            autocompletion=complete_service_or_path,
        ),
    ],
    yes: Yes = False,
    why: Why = "",
    color: Color = "auto",
) -> int:
    """Remove the replicas and gateways of services. Removes only what Enova started; spec files stay.

    Replicas are taken off the gateway and finish their requests first. Exits with 0 if all is done, 1 if something
    failed or could not be looked at, 64 if called wrongly, 130 if interrupted.

    \b
    Examples:
      $ enova delete chat
      $ enova delete specs/chat.yaml --yes
      $ enova delete ./specs
    """
    from enova.tick import plan_removal

    session = session_of(ctx)
    paths = [given for given in services if _is_path(given)]
    names = [given for given in services if not _is_path(given)]
    written: list[Service] = load_services(paths, session) if paths else []
    needed = {service.runtime for service in written}
    world = session.world()
    with alone(session, "enova delete"):
        tick = plan_removal([*names, *(service.name for service in written)], world, needed=needed)
        _check_names(names, tick, world)
        show(tick, session, color)
        origin = Origin(command="enova delete", why=why)
        return settle(tick, world, session, yes=yes, color=color, question="Remove all of this?", origin=origin)


def _is_path(given: str) -> bool:
    """No name of a service has one of these signs."""
    return given == STDIN or "/" in given or "." in given


def _check_names(names: Sequence[str], tick: Tick, world: World) -> None:
    """A name that is not found is a typo, unless it may be where nobody could look."""
    from enova.core.observed import Unknown
    from enova.observe import observe

    running = {instance.service for instance in tick.observed.instances()}
    missing = sorted(set(names) - running)
    if not missing:
        return
    message = f"no service named {' or '.join(missing)} runs here"
    looks = observe(world, needed=set(world.runtimes), gpus=False).runtimes
    unseen = [look.reason for look in looks.values() if isinstance(look, Unknown)]
    if unseen:
        raise ObserveError(f"{message}, as far as could be seen: {'; '.join(unseen)}")
    raise EnovaError(message, hint=_did_you_mean(missing[0], running))


def _did_you_mean(name: str, running: Collection[str]) -> str:
    from difflib import get_close_matches

    if Path(name).exists():
        return f"for the services that its files name, write ./{name}"
    close = get_close_matches(name, sorted(running), n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"what runs: {', '.join(sorted(running))}" if running else "nothing of Enova's runs here"
