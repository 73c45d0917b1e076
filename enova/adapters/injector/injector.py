"""A run: as many workers as it takes, one moment at which all of them begin, and their reports."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic

from enova.adapters.injector.body import head_of
from enova.adapters.injector.wire import Packed, unpacked
from enova.adapters.injector.worker import READY, STOP, work
from enova.core.inject.job import Job
from enova.core.inject.outcome import Batch
from enova.errors import EnovaError

REQUEST_CPU_S = 60e-6
TOKEN_CPU_S = 16e-6
"""What a request, and each token of a stream that comes by itself, take of a core, as measured on one of an
AMD EPYC. Tokens that come together take less."""
USED = 0.5
"""Share of its core that a worker is to use, so that it is never late for want of it."""
BEGIN_AFTER_S = 0.05
READY_WITHIN_S = 120.0
END_WITHIN_S = 5.0
LOOK_EVERY_S = 0.2


def workers_for(rate: float | None, output_tokens: float, cpus: int, *, stream: bool) -> int:
    """Return how many workers keep up with a rate in requests/s, at most one for each CPU but one."""
    per_request_s = REQUEST_CPU_S + (output_tokens * TOKEN_CPU_S if stream else 0.0)
    return min(max(1, math.ceil((rate or 0.0) * per_request_s / USED)), max(1, cpus - 1))


class Run:
    """One run of a load; its batches can be had once. It takes no more workers than can have something to do.

    Raises ApplyError for a key that no header can carry.
    """

    def __init__(self, job: Job, *, workers: int) -> None:
        head_of(job.target)
        users = job.load.users
        workers = min(workers, job.in_flight or workers, users.number if users else workers)
        self._jobs = [replace(job, worker=number, workers=workers) for number in range(workers)]
        if job.in_flight is not None:
            self._jobs = [
                replace(one, in_flight=len(range(one.worker, job.in_flight, workers))) for one in self._jobs
            ]
        self._stop = threading.Event()

    def stop(self) -> None:
        """Send no more, and give up on what is under way: the last reports still come. May be called anywhere."""
        self._stop.set()

    def batches(self) -> Iterator[Batch]:
        """Yield what the workers report, from the first request to the last answer.

        Raises EnovaError if a worker ends before its time.
        """
        with _workers(self._jobs) as workers:
            for worker in workers:
                _ready(worker)
            began_s = monotonic() + BEGIN_AFTER_S
            for worker in workers:
                worker.tell(began_s)
            yield from self._reports({worker.reports: worker for worker in workers})

    def _reports(self, left: dict[Connection, _Worker]) -> Iterator[Batch]:
        told = False
        finished: set[Connection] = set()
        while left:
            if self._stop.is_set() and not told:
                told = True
                for worker in left.values():
                    worker.tell(STOP)
            heard = wait(list(left), timeout=LOOK_EVERY_S)
            for pipe in [pipe for pipe in left if pipe in heard]:
                try:
                    report: Packed = pipe.recv()
                except (EOFError, OSError):
                    worker = left.pop(pipe)
                    if pipe not in finished:
                        raise _ended(worker) from None
                    continue
                if not report.sending and not report.in_flight:
                    finished.add(pipe)
                yield unpacked(report)


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process that sends, and the pipes to it and from it."""

    process: SpawnProcess
    orders: Connection
    reports: Connection

    def tell(self, what: float | str) -> None:
        """Send an order. Who has ended meanwhile, well or badly, is found when it is heard."""
        with suppress(OSError):
            self.orders.send(what)


@contextmanager
def _workers(jobs: list[Job]) -> Iterator[list[_Worker]]:
    """Yield a started process for each job; none is left afterwards."""
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for job in jobs:
            (theirs, orders), (reports, told) = context.Pipe(duplex=False), context.Pipe(duplex=False)
            arguments = (theirs, told, job)
            process = context.Process(target=work, args=arguments, daemon=True, name=f"inject-{job.worker}")
            process.start()
            theirs.close()
            told.close()
            workers.append(_Worker(process, orders, reports))
        yield workers
    finally:
        for worker in workers:
            worker.orders.close()
            worker.reports.close()
            worker.process.join(END_WITHIN_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _ready(worker: _Worker) -> None:
    try:
        if worker.reports.poll(READY_WITHIN_S) and worker.reports.recv() == READY:
            return
    except (EOFError, OSError):
        pass
    raise _ended(worker)


def _ended(worker: _Worker) -> EnovaError:
    worker.process.join(END_WITHIN_S)
    return EnovaError(
        f"a process that sends ended unexpectedly, with exit code {worker.process.exitcode}",
        hint="what it was to send is lost; is there enough memory? `--workers` says how many there are",
    )
