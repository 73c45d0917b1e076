"""Specs in a git repository, and the commits they are at, through the git command."""

from enova.adapters.git.address import GitAddress, parse_address
from enova.adapters.git.checkout import GitCheckout
from enova.adapters.git.record import GitCommit
from enova.adapters.git.worktree import revision_of

__all__ = ["GitAddress", "GitCheckout", "GitCommit", "parse_address", "revision_of"]
