"""What is known of a service's capacity: from what runs of it, the traffic it states and what it promises."""

from __future__ import annotations

import math
from dataclasses import replace

from enova.advise import Adviser
from enova.core.control.capacities import plant_of
from enova.core.control.plant import Plant
from enova.core.observed import Observed, Unknown
from enova.core.recommend.limits import allowed_of
from enova.core.resolve import Resolved
from enova.core.simulate.forecast import Conditions
from enova.errors import EnovaError
from enova.outlook import running_of, start_up_of

USUAL_START_UP_S = 100.0
"""Where there are no facts to tell it by: vLLM with a compile cache, by llm-d's autoscaler guides."""


def plant_for(resolved: Resolved, adviser: Adviser, observed: Observed) -> Plant | Unknown:
    """Return the plant of a service that runs; Unknown, with what is missing, where capacity cannot be told."""
    running = running_of(resolved, adviser, observed)
    if isinstance(running, str):
        return Unknown(running)
    service, question = resolved.service, running.question
    if question.demand is None or question.demand.closed:
        return Unknown("injection does not say what requests are like: it takes an open process, such as poisson")
    if not question.promises:
        return Unknown("slo promises no latency: there is nothing to keep")
    start_up_s = start_up_of(resolved, adviser) or USUAL_START_UP_S
    try:
        replica = replace(question.evidence.replica(running.shape.setup), start_up_s=start_up_s)
        conditions = Conditions(promises=question.promises, policy=service.gateway.policy or "round_robin")
        plant = plant_of(replica, question.demand.load, conditions)
    except (EnovaError, KeyError) as error:
        return Unknown(f"its capacity cannot be told: {error}")
    most, words = allowed_of(service).replicas(running.shape)
    # Nothing holds requests at the gateway of a live service yet: its last replica stays.
    return replace(
        plant, fewest=service.scaling.min, most=None if math.isinf(most) else max(1, int(most)), limit=words
    )
