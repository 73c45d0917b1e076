"""Traffic by itself: what a load test sends to an endpoint that no spec describes, and what is asked of it."""

from __future__ import annotations

from pydantic import model_validator

from enova.core.spec.fields import Section, key, section, without_notes
from enova.core.spec.injection import Injection
from enova.core.spec.service import Slo


class Profile(Section):
    """The sections of a spec that say what traffic comes, and what its users are promised."""

    injection: Injection = key("The traffic.", {"arrival": {"process": "poisson", "rate": "20/s"}}, ...)
    slo: Slo = section("What users are promised.", Slo, {"ttft": {"p95": "500ms"}})

    _ignore_notes = model_validator(mode="before")(without_notes)
