"""The git command: nobody is asked, nothing of others is run, and it ends in time."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from enova.errors import ObserveError

TIMEOUT_S = 60.0
"""How long one call of git may take."""

_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",  # may name a program, in the configuration of whatever work tree is looked at
    "core.symlinks=false",  # links become files that hold their target: none can lead out of the tree
    "protocol.ext.allow=never",
    "log.showSignature=false",
    # A helper that outlives its killed parent gives up by itself.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=30",
)

# Set by git for its hooks: they would make it look at the repository of whoever started Enova.
_ELSEWHERE = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


class GitFailed(Exception):
    """A call of git failed, with its own last words."""


def run_git(*words: str, places: Mapping[str, str] | None = None, as_it_is: bool = False) -> str:
    """Return what git printed; raises GitFailed, or ObserveError where it cannot be run at all.

    `as_it_is`: take symbolic links for what they are, in a work tree that somebody else checked out.
    """
    program = shutil.which("git")
    if program is None:
        raise ObserveError("git is not installed", hint="install it, so that it is found on PATH")
    config = [word for setting in _CONFIG if not (as_it_is and "symlinks" in setting) for word in ("-c", setting)]
    try:
        # In a session of its own: no terminal to ask at, and its helpers can be ended with it.
        process = subprocess.Popen(
            [program, *config, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment() | dict(places or {}),
            start_new_session=True,
        )
    except OSError as error:
        raise ObserveError(f"git cannot be run: {error}", hint=f"check {program}") from error
    with process:
        try:
            printed, said = process.communicate(timeout=TIMEOUT_S)
        except BaseException as error:
            # With its helpers: any of them holds the pipes open, which would be waited for.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise GitFailed(f"git was not done within {TIMEOUT_S:g} s") from None
            raise
    if process.returncode:
        raise GitFailed(_last_words(said.decode(errors="replace")) or f"git ended with {process.returncode}")
    return printed.decode(errors="replace")


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    ssh = environment.get("GIT_SSH_COMMAND") or shlex.quote(environment.get("GIT_SSH") or "ssh")
    return environment | {
        "GIT_ASKPASS": "/bin/true",
        "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _last_words(said: str) -> str:
    """Return why git gave up, and what was said right before, which is ssh's or the remote's reason."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # After the last "fatal:" only general advice follows.
    ends = [number for number, line in enumerate(lines) if line.startswith("fatal:")]
    last = lines[max(0, ends[-1] - 1) : ends[-1] + 1] if ends else lines[-1:]
    return without_credentials("; ".join(line.removeprefix("fatal: ") for line in last))


def without_credentials(text: str) -> str:
    """Take users and passwords out of URLs: git's configuration may have put them into one."""
    return re.sub(r"(https?://)[^/\s]*@", r"\1", text)
