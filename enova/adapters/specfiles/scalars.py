"""What a YAML 1.2 scalar means (the core schema): null, true, a number, or text."""

from __future__ import annotations

import re
from typing import Final

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_FIRST_OF_OTHERS = frozenset("~0123456789+-.<tTfFnN")
_MAX_DIGITS = 40
TAG_REFUSED: Final = "tags are not supported: text that begins with ! needs quotes"

MERGE: Final = type("Merge", (), {"__repr__": lambda _self: "<<"})()
"""The plain key `<<`."""

Scalar = str | int | float | bool | None | object


def scalar(text: str, *, is_plain: bool, tag: str | None) -> tuple[Scalar, str | None]:
    """Return the value, and what is wrong with how it is written, if anything."""
    if tag in ("!", "tag:yaml.org,2002:str"):
        return text, None
    if tag is not None:
        return text, TAG_REFUSED
    if not is_plain or (text and text[0] not in _FIRST_OF_OTHERS):
        return text, None
    return _plain(text)


def _plain(text: str) -> tuple[Scalar, str | None]:
    if text in _NULLS:
        return None, None
    if text in _BOOLEANS:
        return _BOOLEANS[text], None
    if text == "<<":
        return MERGE, None
    is_integer = _INTEGER.fullmatch(text)
    if not is_integer and not _FLOAT.fullmatch(text):
        return text, None
    if len(text) > _MAX_DIGITS:
        return 0, "is too long for a number"
    if not is_integer:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan")), None
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base), None
