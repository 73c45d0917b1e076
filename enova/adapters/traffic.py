"""How many requests came in each minute: a SQLite file beside the history, a record only. Deleting it is safe."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from enova.core.control.minutes import MINUTE_S, Minute
from enova.errors import EnovaError
from enova.settings import Settings

FILE = "traffic.db"
KEPT_S = 15 * 86_400.0
"""Two weeks, and the day that is compared with them."""
WAIT_S = 10.0
_TABLE = """
CREATE TABLE IF NOT EXISTS minutes (
  service TEXT NOT NULL, at_s REAL NOT NULL, seconds REAL NOT NULL, arrived REAL NOT NULL, met REAL, answered REAL,
  replicas REAL NOT NULL, PRIMARY KEY (service, at_s)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO minutes (service, at_s, seconds, arrived, met, answered, replicas) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
  seconds = seconds + excluded.seconds, arrived = arrived + excluded.arrived,
  met = coalesce(met + excluded.met, met, excluded.met),
  answered = coalesce(answered + excluded.answered, answered, excluded.answered), replicas = excluded.replicas
"""


def traffic_of(settings: Settings) -> TrafficRecord:
    """Return this installation's record."""
    return TrafficRecord(settings.state_dir / FILE)


class TrafficRecord:
    """The record at `path`. Every call may raise EnovaError; none needs an earlier one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, minutes: Sequence[Minute], *, now_s: float) -> None:
        """Add to minutes what came within them, and forget what is older than is kept. Unix times.

        A minute that two daemons saw a part of each is what both saw.
        """
        with self._open() as file:
            file.executemany(_ADD, minutes)
            file.execute("DELETE FROM minutes WHERE at_s < ?", (now_s - KEPT_S,))

    def minutes(self, service: str, *, since_s: float) -> tuple[Minute, ...]:
        """Return the minutes of a service of which something is known, oldest first."""
        if not self._path.exists():
            return ()
        with self._open() as file:
            rows = file.execute(
                "SELECT service, at_s, seconds, arrived, met, answered, replicas FROM minutes"
                " WHERE service = ? AND at_s > ? ORDER BY at_s",
                (service, since_s - MINUTE_S),
            ).fetchall()
        return tuple(Minute(*row) for row in rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=WAIT_S)) as file, file:
                file.execute(_TABLE)
                yield file
        except (sqlite3.Error, OSError) as error:
            hint = "delete it if it is damaged: it is a record only"
            raise EnovaError(f"{self._path} cannot be used: {error}", hint=hint) from error
