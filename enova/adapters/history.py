"""Forecasts, measurements, runs of load and revisions, in a SQLite file. A record only: deleting it is safe.

Every call opens the file and closes it: processes may come and go, and it may be deleted between two calls.
Nothing secret goes in: figures, names, fingerprints, and specs, which name secrets by reference only.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from enova.core.forecast_data import forecast_as_data, forecast_in, rounded
from enova.core.ledger.records import Applied, Measured, Measurement
from enova.core.revision import Revision, revision_as_data, revision_in
from enova.core.workload.report import InjectionReport
from enova.errors import EnovaError
from enova.settings import Settings

FILE = "history.db"
WAIT_S = 30.0
"""For others to be done with writing, which takes them milliseconds."""

OUTSIDE = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_READONLY")
"""What the file itself is not to blame for."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE applied (
      id INTEGER PRIMARY KEY, at_s REAL NOT NULL, service TEXT NOT NULL, fingerprint TEXT NOT NULL, rate REAL,
      forecast TEXT NOT NULL
    );
    CREATE INDEX applied_by_service ON applied (service, at_s);
    CREATE TABLE measured (
      id INTEGER PRIMARY KEY, began_s REAL NOT NULL, ended_s REAL NOT NULL, service TEXT NOT NULL,
      fingerprint TEXT NOT NULL, source TEXT NOT NULL, requests INTEGER NOT NULL, rate REAL, replicas INTEGER,
      output_tokens REAL, emulated INTEGER NOT NULL, figures TEXT NOT NULL
    );
    CREATE UNIQUE INDEX measured_once ON measured (service, began_s, ended_s, source, figures);
    """,
    """
    CREATE TABLE injected (
      id INTEGER PRIMARY KEY, at_s REAL NOT NULL, service TEXT NOT NULL, report TEXT NOT NULL
    );
    CREATE INDEX injected_by_service ON injected (service, at_s);
    """,
    """
    CREATE TABLE revisions (id INTEGER PRIMARY KEY, at_s REAL NOT NULL, service TEXT NOT NULL, data TEXT NOT NULL);
    CREATE INDEX revisions_by_service ON revisions (service, at_s);
    """,
)
"""What makes version n + 1 out of version n, from an empty file on. Never changed, only added to."""

APPLIED = "at_s, service, fingerprint, rate, forecast"
MEASURED = (
    "began_s, ended_s, service, fingerprint, source, requests, rate, replicas, output_tokens, emulated, figures"
)
INJECTED = "id, at_s, service, report"
REVISION = "id, data"


class Injected(NamedTuple):
    """A run of real load that was kept."""

    number: int
    at_s: float
    """Unix time, when it ended."""
    service: str
    """Its name, or the address that was asked."""
    report: InjectionReport


def history_of(settings: Settings) -> History:
    """Return this installation's history."""
    return History(settings.state_dir / FILE)


