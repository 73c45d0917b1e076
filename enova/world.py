"""Everything outside that one tick touches, in one value, so that tests can put another world in its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enova.core.launch import SecretRef
from enova.core.ledger.window import Look
from enova.core.observed import Gpu, Unknown
from enova.core.runtime import Engine, Gateway, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The runtimes by name, the gateway and engine protocols, the GPUs and the secrets of this host."""

    runtimes: Mapping[str, Runtime]
    gateway: Gateway
    engine: Engine
    metrics: Callable[[str, Callable[[], float]], Look]
    """What the metrics of the replica at a URL say, by a clock. Raises ObserveError."""
    gpus: Callable[[], tuple[Gpu, ...] | Unknown]
    read_secret: Callable[[SecretRef], str]
    """Raises ApplyError where the value cannot be had."""
    now: Callable[[], float] = time.monotonic
    """A clock for bounding waits, seconds."""
    pause: Callable[[float], None] = time.sleep
    """Let that many seconds pass on that clock."""
