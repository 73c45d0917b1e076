"""The kinds of text a spec is made of, each with its rule, its words for a mistake, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from enova.core.launch import SecretRef
from enova.core.spec.fault import Fault
from enova.core.spec.units import Duration

Resolve = Callable[[str], str]
"""Turns a path as written into an absolute one. Given as `context={"resolve": ...}` when a file is validated."""

_FOLDER_STARTS = ("/", "./", "../", "~/")


class Section(BaseModel):
    """Base of every part of a spec: frozen, unknown keys refused, no guessing between types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


def key(description: str, example: Any, default: Any = None, **rules: Any) -> Any:
    """Describe one key of a section. Every key has words and an example: editors show them."""
    return Field(default, description=description, examples=[example], **rules)


def section(description: str, make: Callable[[], Any], example: Any) -> Any:
    """Describe a key that holds a section of its own; left out, it is an empty one."""
    return Field(default_factory=make, description=description, examples=[example])


def without_notes(value: Any) -> Any:
    """Leave out `x-...` keys at the top of a file: the place for anchors and for other programs' notes."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if not str(name).startswith("x-")}


@dataclass(frozen=True)
class Matching:
    """Text of one form. `words` completes "must be ..."."""

    pattern: str
    words: str
    hint: str | None = None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern}

    def check(self, text: str) -> str:
        """Return the text if it has the form."""
        if re.fullmatch(self.pattern, text) is None:
            raise Fault(f"must be {self.words}", hint=self.hint)
        return text


@dataclass(frozen=True)
class Path(Matching):
    """Text of one form that is a path (`always`) or may be one; a path is made absolute where a file is loaded."""

    always: bool = False

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self.resolve, core_schema.str_schema())

    def resolve(self, text: str, info: ValidationInfo) -> str:
        """Return the text, or the absolute path if it is one."""
        self.check(text)
        return resolved(text, info) if self.always or is_folder(text) else text


def is_folder(text: str) -> bool:
    """Tell a local folder from a hub id: it starts with /, ./, ../ or ~/."""
    return text.startswith(_FOLDER_STARTS)


def resolved(path: str, info: ValidationInfo) -> str:
    """Return a path made absolute by whoever loads the file; as written if nobody does."""
    resolve: Resolve | None = (info.context or {}).get("resolve")
    return resolve(path) if resolve else path


_LABEL_KEY = r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$"
_ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"

Text = Annotated[str, Matching(_NO_CONTROL, "text in one line that is not empty")]
Word = Annotated[str, Matching(r"^[^\s\x00-\x1f\x7f]+$", "text without spaces that is not empty")]
Name = Annotated[
    str,
    Matching(
        r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$",
        "1 to 40 lower-case letters, digits and dashes, with no dash at an end",
        "for example qwen-chat",
    ),
]
LabelKey = Annotated[str, Matching(_LABEL_KEY, "1 to 63 letters, digits, and . _ / - inside")]
LabelValue = Annotated[str, Matching(r"^[^\x00-\x1f\x7f]{0,253}$", "at most 253 characters in one line")]
EnvName = Annotated[
    str, Matching(_ENV_NAME, "the name of an environment variable: letters, digits and _, no digit first")
]
FilePath = Annotated[str, Path(_NO_CONTROL, "a path", always=True)]
HubOrFolder = Annotated[
    str,
    Path(
        r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}|(?:/|\./|\.\./|~/)[^\x00-\x1f\x7f]*)$",
        "a hub id such as Qwen/Qwen2.5-7B-Instruct, or a folder",
        "write org/name for the hub; a local folder starts with /, ./, ../ or ~/",
    ),
]
NameOrPath = Annotated[str, Path(r"^[^\x00]+$", "text that is not empty")]
"""An engine argument that takes a name, a text or a path; a path starts with /, ./, ../ or ~/."""
Url = Annotated[
    str,
    Matching(
        r"^https?://[^\s/@?#\x00-\x1f\x7f]+(?:/[^\s@\x00-\x1f\x7f]*)?$",
        "an http:// or https:// address without a user name or password",
        "credentials do not belong in a spec; pass them as engine.secrets",
    ),
]


def _check_positive(value: Duration) -> Duration:
    if value <= 0:
        raise Fault("must be longer than 0s")
    return value


class _Positive:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_check_positive, handler(source))


PositiveDuration = Annotated[Duration, _Positive()]


class _SecretRefSchema:
    """A secret by reference. Nothing that was written here is ever repeated: it may be the secret itself."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _secret_ref, serialization=core_schema.plain_serializer_function_ser_schema(_written, when_used="json")
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        env = {
            "type": "string",
            "pattern": _ENV_NAME,
            "description": "Environment variable that holds the secret where Enova runs.",
            "examples": ["HF_TOKEN"],
        }
        file = {
            "type": "string",
            "pattern": _NO_CONTROL,
            "description": "File that holds the secret where Enova runs; relative to the spec's folder.",
            "examples": ["~/.cache/huggingface/token"],
        }
        return {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {"env": env, "file": file},
        }


Secret = Annotated[SecretRef, _SecretRefSchema()]

_REF_HINT = "write {env: NAME} or {file: PATH}"


def _secret_ref(value: object, info: ValidationInfo) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    if not isinstance(value, Mapping):
        raise Fault(
            "must name where the secret is, not be the secret: what is written here ends up in git and in logs",
            hint=_REF_HINT,
        )
    if len(value) != 1 or not value.keys() <= {"env", "file"}:
        raise Fault("must have exactly one key, env or file", hint=_REF_HINT)
    ((kind, text),) = value.items()
    if kind == "env":
        if not isinstance(text, str) or re.fullmatch(_ENV_NAME, text) is None:
            raise Fault("env must be the name of an environment variable", hint="the name, not the value")
        return SecretRef(env=text)
    if not isinstance(text, str) or re.fullmatch(_NO_CONTROL, text) is None:
        raise Fault("file must be a path")
    return SecretRef(file=resolved(text, info))


def _written(ref: SecretRef) -> dict[str, str]:
    return {"env": ref.env} if ref.env else {"file": str(ref.file)}
