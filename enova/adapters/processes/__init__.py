"""Local processes as a runtime, for machines without Docker and for the demo.

Belongs here: what a Launch and an Instance look like as a folder and a process, and how one is started so that it
is found again whatever happens to its starter. Must not be here: when to start, replace or stop one.
"""

from enova.adapters.processes.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
