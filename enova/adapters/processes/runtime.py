"""The process runtime: Enova's Runtime protocol as folders and processes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from enova.adapters.processes import ports, program, record, shim, tail
from enova.adapters.processes.alive import ask_to_end, end, holder
from enova.adapters.processes.record import (
    Record,
    read_record,
    read_secrets,
    record_of,
    write_folder,
    write_record,
)
from enova.core.fingerprint import instance_name
from enova.core.launch import Kind, Launch
from enova.core.observed import Instance, Look, State
from enova.core.runtime import Report
from enova.errors import ApplyError, ObserveError

CHANGE_TIMEOUT_S = 60.0
"""How long to wait for another Enova that is changing something here. Each change takes a moment."""
SHIM_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 10.0
ENDINGS_POLL_S = 0.5


class ProcessRuntime:
    """Runs instances as processes of this machine, one folder each under `state_dir/processes`.

    Several Enovas may use one state folder at once, and any of them may be killed at any moment. Three rules make
    that safe: a folder appears whole (record.py); an instance lives exactly as long as its lock is held by its own
    process (shim.py); changes take turns, and a start keeps its turn until the program runs, dead starter or not.
    """

    name = "process"

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir.absolute() / "processes"

    def look(self) -> Look:
        """Return all instances. A living one whose record was damaged shows as a name that is taken."""
        instances, unreadable = [], set()
        with self._looking():
            for folder in self._folders():
                instance = self._instance(folder)
                if instance is not None:
                    instances.append(instance)
                elif holder(folder / record.LOCK) is not None:
                    unreadable.add(folder.name)
        return Look(tuple(instances), frozenset(unreadable))

    def get(self, instance_id: str) -> Instance | None:
        """Return one instance as it is now, or None if it is gone."""
        with self._looking():
            return self._instance(self._root / instance_id)

    def create(self, launch: Launch, secrets: Mapping[str, str], report: Report) -> str:
        """Make the instance's folder, with a port of its own. Nothing runs yet."""
        program.path_of(launch.kind)
        name = instance_name(launch)
        folder = self._root / name
        with self._turn():
            if read_record(folder) is not None:
                return name
            if holder(folder / record.LOCK) is not None:
                raise ApplyError(
                    f"{folder} belongs to a running process, but its {record.LAUNCH} is damaged",
                    hint=f"end process {holder(folder / record.LOCK)} yourself, then apply again",
                )
            record.remove_folder(folder)
            taken = self._promised_ports()
            port = launch.port or self._free_port(launch.host, taken)
            metrics_port = launch.metrics_port
            if launch.kind is Kind.ROUTER and metrics_port is None:
                metrics_port = self._free_port("127.0.0.1", {*taken, port})
            report(f"creating {name}, to listen on {ports.url(launch.host, port)}")
            write_folder(folder, record_of(launch, port=port, metrics_port=metrics_port, now=time.time()), secrets)
        return name

    def start(self, instance_id: str) -> None:
        """Start the program; return when it runs."""
        folder = self._root / instance_id
        with self._turn() as turn:
            found = read_record(folder)
            if found is None:
                raise ApplyError(f"start {instance_id}: it is gone", hint="run apply again, which plans anew")
            if holder(folder / record.LOCK) is not None:
                return
            # Workers that outlived their engine hold its memory and its GPUs.
            if (folder / record.LOCK).exists():
                self._end(folder)
            found = self._with_open_ports(folder, found)
            self._spawn(folder, found, turn)

    def stop(self, instance_id: str, timeout_s: float) -> None:
        """Ask the program to end, then end it and all it started."""
        folder = self._root / instance_id
        if (folder / record.LOCK).exists():
            ask_to_end(folder / record.LOCK, timeout_s)
            self._end(folder)

    def remove(self, instance_id: str) -> None:
        """Remove the instance's folder with its log and its secrets, after ending what still runs."""
        folder = self._root / instance_id
        with self._turn():
            if read_record(folder) is None:
                return
            if (folder / record.LOCK).exists():
                self._end(folder)
            record.remove_folder(folder)

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        """Yield the program's output. Following ends with the program."""
        folder = self._root / instance_id
        if read_record(folder) is None:
            raise ApplyError(f"{instance_id} is gone, and its log with it")
        return _lines(folder, tail, follow=follow)

    def remember_routes(self, instance_id: str, worker_urls: frozenset[str]) -> None:
        """Do nothing: no process is restarted by itself."""

    def endings(self, stopped: Callable[[], bool]) -> Iterator[str]:
        """Yield the name of each instance whose process ends from now on, until `stopped()`."""
        alive = self._alive()
        while not stopped():
            time.sleep(ENDINGS_POLL_S)
            before, alive = alive, self._alive()
            yield from sorted(before - alive)

    def _alive(self) -> set[str]:
        with self._looking():
            return {folder.name for folder in self._folders() if holder(folder / record.LOCK) is not None}

    def _instance(self, folder: Path) -> Instance | None:
        found = read_record(folder)
        if found is None:
            return None
        lock = folder / record.LOCK
        pid = holder(lock)
        ended = pid is None and lock.exists()
        url = ports.url(found.host, found.port)
        return Instance(
            id=folder.name,
            name=folder.name,
            runtime=self.name,
            service=found.service,
            role=found.role,
            slot=found.slot,
            fingerprint=found.fingerprint,
            settings=found.settings,
            state=State.EXITED if ended else State.CREATED if pid is None else State.RUNNING,
            devices=found.devices,
            url=url,
            worker_url=url,
            metrics_url=ports.url("127.0.0.1", found.metrics_port) if found.metrics_port else None,
            created_at=found.created_at,
            detail="ended" if ended else "never started" if pid is None else f"pid {pid}",
        )

    def _folders(self) -> list[Path]:
        if not self._root.exists():
            return []
        return sorted(path for path in self._root.iterdir() if not path.name.startswith("."))

    def _promised_ports(self) -> set[int]:
        found = map(read_record, self._folders())
        return {port for known in found if known for port in (known.port, known.metrics_port) if port}

    def _free_port(self, host: str, taken: set[int]) -> int:
        try:
            return ports.free_port(host, taken)
        except OSError as error:
            raise ApplyError(str(error), hint="check that the host is an address of this machine") from error

    def _with_open_ports(self, folder: Path, found: Record) -> Record:
        """Return the record with ports that can be listened on now; one the user chose is not changed."""
        changed = found
        if not ports.is_free(found.host, found.port):
            if found.port_is_fixed:
                raise _taken(found, found.port)
            changed = replace(changed, port=self._free_port(found.host, self._promised_ports()))
        if found.metrics_port and not ports.is_free("127.0.0.1", found.metrics_port):
            if found.metrics_port_is_fixed:
                raise _taken(found, found.metrics_port)
            port = self._free_port("127.0.0.1", {*self._promised_ports(), changed.port})
            changed = replace(changed, metrics_port=port)
        if changed != found:
            write_record(folder, changed)
        return changed

    def _spawn(self, folder: Path, found: Record, turn: int) -> None:
        order = {
            "argv": program.argv(found),
            "env": program.environment(found, read_secrets(folder), mark=str(folder)),
            "lock": str(folder / record.LOCK),
            "log": str(folder / record.LOG),
            "inherited": [turn],
        }
        try:
            started = subprocess.run(
                [sys.executable, "-I", "-S", shim.__file__],
                input=json.dumps(order),
                text=True,
                capture_output=True,
                check=False,
                start_new_session=True,
                pass_fds=[turn],
                timeout=SHIM_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ApplyError(f"start {found.target}: nothing after {SHIM_TIMEOUT_S:.0f} s") from error
        if started.returncode != 0:
            words = started.stderr.strip() or f"status {started.returncode}"
            raise ApplyError(f"start {found.target}: {words}", hint="check that the program is installed and runs")

    def _end(self, folder: Path) -> None:
        if not end(folder / record.LOCK, mark=str(folder), timeout_s=KILL_TIMEOUT_S):
            raise ApplyError(f"processes of {folder.name} do not end", hint="look for them in state D with `ps`")

    @contextmanager
    def _looking(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ObserveError(f"cannot look at processes: {error}", hint="check its permissions") from error

    @contextmanager
    def _turn(self) -> Iterator[int]:
        """Hold the lock of all changes, and yield its descriptor."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ApplyError(f"cannot write there: {error}", hint="choose another state folder") from error
        try:
            deadline_s = time.monotonic() + CHANGE_TIMEOUT_S
            while not _locked(file):
                if time.monotonic() > deadline_s:
                    raise ApplyError(f"another Enova keeps changing {self._root}", hint="wait for it to end")
                time.sleep(0.01)
            record.sweep(self._root)
            yield file
        except OSError as error:
            raise ApplyError(f"cannot change processes: {error}", hint=f"check {self._root}") from error
        finally:
            os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lines(folder: Path, count: int | None, *, follow: bool) -> Iterator[str]:
    lock = folder / record.LOCK
    return tail.lines(folder / record.LOG, tail=count, more=(lambda: holder(lock) is not None) if follow else None)


def _taken(found: Record, port: int) -> ApplyError:
    return ApplyError(
        f"start {found.target}: port {port} on {found.host} is taken by another program",
        hint="stop that program, or choose another port in the spec",
    )
