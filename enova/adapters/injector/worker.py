"""One process that sends: gets its part of a load, says that it is ready, begins with all others, and reports."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import threading
from array import array
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from time import monotonic, process_time

import uvloop

from enova.adapters.injector.body import asking
from enova.adapters.injector.sender import Sender
from enova.adapters.injector.wire import Packed, packed
from enova.core.inject.job import Job
from enova.core.inject.outcome import Batch

READY, STOP = "ready", "stop"
REPORT_EVERY_S = 0.1


def work(orders: Connection, reports: Connection, job: Job) -> None:
    """Do a job for whoever holds the other ends of the pipes, and end with them.

    There are two since the loop, which waits for orders, does not let a write to the same one wait.
    """
    # Ctrl-C goes to all processes of a terminal; what follows from it is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(ValueError, OSError):
        # Every request under way has a connection of its own. Where there is no limit, some systems take none.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_Worker(orders, reports, job).run())


class _Worker:
    def __init__(self, orders: Connection, reports: Connection, job: Job) -> None:
        self._orders, self._reports, self._job = orders, reports, job
        self._began_s = self._cpu_s = 0.0
        self._told: asyncio.Queue[float | str] = asyncio.Queue()
        self._written: SimpleQueue[Packed | None] = SimpleQueue()
        """What waits to be written: whoever counts may be busy for a while, and sending must not wait for that."""

    async def run(self) -> None:
        sender = Sender(self._job, asking(self._job.target, self._job.prompts))
        asyncio.get_running_loop().add_reader(self._orders.fileno(), self._hear)
        # What is there now stays: collections that look through all of it would take milliseconds.
        gc.collect()
        gc.freeze()
        self._reports.send(READY)
        writing = threading.Thread(target=self._write, daemon=True)
        writing.start()
        began_s = await self._told.get()
        if isinstance(began_s, str):
            return
        self._began_s, self._cpu_s = began_s, process_time()
        sender.start(began_s)
        stopping = asyncio.create_task(self._stop(sender))
        done = asyncio.create_task(sender.done.wait())
        while not done.done():
            await asyncio.wait((done,), timeout=REPORT_EVERY_S)
            self._report(sender)
        stopping.cancel()
        self._written.put(None)
        writing.join()

    def _write(self) -> None:
        with suppress(OSError):
            while (report := self._written.get()) is not None:
                self._reports.send(report)

    async def _stop(self, sender: Sender) -> None:
        await self._told.get()
        sender.stop()

    def _hear(self) -> None:
        try:
            self._told.put_nowait(self._orders.recv())
        except (EOFError, OSError):
            # Nobody is there any more to report to.
            raise SystemExit(1) from None

    def _report(self, sender: Sender) -> None:
        outcomes, sender.outcomes = sender.outcomes, []
        gaps_s = array("d", sender.gaps_s)
        del sender.gaps_s[:]
        batch = Batch(
            worker=self._job.worker,
            at_s=monotonic() - self._began_s,
            outcomes=outcomes,
            gaps_s=gaps_s,
            sent=sender.sent,
            in_flight=sender.in_flight,
            cpu_s=process_time() - self._cpu_s,
            sending=sender.sending,
            emulated=sender.emulated,
        )
        self._written.put(packed(batch))
