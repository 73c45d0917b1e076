"""Digests of what choices depend on: as long as they stay, nothing is chosen anew.

What changes with Enova itself (facts, coefficients, the search) stays out: an upgrade must not re-choose. Paths
stay out too, for the same specs lie elsewhere on another machine; what is in the files counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from enova.core.inventory import Inventory
from enova.core.spec import Service
from enova.core.workload.load import files_of

_SECTIONS = ("budget", "engine", "injection", "model", "placement", "scaling", "slo")
_IRRELEVANT = {
    "engine": {"env", "image", "secrets", "shm_size"},
    "model": {"cache_dir", "endpoint", "lora", "proxy", "served_names", "token", "trust_remote_code"},
    "placement": {"hosts", "runtime"},
    "scaling": {"idle_to_zero", "mode", "schedule"},
}


def inputs_digest(service: Service, digest: Callable[[str], str]) -> str:
    """Return the digest of what the user wrote. `digest` is of a file's content, or of a model's in a folder."""
    written = service.model_dump(mode="json", exclude_unset=True)
    sections = {
        name: kept
        for name in _SECTIONS
        if (
            kept := {
                key: value for key, value in written.get(name, {}).items() if key not in _IRRELEVANT.get(name, ())
            }
        )
    }
    gateway = written.get("gateway", {})
    sections["gateway"] = {key: gateway[key] for key in ("policy", "retries") if key in gateway}
    files = set(files_of(service.injection))
    if service.engine.calibration:
        files.add(service.engine.calibration)
    if service.model.is_local:
        files.add(service.model.id)
    return _digest(_with_contents(sections, {file: digest(file) for file in sorted(files)}))


def inventory_digest(inventory: Inventory) -> str:
    """Return the digest of what there is to run on; prices count where they are the user's own."""
    pools: list[list[Any]] = []
    for pool in inventory.pools:
        price = pool.gpu.price
        own = price.usd_per_h if price is not None and price.seen is None else None
        # Memory moves by a thousandth with the driver.
        pools.append([pool.gpu.name, round(pool.gpu.memory_bytes / 2**30), pool.per_host, pool.hosts, own])
    return _digest(sorted(pools, key=json.dumps))


def _with_contents(value: Any, contents: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_contents(item, contents) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_contents(item, contents) for item in value]
    return contents.get(value, value) if isinstance(value, str) else value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"v1:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
