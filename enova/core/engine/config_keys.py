"""Keys of a `config.json`: under whichever name a family writes them, and all that is missing said at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enova.errors import CannotModel

LARGEST = 10**9
"""Beyond every size a model has; what is larger is a mistake, and must not be counted up to."""
LAYERS_MOST = 10_000
TEXT_SECTIONS = ("text_config", "llm_config", "language_config")
"""Where multimodal models keep the language model."""

Json = Mapping[str, Any]


class ConfigKeys:
    """Looks up keys in the language model's section, then at the top, then among a family's defaults.

    A key that is missing or of the wrong kind is remembered, and a harmless value returned, so that `check` can
    name them all.
    """

    def __init__(self, config: Json, *, name: str, defaults: Json) -> None:
        text: Json = next((config[key] for key in TEXT_SECTIONS if isinstance(config.get(key), Mapping)), {})
        self.name = name
        self.top = config
        self._places = (text, config, defaults)
        self._missing: list[str] = []
        self._wrong: list[str] = []

    def get(self, *names: str) -> Any:
        """Return the first of these keys that is there and not null, or None."""
        return self._find(names)[1]

    def number(self, *names: str, default: int | None = None, most: int = LARGEST) -> int:
        """Return a whole number; without a default it must be there under one of these names, and be positive."""
        name, value = self._find(names)
        if isinstance(value, list) and value and all(entry == value[0] for entry in value):
            value = value[0]
        if value is None and default is not None:
            return default
        return self._checked(name, value, least=1 if default is None else 0, most=most)

    def number_in(self, section: str, name: str) -> int:
        """Return a positive whole number that must be in a section."""
        return self._checked(f"{section}.{name}", self.get(section).get(name), least=1, most=LARGEST)

    def _checked(self, name: str, value: Any, *, least: int, most: int) -> int:
        if value is None:
            self._missing.append(name)
        elif (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value % 1
            or not least <= value <= most
        ):
            self._wrong.append(f"{name}: {value!r}")
        else:
            return int(value)
        return 1

    def flag(self, *names: str, default: bool) -> bool:
        """Return true or false."""
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._wrong.append(f"{name}: {value!r}")
            return default
        return value

    def _find(self, names: Sequence[str]) -> tuple[str, Any]:
        for place in self._places:
            for name in names:
                value = place.get(name)
                if value is not None:
                    return name, value
        return names[0], None

    def entries(self, count: int, *names: str) -> list[Any] | None:
        """Return a list with one entry for each layer, or None where there is no list."""
        name, value = self._find(names)
        if not isinstance(value, list):
            return None
        if len(value) < count:
            self._wrong.append(f"{name}: {len(value)} entries, not {count}")
            return None
        return value[:count]

    def require(self, found: bool, key: str) -> None:
        """Note that a key is missing unless something in its place was found."""
        if not found:
            self._missing.append(key)

    def check(self) -> None:
        """Raise what was found missing or wrong.

        Raises:
            CannotModel: with every key concerned.
        """
        wrong = [f"has {entry}" for entry in dict.fromkeys(self._wrong)]
        missing = [f"lacks {', '.join(dict.fromkeys(self._missing))}"] if self._missing else []
        if missing or wrong:
            raise CannotModel(
                f"cannot model {self.name} because its config.json {'; '.join(missing + wrong)}",
                hint="is it the config.json of a language model, as published with its weights?",
            )
