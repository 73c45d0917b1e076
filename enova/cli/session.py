"""What commands touch of this process and machine, in one value, so that tests can put another in its place."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import typer

from enova.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from enova.world import World


@dataclass(slots=True, kw_only=True)
class Session:
    """The streams, the clock, the settings, and how the world is opened once a command needs it."""

    settings: Settings
    open_world: Callable[[Settings], World]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], float] = time.time
    """Unix time, seconds."""
    monotonic: Callable[[], float] = time.monotonic
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    debug: bool = False

    def world(self) -> World:
        """Return the world of this session; nothing is contacted yet."""
        return self.open_world(self.settings)

    def say(self, message: str) -> None:
        """Tell the user something that is not the command's data."""
        # In one piece, so that lines of several threads stay whole.
        self.stderr.write(f"{message}\n")
        self.stderr.flush()

    def show(self, text: Text, color: str) -> None:
        """Write text to stdout, in colour where that is wanted and possible."""
        console = self.console(self.stdout, color)
        if console.color_system is None:
            # A plan of thousands of lines takes a console a second.
            self.stdout.write(text.plain)
        else:
            console.print(text, end="")
        self.stdout.flush()

    def console(self, stream: TextIO, color: str = "auto") -> Console:
        """Return a console that colours only terminals, unless told otherwise, and never breaks lines."""
        from rich.console import Console

        return Console(
            file=stream,
            force_terminal=True if color == "always" else None,
            color_system=None if color == "never" else "auto",
            no_color=False if color == "always" else None,
            soft_wrap=True,
            highlight=False,
            markup=False,
            emoji=False,
            _environ=self.environment,
        )

    def timestamp(self, at_s: float | None = None) -> str:
        """Return a Unix time, or the present, for people, in UTC."""
        return datetime.fromtimestamp(self.now() if at_s is None else at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def session_of(ctx: typer.Context) -> Session:
    """Return the session a command runs in."""
    session = ctx.obj
    if not isinstance(session, Session):
        raise TypeError("the app was started without a session")
    return session


def this_machine() -> Session:
    """Return the session of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign shows `?`; that must not end a command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    return Session(settings=read_settings(), open_world=_open_host)


def _open_host(settings: Settings) -> World:
    from enova.host import open_host

    return open_host(settings)