class History:
    """Applied forecasts and measurements at `path`. Every call may raise EnovaError; none needs an earlier one."""

    def __init__(self, path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self._path = path
        self._migrations = migrations

    def add(self, *records: Applied | Measurement) -> int:
        """Keep records, all or none, and return how many were new.

        A forecast that is in force already and a measurement that is there already are left as they are, so that
        adding twice is adding once.
        """
        with self._open() as file:
            file.execute("BEGIN IMMEDIATE")
            added = sum(
                _add_applied(file, record) if isinstance(record, Applied) else _add_measurement(file, record)
                for record in records
            )
            file.execute("COMMIT")
        return added

    def applied(self, service: str | None = None, *, since_s: float | None = None) -> tuple[Applied, ...]:
        """Return the applied forecasts, oldest first; of one service and from a Unix time on, if given."""
        rows = self._rows(f"SELECT {APPLIED} FROM applied", "at_s", service, since_s)  # noqa: S608 - our own names
        return tuple(self._whole(_applied, row) for row in rows)

    def measurements(self, service: str | None = None, *, since_s: float | None = None) -> tuple[Measurement, ...]:
        """Return the measurements, oldest first; of one service and that ended since a Unix time, if given."""
        rows = self._rows(f"SELECT {MEASURED} FROM measured", "ended_s", service, since_s)  # noqa: S608 - as above
        return tuple(self._whole(_measurement, row) for row in rows)

    def keep_run(self, report: InjectionReport, *, service: str, at_s: float) -> int:
        """Keep what a run of load found, and return the number it can be asked for by."""
        text = report.model_dump_json(exclude_none=True)
        with self._open() as file:
            added = file.execute(
                "INSERT INTO injected (at_s, service, report) VALUES (?, ?, ?)", (at_s, service, text)
            )
        return int(added.lastrowid or 0)

    def runs(self, service: str | None = None, *, since_s: float | None = None) -> tuple[Injected, ...]:
        """Return the runs of load, oldest first; of one service and that ended since a Unix time, if given."""
        rows = self._rows(f"SELECT {INJECTED} FROM injected", "at_s", service, since_s)  # noqa: S608 - as above
        return tuple(self._whole(_injected, row) for row in rows)

    def run(self, number: int) -> Injected | None:
        """Return one run of load; None: there is none of this number."""
        if not self._there():
            return None
        with self._open() as file:
            row = file.execute(f"SELECT {INJECTED} FROM injected WHERE id = ?", (number,)).fetchone()  # noqa: S608
        return None if row is None else self._whole(_injected, row)

    def keep_revisions(self, *revisions: Revision) -> None:
        """Keep what was applied, all or none."""
        with self._open() as file:
            file.execute("BEGIN IMMEDIATE")
            for one in revisions:
                values = (one.at_s, one.service, _canonical(revision_as_data(one)))
                file.execute("INSERT INTO revisions (at_s, service, data) VALUES (?, ?, ?)", values)
            file.execute("COMMIT")

    def revisions(self, service: str | None = None, *, since_s: float | None = None) -> tuple[Revision, ...]:
        """Return what was applied, oldest first; of one service and since a Unix time, if given."""
        rows = self._rows(f"SELECT {REVISION} FROM revisions", "at_s", service, since_s)  # noqa: S608 - as above
        return tuple(self._whole(_revision, row) for row in rows)

    def newest_revisions(self) -> dict[str, Revision]:
        """Return the last revision of each service that says what is wanted (see enova.core.revision.deciding)."""
        if not self._there():
            return {}
        deciding = "json_extract(data, '$.cause') <> 'repair' AND json_extract(data, '$.ending') <> 'advised'"
        newest = f"WHERE id IN (SELECT max(id) FROM revisions WHERE {deciding} GROUP BY service)"  # noqa: S608
        with self._open() as file:
            rows = file.execute(f"SELECT {REVISION} FROM revisions {newest}").fetchall()  # noqa: S608 - as above
        return {one.service: one for one in (self._whole(_revision, row) for row in rows)}

    def _rows(self, select: str, time: str, service: str | None, since_s: float | None) -> list[tuple[Any, ...]]:
        if not self._there():
            return []
        where = f"WHERE (?1 IS NULL OR service = ?1) AND (?2 IS NULL OR {time} >= ?2) ORDER BY {time}, id"
        with self._open() as file:
            return file.execute(f"{select} {where}", (service, since_s)).fetchall()

    def _whole(self, read: Any, row: tuple[Any, ...]) -> Any:
        try:
            return read(row)
        except (EnovaError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise self._damaged(str(error)) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the file with all its tables. What is not committed in the end is as if it had not been."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._there():
                self._create()
            with closing(_connection(self._path)) as file:
                self._migrate(file)
                yield file
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            raise self._kept_out(error) if name.startswith(OUTSIDE) else self._damaged(str(error)) from error
        except OSError as error:
            raise self._kept_out(error) from error

    def _there(self) -> bool:
        try:
            return self._path.exists()
        except OSError as error:
            raise self._kept_out(error) from error

    def _create(self) -> None:
        """Make a whole file aside and put it in place, so that nobody ever meets a half-made one."""
        with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=f".{self._path.name}-") as folder:
            made = Path(folder) / self._path.name
            with closing(_connection(made)) as file:
                # Readers do not wait for writers. The file remembers it.
                file.execute("PRAGMA journal_mode = WAL")
                self._migrate(file)
            try:
                os.link(made, self._path)
            except FileExistsError:
                return  # another process was faster

    def _migrate(self, file: sqlite3.Connection) -> None:
        known = len(self._migrations)
        if _version(file) < known:
            file.execute("BEGIN IMMEDIATE")
            # Another process may have done it while this one waited.
            for version in range(_version(file), known):
                for statement in self._migrations[version].split(";"):
                    file.execute(statement)
                file.execute(f"PRAGMA user_version = {version + 1}")
            file.execute("COMMIT")
        elif _version(file) > known:
            raise EnovaError(
                f"the history {self._path} was written by a newer Enova",
                hint="use that one; or move the file away: it is a record only, and is begun anew",
            )

    def _kept_out(self, error: Exception) -> EnovaError:
        return EnovaError(
            f"the history {self._path} cannot be opened: {getattr(error, 'strerror', None) or error}",
            hint="check that the folder is yours to write to and has room, or choose another with ENOVA_STATE_DIR",
        )

    def _damaged(self, words: str) -> EnovaError:
        return EnovaError(
            f"the history {self._path} cannot be used: {words}",
            hint="move the file away: it is a record only, and is begun anew",
        )


def _connection(path: Path) -> sqlite3.Connection:
    # Transactions are begun by hand: the library's own way leaves out statements such as CREATE.
    return sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)


