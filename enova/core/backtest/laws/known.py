"""All laws there are to compare with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from enova.core.backtest.laws.dynamo import Load, Throughput
from enova.core.backtest.laws.enova_rules import EnovaRules
from enova.core.backtest.laws.hpa import hpa, keda_queue
from enova.core.backtest.laws.kpa import Kpa
from enova.core.backtest.laws.llmd import SloAware
from enova.core.backtest.laws.ongoing import kubeai, ray_serve, ray_serve_tuned
from enova.core.backtest.laws.rps import Dstack, SkyServe
from enova.core.backtest.laws.static import static_peak
from enova.core.backtest.laws.wva import Saturation
from enova.core.control.plant import Plant
from enova.core.control.sight import Law
from enova.core.simulate.promises import Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What laws are made from."""

    plant: Plant
    promises: tuple[Promise, ...]
    max_num_seqs: int
    peak_per_s: float
    """Requests/s of the busiest five minutes."""


LAWS: Mapping[str, Callable[[Facts], Law]] = MappingProxyType({
    "static-peak": lambda facts: static_peak(facts.plant, facts.peak_per_s),
    "hpa": lambda facts: hpa(facts.plant),
    "keda-queue": lambda facts: keda_queue(facts.plant),
    "kpa": lambda facts: Kpa(facts.plant),
    "llm-d-slo": lambda facts: SloAware(facts.plant, facts.promises),
    "wva": lambda facts: Saturation(facts.plant),
    "dynamo-load": lambda facts: Load(facts.plant, facts.promises),
    "dynamo-throughput": lambda facts: Throughput(facts.plant),
    "dstack": lambda facts: Dstack(facts.plant),
    "skyserve": lambda facts: SkyServe(facts.plant),
    "ray-serve": lambda facts: ray_serve(facts.plant),
    "ray-serve-tuned": lambda facts: ray_serve_tuned(facts.plant),
    "kubeai": lambda facts: kubeai(facts.plant),
    "enova-rules": lambda facts: EnovaRules(facts.plant, facts.max_num_seqs),
})  # fmt: skip
