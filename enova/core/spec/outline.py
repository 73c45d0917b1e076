"""Which keys a spec or another file has, and where: for saying `did you mean`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from enova.core.spec.service import Service

Models = tuple[type[BaseModel], ...]


@cache
def keys_at(loc: tuple[str | int, ...], root: type[BaseModel] = Service) -> tuple[str, ...]:
    """Return the keys a mapping at this place may have; none if it is free-form."""
    models: Models = (root,)
    for part in loc:
        if isinstance(part, int):
            continue
        chosen = tuple(model for model in models if _has_tag(model, part))
        models = chosen or tuple(
            found
            for model in models
            for name, field in model.model_fields.items()
            if part in (name, field.alias)
            for found in _models_in(field.annotation)
        )
    return tuple(field.alias or name for model in models for name, field in model.model_fields.items())


def places_of(key: str, root: type[BaseModel] = Service) -> tuple[str, ...]:
    """Return the full paths of all keys of this name, shortest first."""
    return _places(root).get(key, ())


@cache
def _places(root: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for path in _paths(root, ""):
        found.setdefault(path.rpartition(".")[2], []).append(path)
    return {name: tuple(sorted(dict.fromkeys(paths), key=len)) for name, paths in found.items()}


def _paths(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models_in(field.annotation):
            yield from _paths(inner, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Models:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for argument in get_args(annotation) for model in _models_in(argument))


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    fields = (model.model_fields.get(name) for name in ("process", "distribution"))
    return any(field is not None and tag in get_args(field.annotation) for field in fields)
