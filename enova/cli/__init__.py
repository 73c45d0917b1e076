"""The command line: parse, call, print, exit code.

Belongs here: one file per command, and what they share of asking and telling. Data goes to stdout, the rest to
stderr. Must not be here: decisions about services, and how a value is worded (enova.render). `enova --help` has to
stay instant, so commands import what they need inside their function.
"""
