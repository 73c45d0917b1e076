"""What to serve: the model, where it comes from, and its LoRA adapters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Strict, model_validator

from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import FilePath, HubOrFolder, Secret, Section, Url, Word, is_folder, key


class Lora(Section):
    """One LoRA adapter served beside the base model."""

    name: Word = key("Name that requests ask for in `model`.", "sql", ...)
    id: HubOrFolder = key("Hub id (org/name) or local folder of the adapter.", "acme/qwen-sql-lora", ...)

    @property
    def is_local(self) -> bool:
        """Tell whether the adapter is a folder of this host."""
        return is_folder(self.id)


class Model(Section):
    """The model. A string is short for `id` alone."""

    id: HubOrFolder = key(
        "Hub id (org/name), or a local folder, which starts with /, ./, ../ or ~/.",
        "Qwen/Qwen2.5-7B-Instruct",
        ...,
    )
    revision: Word | None = key(
        "Branch, tag or, best, the commit to pin on the hub; unset is the newest.",
        "a09a35458c702b33eeacc393d103063234e8bc28",
    )
    served_names: Annotated[tuple[Word, ...], Strict(strict=False)] = key(
        "Names that requests may use in `model`; unset is the id, of a folder its last part.",
        ["qwen", "chat"],
        (),
        min_length=1,
        max_length=32,
    )
    trust_remote_code: bool = key(
        "Run Python code that comes with the model. Only with a pinned revision you have read.", False, False
    )
    lora: Annotated[tuple[Lora, ...], Strict(strict=False)] = key(
        "LoRA adapters loaded at start.", [{"name": "sql", "id": "acme/qwen-sql-lora"}], (), max_length=256
    )
    endpoint: Url | None = key("Hub endpoint or mirror to download from.", "https://hf-mirror.example.com")
    proxy: Url | None = key("HTTP proxy for downloads.", "http://proxy.example.com:3128")
    token: Secret | None = key("Where the hub token is found; never the token itself.", {"env": "HF_TOKEN"})
    cache_dir: FilePath | None = key("Folder of this host that keeps downloaded models.", "~/.cache/huggingface")

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"id": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fit_together(self) -> Model:
        faults = []
        if self.is_local and self.revision:
            faults.append(Fault("a local folder has no revision", hint="remove it", path=("revision",)))
        taken = set(self.served_names or (self.id,))
        for index, adapter in enumerate(self.lora):
            if adapter.name in taken:
                faults.append(
                    Fault("is already the name of another model of this service", path=("lora", index, "name"))
                )
            taken.add(adapter.name)
        if len(set(self.served_names)) < len(self.served_names):
            faults.append(Fault("must not repeat a name", path=("served_names",)))
        raise_all(faults)
        return self

    @property
    def is_local(self) -> bool:
        """Tell whether the model is a folder of this host."""
        return is_folder(self.id)
