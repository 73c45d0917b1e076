"""The fields of a spec that may be chosen: whether the user pinned them, and a spec with choices filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enova.core.spec import Service
from enova.core.spec.fields import Section

ENGINE = (
    "engine.gpu_memory_utilization",
    "engine.kv_cache_dtype",
    "engine.max_model_len",
    "engine.max_num_batched_tokens",
    "engine.max_num_seqs",
    "engine.pipeline_parallel_size",
    "engine.quantization",
    "engine.tensor_parallel_size",
)
"""Of every replica, in the order in which they are shown."""
GPU = "gpu"
"""The kind of GPU, by its card's name. No key of a spec: what a spec says of it is placement.gpu_types."""
REPLICAS = "replicas"
"""How many run now. No key of a spec: what a spec says of it is scaling.min and scaling.max."""
CHOOSABLE = (*ENGINE, "gateway.policy", GPU, REPLICAS, "scaling.max", "scaling.min")
Chosen = Mapping[str, Any]
"""Values by field; a field that is absent is left to vLLM's default."""


def pinned(service: Service, field: str) -> bool:
    """Tell whether the user decided this field."""
    if field == REPLICAS:
        return service.scaling.max is not None and service.scaling.max == service.scaling.min
    if field == GPU:
        return False
    section_name, _, name = field.partition(".")
    section: Section = getattr(service, section_name)
    return name in section.model_fields_set and getattr(section, name) not in (None, ())


def filled(service: Service, chosen: Chosen) -> Service:
    """Return the service with choices in place of what it leaves open; what the user pinned stays."""
    changes: dict[str, dict[str, Any]] = {}
    for field, value in chosen.items():
        section_name, _, name = field.partition(".")
        if name and not pinned(service, field):
            changes.setdefault(section_name, {})[name] = tuple(value) if isinstance(value, list) else value
    sections = {name: getattr(service, name).model_copy(update=update) for name, update in changes.items()}
    return service.model_copy(update=sections)


def without(service: Service, field: str) -> Service:
    """Return the service as if the user had not pinned this field."""
    section_name, _, name = field.partition(".")
    section: Section = getattr(service, section_name)
    default = type(section).model_fields[name].get_default(call_default_factory=True)
    kept = {key: getattr(section, key) for key in section.model_fields_set - {name}}
    return service.model_copy(update={section_name: type(section).model_construct(**kept | {name: default})})
