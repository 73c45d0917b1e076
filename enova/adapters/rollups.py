"""Services minute by minute, in a SQLite file beside the history. A record only: deleting it is safe.

What was counted so far is kept in the same transaction as the amounts that came of it. So whenever a daemon is
killed, the next one counts from there on: nothing is lost that replicas and gateways still know, and nothing is
counted twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from enova.core.metrics.rollup import AMOUNTS, Rollup, rollup_of
from enova.core.metrics.series import Key
from enova.errors import EnovaError
from enova.settings import Settings

FILE = "rollups.db"
WAIT_S = 10.0
VERSION = 1
KEPT_S = 30 * 24 * 3600.0
"""A month, so that four weeks' patterns show."""
AT_ONCE = 500
"""Rows given up with each write: a clock that is ahead for a while must not cost all that is kept."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS rollups (
  service TEXT NOT NULL, minute_s INTEGER NOT NULL, {", ".join(f"{name} REAL" for name in AMOUNTS)},
  PRIMARY KEY (service, minute_s)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollups_by_minute ON rollups (minute_s);
CREATE TABLE IF NOT EXISTS counted (
  target TEXT PRIMARY KEY, service TEXT NOT NULL, at_s REAL NOT NULL, began_s REAL, counters TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
_ADDED = ", ".join(
    f"{name} = CASE WHEN excluded.{name} IS NULL THEN {name} ELSE COALESCE({name}, 0) + excluded.{name} END"
    for name in AMOUNTS
)
_COLUMNS = f"service, minute_s, {', '.join(AMOUNTS)}"
_ADD = (
    f"INSERT INTO rollups ({_COLUMNS}) VALUES ({', '.join('?' * (len(AMOUNTS) + 2))}) "  # noqa: S608 - our own names
    f"ON CONFLICT (service, minute_s) DO UPDATE SET {_ADDED}"
)


_GIVEN_UP = (
    """
    DELETE FROM rollups WHERE (service, minute_s) IN
      (SELECT service, minute_s FROM rollups WHERE minute_s < ? ORDER BY minute_s LIMIT ?)
    """,
    "DELETE FROM counted WHERE target IN (SELECT target FROM counted WHERE at_s < ? LIMIT ?)",
)


class Counted(NamedTuple):
    """What a target said when it was last written of."""

    target: str
    """Its instance's id."""
    service: str
    at_s: float
    """Unix time."""
    began_s: float | None
    counters: Mapping[Key, float]


def rollups_of(settings: Settings) -> Rollups:
    """Return this installation's."""
    return Rollups(settings.state_dir / FILE)


class Rollups:
    """Those in the file at `path`. Every call may raise EnovaError; none needs an earlier one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(
        self, rows: Mapping[tuple[str, int], Mapping[str, float]], counted: Sequence[Counted], *, now_s: float
    ) -> None:
        """Add amounts by service and minute, and keep what they were worked out from: all or nothing."""
        added = [(*key, *(row.get(name) for name in AMOUNTS)) for key, row in rows.items()]
        said = [(one.target, one.service, one.at_s, one.began_s, _text(one.counters)) for one in counted]
        with self._open() as file:
            file.execute("BEGIN IMMEDIATE")
            file.executemany(_ADD, added)
            file.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?, ?, ?, ?)", said)
            for statement in _GIVEN_UP:
                file.execute(statement, (now_s - KEPT_S, AT_ONCE))
            file.execute("COMMIT")

    def counted(self) -> dict[str, Counted]:
        """Return what is known of targets, by their ids."""
        if not self._path.exists():
            return {}
        with self._open() as file:
            rows = file.execute("SELECT target, service, at_s, began_s, counters FROM counted").fetchall()
            return {row[0]: Counted(row[0], row[1], row[2], row[3], _counters(row[4])) for row in rows}

    def rollups(self, service: str, since_s: float = 0.0) -> tuple[Rollup, ...]:
        """Return the minutes of a service that began since a Unix time, oldest first. Some may be missing."""
        if not self._path.exists():
            return ()
        with self._open() as file:
            rows = file.execute(
                f"SELECT {_COLUMNS} FROM rollups WHERE service = ? AND minute_s >= ? ORDER BY minute_s",  # noqa: S608
                (service, since_s),
            ).fetchall()
        return tuple(_rollup(*row) for row in rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the file. What is not committed in the end is as if it had not been."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are begun by hand: the library's own way leaves out statements such as CREATE.
            with closing(sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None)) as file:
                version = int(file.execute("PRAGMA user_version").fetchone()[0])
                if version > VERSION:
                    raise self._unusable("a newer Enova wrote it")
                if version < VERSION:
                    file.execute("PRAGMA journal_mode = WAL")
                    file.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
                yield file
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, words: str) -> EnovaError:
        return EnovaError(
            f"the rolled-up metrics {self._path} cannot be used: {words}",
            hint="check that the folder is yours and has room, or move the file away: it is begun anew",
        )


def _rollup(service: str, minute_s: int, *amounts: float | None) -> Rollup:
    named = zip(AMOUNTS, amounts, strict=True)
    return rollup_of(service, float(minute_s), {name: amount for name, amount in named if amount is not None})


def _text(counters: Mapping[Key, float]) -> str:
    return json.dumps([[group, name, value] for (group, name), value in counters.items()], allow_nan=False)


def _counters(text: str) -> dict[Key, float]:
    return {(group, name): float(value) for group, name, value in json.loads(text)}
