"""The daemon: keeps what runs as a set of specs says. Read loop.py first."""

from enova.watch.loop import Daemon
from enova.watch.specs import FolderSpecs, GitSpecs, Specs

__all__ = ["Daemon", "FolderSpecs", "GitSpecs", "Specs"]
