"""Pydantic's findings in plain words: what is wrong, at which key, and what to write in its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from enova.core.spec.fault import Fault, Faults
from enova.core.spec.outline import keys_at, places_of

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong in one document. `missing` and `unknown` tell where to point."""

    loc: Loc
    message: str
    hint: str | None = None
    missing: bool = False
    unknown: bool = False


def explain(error: ValidationError, root: type[BaseModel]) -> Iterator[Finding]:
    """Yield every finding of a failed validation of `root`, in the words of a person."""
    details = error.errors(include_url=False)
    for detail in details:
        # Pydantic counts only the entries that are right, and then misses some.
        is_count = detail["type"] in ("too_short", "too_long")
        if not (is_count and any(_is_below(other["loc"], detail["loc"]) for other in details)):
            yield from _explain(detail, root)


def _is_below(loc: Loc, owner: Loc) -> bool:
    return len(loc) > len(owner) and loc[: len(owner)] == owner


def _explain(detail: ErrorDetails, root: type[BaseModel]) -> Iterator[Finding]:
    loc = detail["loc"]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Faults):
        for fault in cause.faults:
            yield Finding((*loc, *fault.path), fault.message, fault.hint)
    elif isinstance(cause, Fault):
        yield Finding((*loc, *cause.path), cause.message, cause.hint)
    elif detail["type"] == "missing":
        yield Finding(loc, "is required", missing=True)
    elif detail["type"] == "union_tag_not_found":
        yield Finding((*loc, detail["ctx"]["discriminator"].strip("'")), "is required", missing=True)
    elif detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        message, hint = _choice({"expected": context["expected_tags"]}, context["tag"])
        yield Finding((*loc, context["discriminator"].strip("'")), message, hint)
    elif detail["type"] == "extra_forbidden":
        yield Finding(loc, "unknown key", _did_you_mean(loc, root), unknown=True)
    else:
        words = _WORDS.get(detail["type"], _unforeseen)
        message, hint = words(detail.get("ctx", {}), detail["input"])
        yield Finding(loc, message, hint)


def _did_you_mean(loc: Loc, root: type[BaseModel]) -> str | None:
    written = str(loc[-1])
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", written).lower().replace("-", "_").lstrip("_")
    known = keys_at(loc[:-1], root)
    near = difflib.get_close_matches(snake, known, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]}?"
    elsewhere = places_of(snake, root)
    if len(elsewhere) == 1:
        return f"did you mean {elsewhere[0]}?"
    if loc[:-1] == ("engine",):
        return "other vLLM arguments go into engine.extra_args"
    return f"known here: {', '.join(known)}" if 0 < len(known) <= 14 else None


def _unforeseen(_context: Mapping[str, Any], _value: object) -> tuple[str, str | None]:
    return "is not valid here", None


def _a(what: str) -> Callable[[Mapping[str, Any], object], tuple[str, str | None]]:
    def words(_context: Mapping[str, Any], value: object) -> tuple[str, str | None]:
        return f"must be {what}, not {_kind(value)}", _type_hint(what, value)

    return words


def _type_hint(what: str, value: object) -> str | None:
    if what == "text" and isinstance(value, (bool, int, float)):
        return "put it in quotes"
    if what == "true or false" and isinstance(value, str):
        return "write true or false, without quotes"
    if "number" in what and isinstance(value, str) and re.fullmatch(r"-?[0-9.]+", value):
        return "remove the quotes"
    if what == "a list" and isinstance(value, (str, int, float)):
        return "write it as [a, b]"
    return None


def _kind(value: object) -> str:
    kinds: Mapping[type, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
    }
    return "empty" if value is None else kinds.get(type(value), "a mapping")


def _choice(context: Mapping[str, Any], value: object) -> tuple[str, str | None]:
    choices = [choice.strip(" '") for choice in re.split(r",| or (?=['0-9])", str(context["expected"]))]
    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.6)
    listed = ", ".join(choices)
    if len(choices) == 1:
        return f"must be {listed}", None
    return f"must be one of {listed}", f"did you mean {near[0]}?" if near else None


def _limit(words: str, name: str) -> Callable[[Mapping[str, Any], object], tuple[str, str | None]]:
    return lambda context, _value: (f"must be {words} {_number(context[name])}", None)


def _number(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _length(words: str, name: str) -> Callable[[Mapping[str, Any], object], tuple[str, str | None]]:
    def say(context: Mapping[str, Any], _value: object) -> tuple[str, str | None]:
        count = context[name]
        return f"must have {words} {count} {'entry' if count == 1 else 'entries'}", None

    return say


_WHOLE = _a("a whole number")
_MAPPING = _a("a mapping")

_WORDS: Mapping[str, Callable[[Mapping[str, Any], object], tuple[str, str | None]]] = {
    "bool_type": _a("true or false"),
    "dict_type": _MAPPING,
    "finite_number": lambda _context, _value: ("must be a finite number", None),
    "float_type": _a("a number"),
    "greater_than": _limit("more than", "gt"),
    "greater_than_equal": _limit("at least", "ge"),
    "int_from_float": _WHOLE,
    "int_type": _WHOLE,
    "invalid_key": lambda _context, _value: ("keys must be text", "put the key in quotes"),
    "less_than": _limit("less than", "lt"),
    "less_than_equal": _limit("at most", "le"),
    "literal_error": _choice,
    "model_attributes_type": _MAPPING,
    "model_type": _MAPPING,
    "string_type": _a("text"),
    "string_unicode": lambda _context, _value: ("must be text of valid Unicode characters", None),
    "too_long": _length("at most", "max_length"),
    "too_short": _length("at least", "min_length"),
    "tuple_type": _a("a list"),
}
