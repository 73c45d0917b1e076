"""What a plan changes for the users of a service, and for who pays: the forecast before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from enova.core.forecast import Forecast
from enova.core.launch import Role
from enova.core.plan import Action, Verb
from enova.core.simulate.promises import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One service, as it is now and as it is to be."""

    service: str
    now: Forecast | None = None
    now_words: str = "nothing runs"
    """Why there is no forecast of what runs now."""
    after: Forecast | None = None
    rate: float | None = None
    """Requests/s that the forecasts are of; None: users wait for answers."""
    fingerprint: str = ""
    """Of the replicas as they are to be."""
    fresh: bool = False
    """Whether what is to be was chosen in this plan; else it is from the lock."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """What pinned values cost, by field."""
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    rollout_s: float | None = None
    """Rough; None: nothing is to be started, or nobody knows."""
    interruptions: tuple[str, ...] = ()
    """What users notice while it is done."""

    @property
    def keeps(self) -> bool | None:
        """Tell whether every promise is kept by what is to be, as far as figures go; None: nothing is promised."""
        if self.after is None or not self.after.expected:
            return None
        return all(one.verdict in (Verdict.KEPT, Verdict.LIKELY) for one in self.after.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All services together. None: of some service that is forecast it is not known."""

    usd_per_h: float | None
    gpus: int


def total_of(forecasts: Iterable[Forecast | None]) -> Total:
    """Return the sum of what is forecast."""
    known = [forecast for forecast in forecasts if forecast is not None]
    prices = [forecast.usd_per_h for forecast in known]
    usd = None if None in prices else sum(price for price in prices if price is not None)
    return Total(usd_per_h=usd, gpus=sum(forecast.gpus for forecast in known))


def rollout_s_of(actions: Sequence[Action], start_up_s: float) -> float | None:
    """Return about how long actions take: their waves come one after another. None: no replica is started."""
    waves: dict[int, float] = {}
    for action in actions:
        if action.launch is None or action.launch.role is not Role.REPLICA or action.verb is Verb.ROUTE:
            continue
        policy, replaces = action.policy, action.verb is Verb.REPLACE
        more_s = policy.settle_s + policy.drain_timeout_s if replaces else 0.0
        waves[action.wave] = max(waves.get(action.wave, 0.0), start_up_s + more_s)
    return sum(waves.values()) if waves else None


def interruptions_of(actions: Sequence[Action]) -> tuple[str, ...]:
    """Return what users notice, each once, in the order of the plan."""
    return tuple(dict.fromkeys(action.impact for action in actions if action.impact))
