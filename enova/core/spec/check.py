"""Plain data to a Service, or to everything that is wrong with it at once."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

from enova.core.spec.explain import Finding, Loc, explain
from enova.core.spec.fields import Resolve
from enova.core.spec.service import Service


def check(data: object, *, resolve: Resolve) -> tuple[Service | None, list[Finding]]:
    """Return the service, or None and all findings. `resolve` makes the paths in it absolute."""
    context = {"resolve": resolve}
    try:
        return Service.model_validate(data, context=context), []
    except ValidationError as error:
        findings = list(explain(error))
    return None, findings + _hidden(data, findings, context)


def _hidden(data: object, findings: list[Finding], context: dict[str, Any]) -> list[Finding]:
    """Find what shows once the first findings are gone: rules between keys run on sections that are right."""
    rest = copy.deepcopy(data)
    for finding in findings:
        if not finding.missing:
            _cut(rest, finding.loc)
    try:
        Service.model_validate(rest, context=context)
    except ValidationError as error:
        said = {finding.loc for finding in findings}
        return [finding for finding in explain(error) if not finding.missing and finding.loc not in said]
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
