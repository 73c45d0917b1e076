"""Start one program detached from everything, holding a lock for as long as it lives. A script, stdlib only.

It reads one JSON object from standard input: `argv`, `env`, paths `lock` and `log`, descriptors `inherited`.
Secrets travel this way because a command line can be read by every user of the machine.

The lock is a POSIX record lock, for three properties: the kernel frees it when the process dies, however it dies;
it survives exec, so that the program itself is the holder; and children do not inherit it, so that a worker left
behind is not mistaken for a living engine. Whoever asks the kernel for the lock's holder gets the program's pid,
with no pid file that could be stale, missing or about another process.

A truncated order, from a starter that was killed in the middle of writing it, is not JSON: nothing is started.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from typing import Any


def main() -> int:
    """Return 0 once the program runs or another shim has started it already, 1 with a message if it cannot."""
    order = json.load(sys.stdin)
    for fd in order["inherited"]:
        # The starter's lock lasts until exec, even if the starter is killed, and not a moment longer.
        os.set_inheritable(fd, False)
    reader, writer = os.pipe()
    if not os.fork():
        os.close(reader)
        try:
            _become(order)
        except OSError as error:
            os.write(writer, f"{error.strerror}: {error.filename or order['argv'][0]}".encode())
        finally:
            os._exit(1)
    os.close(writer)
    problem = os.read(reader, 4096).decode()
    if problem:
        sys.stderr.write(problem)
    return 1 if problem else 0


def _become(order: dict[str, Any]) -> None:
    os.setsid()
    lock = os.open(order["lock"], os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return
    os.set_inheritable(lock, True)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nowhere, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir("/")
    # Python ignores SIGPIPE, and what is ignored stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(order["argv"][0], order["argv"], order["env"])  # noqa: S606 (the order is ours; no shell)


if __name__ == "__main__":
    sys.exit(main())
