"""From a finding's key path to file, line, column, and a key path that is safe to show."""

from __future__ import annotations

import re

from enova.adapters.specfiles.nodes import Loc, Node
from enova.core.spec.explain import Finding
from enova.errors import Problem

_SECRET_ROOTS: tuple[Loc, ...] = (("model", "token"), ("gateway", "api_key"))
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_/$-]{1,64}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MAX_KEY = 40


def problem(file: str, root: Node, finding: Finding) -> Problem:
    """Return the finding with its place in the file."""
    node = root
    line, column = root.line, root.column
    parts: list[str | int] = []
    last = len(finding.loc) - 1
    for index, part in enumerate(finding.loc):
        child = node.children.get(part)
        if child is not None:
            key_place = node.keys.get(part)
            node = child
            line, column = (
                key_place if key_place and finding.unknown and index == last else (node.line, node.column)
            )
            parts.append(part)
        elif finding.missing and index == last:
            parts.append(part)
        # Anything else names a variant that was chosen by a key, and is not in the file.
    return Problem(file, line, column, shown(tuple(parts)), finding.message, finding.hint)


def shown(loc: Loc) -> str:
    """Return a key path for people. Below a secret nothing is shown: the key may be the secret itself."""
    text = ""
    for part in _safe(loc):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + _quoted(part)
    return text


def _safe(loc: Loc) -> Loc:
    for root in _SECRET_ROOTS:
        if loc[: len(root)] == root:
            return root
    if loc[:2] == ("engine", "secrets") and len(loc) > 2:
        return loc[:3] if _ENV_NAME.fullmatch(str(loc[2])) else loc[:2]
    if loc[:2] == ("engine", "env") and len(loc) > 2 and not _ENV_NAME.fullmatch(str(loc[2])):
        return loc[:2]
    return loc


def _quoted(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return key
    clipped = key if len(key) <= _MAX_KEY else key[:_MAX_KEY] + "…"
    return ascii(clipped)
