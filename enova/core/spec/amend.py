"""A spec with some keys set to other values: `slo.ttft.p95=300ms`, `scaling.max=4`, `engine.max_num_seqs=`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from enova.core.spec.check import check
from enova.core.spec.service import Service
from enova.errors import UsageError

Read = Callable[[str], Any]
"""Reads a value as YAML has it."""

_SHORT = {"injection.rate": ("injection.arrival", "rate"), "injection.users": ("injection.arrival", "users")}
_PROCESS = {"rate": "poisson", "users": "closed_loop"}


def amended(service: Service, changes: Sequence[str], read: Read) -> Service:
    """Return the service with each change made, in their order.

    A change is `key.path=value`; an empty value unsets the key. `injection.rate` and `injection.users` set those
    of the arrivals, and make them poisson or a closed loop where they are something else.

    Raises UsageError with all that cannot be.
    """
    data = service.model_dump(mode="json", by_alias=True, exclude_unset=True)
    wrong: list[str] = []
    for change in changes:
        path, separator, text = change.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            wrong.append(f"{change}: is not of the form key.path=value")
            continue
        try:
            _set(data, keys, text.strip(), read)
        except UsageError as error:
            wrong.append(f"{change}: {error.message}")
    if wrong:
        raise UsageError(f"--set: {'; '.join(wrong)}", hint="for example --set slo.ttft.p95=300ms")
    found, findings = check(data, resolve=lambda path: path)
    if found is None:
        words = [f"{'.'.join(map(str, finding.loc))}: {finding.message}" for finding in findings]
        hints = [finding.hint for finding in findings if finding.hint]
        raise UsageError(f"--set: {'; '.join(words)}", hint=hints[0] if hints else None)
    return found


def _set(data: dict[str, Any], keys: list[str], text: str, read: Read) -> None:
    short = _SHORT.get(".".join(keys))
    if short is not None:
        path, name = short
        arrival = _section(data, path.split("."))
        if name not in arrival:
            arrival.clear()
            arrival["process"] = _PROCESS[name]
        arrival[name] = read(text)
        return
    section = _section(data, keys[:-1])
    if not text:
        section.pop(keys[-1], None)
        return
    section[keys[-1]] = copy.deepcopy(read(text))


def _section(data: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    for key in keys:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            # A mapping may be written in short, as `model: org/name`.
            raise UsageError(f"{key} is no section", hint=None)
        data = inner
    return data
