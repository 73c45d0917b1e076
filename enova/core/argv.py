"""From arguments under their own names to words on a command line."""

from __future__ import annotations

from collections.abc import Mapping

from enova.core.launch import ArgValue


def words(args: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """Return vLLM's form, sorted by name: `max_num_seqs: 8` is `--max-num-seqs 8`, False is `--no-flag`."""
    return tuple(word for name in sorted(args) for word in _words(name, args[name], negated=True))


def router_words(args: Mapping[str, ArgValue]) -> tuple[str, ...]:
    """Return vllm-router's form, which has no negated flags: False leaves the flag out."""
    return tuple(word for name in sorted(args) for word in _words(name, args[name], negated=False))


def _words(name: str, value: ArgValue, *, negated: bool) -> tuple[str, ...]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, tuple):
        return (flag, *value) if value else ()
    if value is True:
        return (flag,)
    if value is False:
        return ("--no-" + flag.removeprefix("--"),) if negated else ()
    # One word where the value could be taken for a flag of its own.
    return (f"{flag}={value}",) if str(value).startswith("-") else (flag, str(value))
