"""What the user wrote, checked and typed; unset means "you choose".

Belongs here: the models of a spec, their rules, the words for mistakes, and the JSON Schema made from them.
Must not be here: reading files, filling in defaults that depend on anything but the spec.
"""

from enova.core.launch import SecretRef
from enova.core.spec.engine import Engine
from enova.core.spec.gateway import Gateway
from enova.core.spec.injection import Injection
from enova.core.spec.model import Lora, Model
from enova.core.spec.scaling import Scaling
from enova.core.spec.service import Budget, Placement, Rollout, Service, Slo
from enova.core.spec.units import ByteSize, Duration, Money, Percent, Rate

__all__ = [
    "Budget",
    "ByteSize",
    "Duration",
    "Engine",
    "Gateway",
    "Injection",
    "Lora",
    "Model",
    "Money",
    "Percent",
    "Placement",
    "Rate",
    "Rollout",
    "Scaling",
    "SecretRef",
    "Service",
    "Slo",
]
