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
        """Return a whole number; without a default the key must be there, under one of these names."""
        name, value = self._find(names)
        if isinstance(value, list) and value and all(entry == value[0] for entry in value):
            value = value[0]
        if value is None and default is not None:
            return default
        if value is None:
            self._missing.append(names[0])
            return 1
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most or value % 1:
            self._wrong.append(f"{name}: {value!r}")
            return 1
        return int(value)

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

    def words(self, name: str, count: int) -> Sequence[str] | None:
        """Return a list with one word for each layer, or None where there is none."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) < count:
            self._wrong.append(f"{name}: not {count} entries")
            return None
        return [str(word) for word in value[:count]]

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
