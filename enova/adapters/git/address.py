"""`git+URL#branch:folder`, which is passed on to git as arguments: hence what is refused here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn
from urllib.parse import urlsplit

from enova.errors import UsageError

SCHEMES = ("https", "ssh", "file")
EXAMPLE = "git+https://git.example.com/team/specs.git#main:production"

_SCP = re.compile(r"\w[\w.-]*@(\[[0-9a-fA-F:]+\]|\w[\w.-]*):.+")
_WORD = re.compile(r"[a-z][a-z0-9+.-]*")
# What git-check-ref-format(1) forbids; `*` above all, as it would make a pattern of the branch.
_BRANCH = re.compile(r"(?![./])(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)))[^\s~^:?*\[\\\x00-\x20\x7f]+(?<![/.])")


@dataclass(frozen=True, slots=True)
class GitAddress:
    """Where specs are: a repository, a branch (None: the remote's HEAD) and a folder in it ("": all of it)."""

    url: str
    branch: str | None
    subdir: str

    def __str__(self) -> str:
        place = f"{self.branch or ''}:{self.subdir}" if self.subdir else self.branch
        return f"git+{self.url}#{place}" if place else f"git+{self.url}"


def parse_address(text: str) -> GitAddress:
    """Read `git+URL[#branch[:subdir]]`. Raises UsageError, in words that never repeat a secret."""
    if not text.startswith("git+"):
        raise UsageError("an address of a git repository begins with git+", hint=f"as in {EXAMPLE}")
    url, _, place = text.removeprefix("git+").partition("#")
    branch, _, subdir = place.partition(":")
    _check_url(url)
    if branch.startswith("-"):
        raise UsageError(f"a branch cannot begin with -: {branch!r}", hint=f"as in {EXAMPLE}")
    if branch and not _BRANCH.fullmatch(branch):
        raise UsageError(f"not a name that a branch can have: {branch!r}", hint=f"as in {EXAMPLE}")
    folder = PurePosixPath(subdir)
    if folder.is_absolute() or ".." in folder.parts or not subdir.isprintable():
        raise UsageError(
            f"not a folder inside of the repository: {subdir!r}",
            hint="name it from the repository's top, without a leading / and without ..",
        )
    return GitAddress(url, branch or None, "" if folder == PurePosixPath() else str(folder))


def _check_url(url: str) -> None:
    """Raise UsageError unless it is a URL to fetch from that holds no secret."""
    if not url:
        raise UsageError("the address holds no URL", hint=f"as in {EXAMPLE}")
    # Before urlsplit, which leaves out line ends without a word.
    if not url.isprintable() or " " in url:
        raise UsageError("the URL holds a space or a control character", hint="write a space as %20")
    scheme, separator, _ = url.partition("://")
    if not separator:
        if _SCP.fullmatch(url):
            return
        if ":" in url.partition("@")[0] and "@" in url and "::" not in url:
            _refuse_secret()
        raise UsageError("not a URL to fetch from", hint="use https://, ssh://, file:// or user@host:path")
    if scheme not in SCHEMES:
        named = f": {scheme}" if _WORD.fullmatch(scheme) else ""
        raise UsageError(f"unknown scheme{named}", hint="use https://, ssh://, file:// or user@host:path")
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
        _ = parts.port
    except ValueError:
        # Its text would repeat what stands there, which may be half of a password with a # in it.
        raise UsageError("the host or the port in the URL cannot be read", hint=f"as in {EXAMPLE}") from None
    user, at, _ = parts.netloc.rpartition("@")
    # Over https a name alone is as often a token, and credential helpers know the name anyway.
    if (at and (scheme != "ssh" or ":" in user)) or parts.query:
        _refuse_secret()
    if scheme == "file" and parts.netloc:
        raise UsageError("a file:// URL takes an absolute path", hint="as in git+file:///srv/git/specs.git")
    if (scheme != "file" and not host) or host.startswith("-") or user.startswith("-") or not path.strip("/"):
        raise UsageError("the URL does not name a host and a repository on it", hint=f"as in {EXAMPLE}")


def _refuse_secret() -> NoReturn:
    # Other users of the machine see the arguments of processes, and logs keep them.
    raise UsageError(
        "the URL holds a user name, password or token",
        hint="take it out, and give it to git: with a credential helper (git help credentials) or an ssh key",
    )
