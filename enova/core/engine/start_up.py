"""How long an engine takes from its start until it serves: a rough figure, for plans to say how long a change takes.

Measured of vLLM on two H100 with Qwen3-32B, by llm-d's autoscaler guides: 65 s until the engine initialises, 11 s for
33 GB of weights to each GPU, 33 s to compile, 8 s to capture graphs. Images and weights that are still to be downloaded
come on top, and are not known.
"""

from __future__ import annotations

from enova.core.engine.setup import EngineSetup
from enova.core.engine.weights import loaded_bytes

INIT_S = 65.0
BYTES_PER_S = 3e9
COMPILE_S = 33.0
GRAPHS_S = 8.0
CPU_INIT_S = 17.0
"""Of the CPU build without compilation, with a tiny model: 16 to 18 s on 2 cores."""
EMULATED_S = 2.0


def start_up_s(setup: EngineSetup) -> float:
    """Return seconds from the start of a container to readiness, with image and weights on the host."""
    weights_s = max(loaded_bytes(setup)) / BYTES_PER_S
    if setup.gpu.vendor == "cpu":
        return CPU_INIT_S + weights_s + (0.0 if setup.enforce_eager else COMPILE_S)
    return INIT_S + weights_s + (0.0 if setup.enforce_eager else COMPILE_S + GRAPHS_S)
