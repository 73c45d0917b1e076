"""From a model, promises, a budget, traffic and an inventory to the cheapest way to keep the promises, or to why not.

Belongs here: what is chosen and why. Does not: where facts come from, how choices are kept (enova.core.lockfile).
SLO and budget are constraints, dollars are the objective; bounds prune, the simulator decides.
"""
