"""Values that are written with their unit: durations, rates, sizes, money, percentages.

Each is a plain number in one base unit (seconds, requests per second, bytes, USD per hour, percent) whose `str()`
is the form a user would write, and `parse(str(value)) == value`. A number without a unit is an error.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from enova.core.spec.fault import Fault

_NUMBER = r"[0-9]{1,16}(?:\.[0-9]{1,9})?"
_ECHO_CHARS = 40


class Written:
    """Mixin for numbers written with a unit: text in, number inside, text out."""

    NOUN: ClassVar[str]
    PATTERN: ClassVar[str]
    EXAMPLES: ClassVar[tuple[str, ...]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form, or raise a Fault that shows how to write it."""
        raise NotImplementedError

    @classmethod
    def check(cls, value: object) -> Self:
        """Return the value as this type; text is parsed, a bare number is refused."""
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise Fault(f"must be {cls.NOUN}", hint=f"write it like {cls.EXAMPLES[0]}")
        if not isinstance(value, str):
            raise Fault(f"needs a unit: {cls.NOUN}", hint=f"write {cls._with_units(value)}")
        return cls.parse(value)

    @classmethod
    def _with_units(cls, value: float) -> str:
        written = (re.sub(_NUMBER, f"{value:g}", example, count=1) for example in cls.EXAMPLES[:2])
        return " or ".join(dict.fromkeys(written))

    @classmethod
    def _match(cls, text: str) -> re.Match[str]:
        found = re.fullmatch(cls.PATTERN, text)
        if found is None:
            shown = text if len(text) <= _ECHO_CHARS else text[:_ECHO_CHARS] + "…"
            raise Fault(f"{shown!r} is not {cls.NOUN}", hint=f"write it like {' or '.join(cls.EXAMPLES)}")
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.check, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": cls.PATTERN}


class Duration(Written, float):
    """A length of time in seconds, of at most a year."""

    NOUN = "a duration"
    PATTERN = "^(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m", "s", "ms")) + "$"
    EXAMPLES = ("500ms", "20s", "1h30m")
    _UNITS_US: ClassVar = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `500ms`, `20s`, `10m`, `1h30m`, `2d`."""
        cls._match(text)
        parts = re.findall(rf"({_NUMBER})(ms|[dhms])", text)
        total_us = sum(Decimal(number) * cls._UNITS_US[unit] for number, unit in parts)
        if total_us > 365 * cls._UNITS_US["d"]:
            raise Fault("must be at most 365d")
        return cls(float(round(total_us)) / 1e6)

    def __str__(self) -> str:
        rest = round(self * 1e6)
        if 0 < rest < 1_000_000:
            return f"{Decimal(rest) / 1000:f}ms"
        parts = []
        for unit in ("d", "h", "m"):
            count, rest = divmod(rest, self._UNITS_US[unit])
            parts += [f"{count}{unit}"] if count else []
        if rest or not parts:
            parts.append(f"{Decimal(rest) / 1_000_000:f}s")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"


class Rate(Written, float):
    """Requests per second, at most a million."""

    NOUN = "a rate"
    PATTERN = rf"^{_NUMBER}/(?:s|min|h|d)$"
    EXAMPLES = ("20/s", "90/min", "1000/h")
    _UNITS_S: ClassVar = {"s": 1, "min": 60, "h": 3600, "d": 86_400}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `20/s`, `90/min`, `1000/h`, `5/d`."""
        number, unit = cls._match(text)[0].split("/")
        per_second = float(number) / cls._UNITS_S[unit]
        if per_second > 1e6:
            raise Fault("must be at most 1000000/s")
        return cls(per_second)

    def __str__(self) -> str:
        for unit, seconds in self._UNITS_S.items():
            number = f"{Decimal(f'{self * seconds:.6f}').normalize():f}"
            if float(number) / seconds == self:
                return f"{number}/{unit}"
        return f"{Decimal(f'{self:.9f}'):f}/s"

    def __repr__(self) -> str:
        return f"Rate({str(self)!r})"


class ByteSize(Written, int):
    """A size in bytes, at most 1 PiB."""

    NOUN = "a size"
    PATTERN = rf"^{_NUMBER}(?:[KMGT]i?)?B$"
    EXAMPLES = ("16GiB", "512MiB", "2GB")
    _UNITS: ClassVar = {
        "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10,
        "TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1,
    }  # fmt: skip

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `16GiB`, `512MiB`, `2GB`, `65536B`."""
        cls._match(text)
        number = text.rstrip("KMGTiB")
        size = Decimal(number) * cls._UNITS[text[len(number) :]]
        if size > 2**50:
            raise Fault("must be at most 1024TiB")
        if size != int(size):
            raise Fault(f"{text!r} is not a whole number of bytes")
        return cls(int(size))

    def __str__(self) -> str:
        exact = [f"{int(self) // size}{unit}" for unit, size in self._UNITS.items() if int(self) % size == 0]
        return min(exact, key=len) if self else "0B"

    def __repr__(self) -> str:
        return f"ByteSize({str(self)!r})"


class Money(Written, float):
    """US dollars per hour, at most a million."""

    NOUN = "an amount of money per hour"
    PATTERN = rf"^{_NUMBER} USD/h$"
    EXAMPLES = ("12 USD/h", "0.85 USD/h")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `12 USD/h`."""
        amount = float(cls._match(text)[0].removesuffix(" USD/h"))
        if amount > 1e6:
            raise Fault("must be at most 1000000 USD/h")
        return cls(amount)

    def __str__(self) -> str:
        return f"{Decimal(f'{self:.9f}').normalize():f} USD/h"

    def __repr__(self) -> str:
        return f"Money({str(self)!r})"


class Percent(Written, float):
    """A percentage from 0 to 100; 99.9% is the number 99.9."""

    NOUN = "a percentage"
    PATTERN = rf"^{_NUMBER}%$"
    EXAMPLES = ("99.9%", "95%")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `99.9%`."""
        number = float(cls._match(text)[0].removesuffix("%"))
        if number > 100:
            raise Fault("must be at most 100%")
        return cls(number)

    @property
    def fraction(self) -> float:
        """Return it as a share of one."""
        return self / 100

    def __str__(self) -> str:
        return f"{Decimal(f'{self:.9f}').normalize():f}%"

    def __repr__(self) -> str:
        return f"Percent({str(self)!r})"
