"""Bytes of a spec file to text, or one located problem: size, encoding, characters YAML does not allow."""

from __future__ import annotations

import codecs
import re

from enova.errors import Problem

MAX_BYTES = 1024 * 1024

_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Besides control characters: line ends that editors do not count (NEL, LS, PS), byte order marks, surrogates.
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def decode(raw: bytes, file: str) -> str | Problem:
    """Return the text of a file with plain line ends, or what is wrong with it."""
    if len(raw) > MAX_BYTES:
        return Problem(file, 1, 1, "", "is too large: more than 1 MiB", "split it into several files")
    for mark, name in _OTHER_ENCODINGS:
        if raw.startswith(mark):
            return Problem(file, 1, 1, "", f"is {name}, not UTF-8", "save it as UTF-8")
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(body[: error.start].decode("utf-8"))
        return Problem(file, line, column, "", f"is not UTF-8: byte 0x{body[error.start]:02x}", "save it as UTF-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    refused = _REFUSED.search(text)
    if refused is not None:
        line, column = _place(text[: refused.start()])
        message = f"character U+{ord(refused[0]):04X} is not allowed"
        hint = (
            "is this a text file?" if refused[0] == "\x00" else "remove it, or write it escaped in double quotes"
        )
        return Problem(file, line, column, "", message, hint)
    return text


def _place(before: str) -> tuple[int, int]:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1
