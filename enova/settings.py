"""Where this installation of Enova keeps things. Precedence: flag > ENOVA_* environment variable > default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Process settings; what services should look like never comes from here."""

    state_dir: Path
    """Local processes, their logs, locks and the history (ENOVA_STATE_DIR; default $XDG_STATE_HOME/enova)."""
    prices: Path | None = None
    """What GPUs cost here (ENOVA_PRICES; default $XDG_CONFIG_HOME/enova/prices.yaml, where there is one)."""
    inventory: Path | None = None
    """What there is to run on (ENOVA_INVENTORY; default $XDG_CONFIG_HOME/enova/inventory.yaml, likewise)."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings the environment asks for."""
    state_home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    config_home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    config = Path(config_home) / "enova"
    return Settings(
        state_dir=Path(environment.get("ENOVA_STATE_DIR") or Path(state_home) / "enova").expanduser().absolute(),
        prices=_file(environment.get("ENOVA_PRICES"), config / "prices.yaml"),
        inventory=_file(environment.get("ENOVA_INVENTORY"), config / "inventory.yaml"),
    )


def _file(asked: str | None, default: Path) -> Path | None:
    if asked:
        return Path(asked).expanduser()
    return default if default.is_file() else None
