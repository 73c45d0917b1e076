"""The Hugging Face hub and its cache on this machine, through huggingface-hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enova.adapters.models.folder import CONFIG, QUANTIZATION, read_config
from enova.adapters.models.stored import Stored, stored_by_type
from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_config import card_of

TIMEOUT_S = 5.0
"""Of each request; a plan must not wait for a hub that does not answer."""


class NotOnHub(Exception):
    """The hub has no such model for us; the message says why, and never holds a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Which hub is asked, by whom, and where what it says is kept."""

    token: str | None = None
    """None: the one the user logged in with, if any."""
    cache_dir: Path | None = None
    """None: as the environment says (HF_HOME)."""
    endpoint: str | None = None
    """None: as the environment says (HF_ENDPOINT), by default huggingface.co."""

    @property
    def cache(self) -> Path:
        """Return the folder of the cache."""
        from huggingface_hub.constants import HF_HUB_CACHE

        return self.cache_dir or Path(HF_HUB_CACHE)

    def cached_folder(self, model: str, revision: str | None) -> Path | None:
        """Return the folder in the cache that has a model's config.json, None where there is none."""
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(model, CONFIG, revision=revision, cache_dir=self.cache_dir)
        except HFValidationError:
            return None
        return Path(found).parent if isinstance(found, str) else None

    def card(self, model: str, revision: str | None) -> ModelCard:
        """Return the card of a model on the hub; its config.json is in the cache afterwards.

        Raises:
            NotOnHub: it is not there, is not ours to see, or the hub does not answer.
            CannotModel: its config.json is not understood.
        """
        from huggingface_hub.errors import (  # type: ignore[attr-defined]
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            HTTPError,
            OfflineModeIsEnabled,
        )

        try:
            # First what is asked for once only: downloads are tried again for half a minute.
            stored = self._stored(model, revision)
            config = read_config(self._download(model, CONFIG, revision).parent)
            if "quantization_config" not in config:
                config = self._with_quantization(model, revision, config)
        except HFValidationError as error:
            raise NotOnHub("that is no name of a model on the hub") from error
        except OfflineModeIsEnabled as error:
            raise NotOnHub("HF_HUB_OFFLINE forbids asking") from error
        except EntryNotFoundError as error:
            raise NotOnHub(_absence(error)) from error
        except HfHubHTTPError as error:
            raise NotOnHub(_refusal(error)) from error
        except (HTTPError, OSError) as error:
            # The HTTP library below differs between versions; one of the two is the base of its errors.
            raise NotOnHub(f"no answer ({type(error).__name__})") from error
        return card_of(
            config,
            name=model,
            parameters=stored.parameters if stored else None,
            weight_bytes=stored.weight_bytes if stored else None,
        )

    def _download(self, model: str, name: str, revision: str | None) -> Path:
        from huggingface_hub import hf_hub_download

        path = hf_hub_download(
            model,
            name,
            revision=revision,
            token=self.token,
            cache_dir=self.cache_dir,
            endpoint=self.endpoint,
            etag_timeout=TIMEOUT_S,
        )
        return Path(str(path))

    def _with_quantization(self, model: str, revision: str | None, config: dict[str, Any]) -> dict[str, Any]:
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return read_config(self._download(model, QUANTIZATION, revision).parent)
        except EntryNotFoundError:
            return config

    def _stored(self, model: str, revision: str | None) -> Stored | None:
        """What the hub counted; not every model has that."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self.token)
        found = api.model_info(model, revision=revision, timeout=TIMEOUT_S, expand=["safetensors"]).safetensors
        return stored_by_type(found.parameters) if found else None


def _absence(error: Exception) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError

    # The library calls it so when it could not ask at all.
    return "no answer" if isinstance(error, LocalEntryNotFoundError) else "it has no config.json"


def _refusal(error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return "access to it must be asked for on its page, and HF_TOKEN set"
    if isinstance(error, RepositoryNotFoundError):
        return "it is not there, or is private and HF_TOKEN is not set"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision"
    response = getattr(error, "response", None)
    return f"it answered with status {getattr(response, 'status_code', 'unknown')}"
