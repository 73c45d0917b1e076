"""Recorded traffic and datasets, from files of many forms to columns.

Nothing here knows what becomes of them; lengths that nobody counted are estimated, and said to be.
"""

from enova.adapters.traces.rates import is_of_rates, read_rates
from enova.adapters.traces.read import read_recording

__all__ = ["is_of_rates", "read_rates", "read_recording"]
