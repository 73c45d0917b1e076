"""Show progress: a live table on a terminal, plain lines elsewhere. Actions report from many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enova.cli.session import Session
from enova.executor import Listener, Phase, Progress
from enova.render.progress import Board, label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ROWS_SPARE = 4
REFRESH_PER_S = 4


@dataclass(frozen=True, slots=True)
class Screen:
    """Where progress is shown: what listens to the executor, and how to say a line beside it."""

    listener: Listener
    say: Callable[[str], None]


@contextmanager
def progress(session: Session, color: str) -> Iterator[Screen]:
    """Show on stderr, until the block ends, what the listener is told."""
    console = session.console(session.stderr, color)
    board, lock = Board(), threading.Lock()
    if not console.is_terminal or console.is_dumb_terminal or not session.stderr.isatty():
        yield Screen(_listener(board, lock, session, session.say, lambda _: True), session.say)
        return
    from rich.live import Live

    def rows() -> RenderableType:
        with lock:
            return _rows(board, session, console)

    with Live(get_renderable=rows, console=console, refresh_per_second=REFRESH_PER_S, transient=True):
        ended = _listener(board, lock, session, console.print, lambda news: news.phase is not Phase.RUNNING)
        yield Screen(ended, console.print)


def _listener(
    board: Board,
    lock: threading.Lock,
    session: Session,
    show: Callable[[str], None],
    lasting: Callable[[Progress], bool],
) -> Listener:
    def listen(news: Progress) -> None:
        with lock:
            line = board.news(news.action, str(news.phase), news.detail, session.monotonic())
        if line and lasting(news):
            show(line)

    return listen


def _rows(board: Board, session: Session, console: Console) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    for column in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if column == 2 else None)
    now_s = session.monotonic()
    shown = sorted(board.rows.values(), key=lambda row: (row.action.service, row.action.target))
    fitting = max(1, console.size.height - ROWS_SPARE)
    for row in shown[:fitting]:
        words = ": ".join(part for part in (row.step, row.detail) if part)
        table.add_row(Text(label(row.action), "bold"), f"{now_s - row.begun_s:.0f} s", Text(words, "dim"))
    if len(shown) > fitting:
        table.add_row(f"and {len(shown) - fitting} more", "", "")
    return table
