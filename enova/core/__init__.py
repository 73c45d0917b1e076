"""Decisions, as values in and values out.

Belongs here: what a spec means, what should run, what differs, what to do about it.
Must not be here: clocks, network, files, Docker, processes, global randomness. A function that needs the time
or a random number takes it as an argument.
"""
