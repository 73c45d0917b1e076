"""Docker containers as a runtime, through the Engine API.

Belongs here: what a Launch and an Instance look like as a container, and the calls between them.
Must not be here: when to make, replace or remove one. Only containers carrying our labels are ever touched.
"""

from enova.adapters.containers.runtime import DockerRuntime

__all__ = ["DockerRuntime"]
