"""The commit that a file of the user's own work tree is at."""

from __future__ import annotations

from pathlib import Path

from enova.adapters.git.command import GitFailed, run_git
from enova.errors import ObserveError


def revision_of(path: Path) -> str | None:
    """Return the commit of the work tree that holds `path`, with " (changed)" if `path` differs from it.

    None outside of a work tree, before its first commit, or where git is missing. Never raises.
    """
    try:
        real = path.resolve()
        folder = str(real if real.is_dir() else real.parent)
        # The top is asked for as well because there is none in a bare repository.
        sha = run_git("-C", folder, "rev-parse", "--show-toplevel", "HEAD").splitlines()[-1]
        looking = ("--no-optional-locks", "--literal-pathspecs", "-C", folder)
        changes = run_git(*looking, "status", "--porcelain", "--", str(real), as_it_is=True)
    except (GitFailed, ObserveError, OSError, RuntimeError, ValueError):
        return None
    return f"{sha} (changed)" if changes else sha
