"""What the values that the user pinned cost: the same search without each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from enova.core.recommend.fields import ENGINE, pinned, without
from enova.core.recommend.limits import allowed_of
from enova.core.recommend.question import Question
from enova.core.recommend.recommendation import PinCost
from enova.core.recommend.search import Found, search
from enova.core.recommend.shape import shapes_of
from enova.core.recommend.trial import Bench

WORTH_SAYING = 0.01
"""USD an hour."""
PRICED = (*(field for field in ENGINE if field != "engine.max_model_len"), "scaling.min")
"""A length is a promise to users, and no matter of cost."""


def pin_costs(question: Question, best: Found) -> Iterator[PinCost]:
    """Yield every pin without which the same promises would cost less. A search that cannot win ends at once."""
    service = question.service
    if best.usd_per_h is None or question.demand is None:
        return
    for field in PRICED:
        if not pinned(service, field):
            continue
        free = replace(question, service=without(service, field))
        shapes, _ = shapes_of(free)
        found = search(Bench(free, question.demand), shapes, allowed_of(free.service)).best
        if found is None or found.usd_per_h is None or found.usd_per_h > best.usd_per_h - WORTH_SAYING:
            continue
        section, _, name = field.partition(".")
        yield PinCost(
            field=field,
            value=str(getattr(getattr(service, section), name)),
            usd_per_h=best.usd_per_h - found.usd_per_h,
            instead=f"{found.replicas} x {found.shape.words}",
        )
