"""Plain data to what it describes, or to everything that is wrong with it at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from enova.core.spec.explain import Finding, Loc, explain
from enova.core.spec.fields import Resolve
from enova.core.spec.service import Service

Kind = TypeVar("Kind", bound=BaseModel)


def check(data: object, *, resolve: Resolve) -> tuple[Service | None, list[Finding]]:
    """Return the service, or None and all findings. `resolve` makes the paths in it absolute."""
    return check_as(Service, data, {"resolve": resolve})


def check_as(kind: type[Kind], data: object, context: Mapping[str, Any]) -> tuple[Kind | None, list[Finding]]:
    """Return the data as a value of that kind, or None and all findings. `context` is what its checks ask for."""
    try:
        return kind.model_validate(data, context=dict(context)), []
    except ValidationError as error:
        findings = list(explain(error, kind))
    return None, findings + _hidden(kind, data, findings, context)


def _hidden(
    kind: type[BaseModel], data: object, findings: list[Finding], context: Mapping[str, Any]
) -> list[Finding]:
    """Find what shows once the first findings are gone: rules between keys run on sections that are right."""
    rest = copy.deepcopy(data)
    for finding in findings:
        if not finding.missing:
            _cut(rest, finding.loc)
    try:
        kind.model_validate(rest, context=dict(context))
    except ValidationError as error:
        # What is missing, or what is wrong with a file as a whole, may be so because of the cuts only.
        said = {finding.loc for finding in findings} | {()}
        return [finding for finding in explain(error, kind) if not finding.missing and finding.loc not in said]
    return []


def _cut(data: Any, loc: Loc) -> None:
    """Remove the innermost key on the way to `loc`; a list goes as a whole."""
    owner: dict[Any, Any] | None = None
    last: Any = None
    for part in loc:
        if isinstance(data, dict) and part in data:
            owner, last, data = data, part, data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
            if not isinstance(data, dict):
                break
        # Anything else names a variant, and is not in the data.
    if owner is not None:
        owner.pop(last, None)