def _version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def _add_applied(file: sqlite3.Connection, applied: Applied) -> int:
    said = (applied.fingerprint, rounded(applied.rate), _canonical(forecast_as_data(applied.forecast)))
    in_force = file.execute(
        "SELECT fingerprint, rate, forecast FROM applied "
        "WHERE service = ? AND at_s <= ? ORDER BY at_s DESC, id DESC LIMIT 1",
        (applied.service, applied.at_s),
    ).fetchone()
    if in_force == said:
        return 0
    fingerprint, rate, forecast = said
    values = (applied.at_s, applied.service, fingerprint, rate, forecast)
    return file.execute(f"INSERT INTO applied ({APPLIED}) VALUES (?, ?, ?, ?, ?)", values).rowcount  # noqa: S608


def _add_measurement(file: sqlite3.Connection, measurement: Measurement) -> int:
    figures = {
        name: [rounded(end) for end in figure]
        for name, figure in measurement.figures.items()
        if math.isfinite(figure.value)
    }
    values = (
        measurement.began_s,
        measurement.ended_s,
        measurement.service,
        measurement.fingerprint,
        measurement.source,
        measurement.requests,
        rounded(measurement.rate),
        measurement.replicas,
        rounded(measurement.output_tokens),
        measurement.emulated,
        _canonical(figures),
    )
    marks = ", ".join("?" * len(values))
    return file.execute(f"INSERT OR IGNORE INTO measured ({MEASURED}) VALUES ({marks})", values).rowcount  # noqa: S608


def _applied(row: tuple[Any, ...]) -> Applied:
    at_s, service, fingerprint, rate, forecast = row
    return Applied(
        at_s=at_s, service=service, fingerprint=fingerprint, rate=rate, forecast=forecast_in(json.loads(forecast))
    )


def _measurement(row: tuple[Any, ...]) -> Measurement:
    began_s, ended_s, service, fingerprint, source, requests, rate, replicas, output_tokens, emulated, figures = (
        row
    )
    return Measurement(
        service=service,
        fingerprint=fingerprint,
        began_s=began_s,
        ended_s=ended_s,
        source=source,
        requests=requests,
        rate=rate,
        replicas=replicas,
        output_tokens=output_tokens,
        emulated=bool(emulated),
        figures={name: _measured(*ends) for name, ends in sorted(json.loads(figures).items())},
    )


def _injected(row: tuple[Any, ...]) -> Injected:
    number, at_s, service, report = row
    return Injected(number, at_s, service, InjectionReport.model_validate_json(report))


def _revision(row: tuple[Any, ...]) -> Revision:
    number, data = row
    return revision_in(json.loads(data), number)


def _measured(value: float, low: float, high: float | None) -> Measured:
    # A bucket may be open above, as JSON cannot say.
    return Measured(float(value), float(low), float("inf") if high is None else float(high))


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
