"""`enova logs`: what replicas and gateways wrote."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.options import complete_service
from enova.cli.session import Session, session_of
from enova.errors import EnovaError, ObserveError

if TYPE_CHECKING:
    from enova.core.observed import Instance, Observed
    from enova.core.runtime import Runtime
    from enova.world import World

BUFFERED_LINES = 1000


def logs(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="SERVICE[#SLOT|@gateway]", help="Whose logs.", autocompletion=complete_service),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, help="Begin with the last so many lines of each. Default: all.")
    ] = None,
) -> int:
    """Print the logs of a service, of one replica, or of its gateway.

    Lines of several are prefixed with whose they are. Exits with 0, 1 if there is no such thing or it could not be
    looked at, 64 if called wrongly.

    \b
    Examples:
      $ enova logs chat
      $ enova logs 'chat#0' -f --tail 20
      $ enova logs chat@gateway
    """
    from enova.observe import observe

    session = session_of(ctx)
    world = session.world()
    instances = _named(target, observe(world, needed=set(world.runtimes), gpus=False))
    names = _names(instances)
    if follow and len(instances) > 1:
        _follow_all(instances, names, world, tail, session)
        return 0
    for instance in instances:
        prefix = f"{names[instance.id]}: " if len(instances) > 1 else ""
        for line in world.runtimes[instance.runtime].logs(instance.id, tail=tail, follow=follow):
            _write(session, prefix, line)
    return 0


def _named(target: str, observed: Observed) -> list[Instance]:
    from difflib import get_close_matches

    from enova.core.observed import Unknown

    found = [i for i in observed.instances() if target in (i.service, i.target)]
    if found:
        return found
    unseen = [look.reason for look in observed.runtimes.values() if isinstance(look, Unknown)]
    if unseen:
        raise ObserveError("; ".join(unseen))
    known = sorted({name for i in observed.instances() for name in (i.service, i.target)})
    close = get_close_matches(target, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "see `enova status` for what runs"
    raise EnovaError(f"nothing named {target} runs here", hint=hint)


def _names(instances: Sequence[Instance]) -> Mapping[str, str]:
    """While one replica replaces another both have the same target; then their full names tell them apart."""
    targets = [instance.target for instance in instances]
    return {i.id: i.target if targets.count(i.target) == 1 else f"{i.target} ({i.name})" for i in instances}


def _follow_all(
    instances: Sequence[Instance], names: Mapping[str, str], world: World, tail: int | None, session: Session
) -> None:
    """Read each in its own thread, which ends with the process: a log that is followed has no end of its own."""
    lines: queue.Queue[tuple[str, str] | None] = queue.Queue(BUFFERED_LINES)

    def read(instance: Instance, runtime: Runtime) -> None:
        try:
            for line in runtime.logs(instance.id, tail=tail, follow=True):
                lines.put((names[instance.id], line))
        except EnovaError as error:
            lines.put((names[instance.id], f"(its log ended: {error.message})"))
        lines.put(None)

    for instance in instances:
        threading.Thread(target=read, args=(instance, world.runtimes[instance.runtime]), daemon=True).start()
    under_way = len(instances)
    while under_way:
        line = lines.get()
        if line is None:
            under_way -= 1
            continue
        name, text = line
        _write(session, f"{name}: ", text)


def _write(session: Session, prefix: str, line: str) -> None:
    """Colours and redrawn progress bars are for terminals; a pipe gets plain lines."""
    from enova.render.progress import plain

    for part in [line] if session.stdout.isatty() else plain(line).split("\n"):
        session.stdout.write(f"{prefix}{part}\n")
    session.stdout.flush()
