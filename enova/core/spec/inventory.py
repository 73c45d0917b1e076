"""A declared inventory: hosts one has, and kinds of hosts one might rent, with their GPUs and prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, Strict, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema

from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import Section, Text, Word, key, without_notes
from enova.core.spec.units import ByteSize, Money
from enova.errors import CannotModel

FindGpu = Callable[[str], str]
"""From any name of a GPU to that of its card. Given as `context={"find_gpu": ...}` when a file is validated."""


class _KnownGpu:
    """A GPU by any of its names; where there are cards to look in, it becomes the name of the card."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(_card_name, handler(source))


def _card_name(name: str, info: ValidationInfo) -> str:
    find: FindGpu | None = (info.context or {}).get("find_gpu")
    try:
        return find(name) if find else name
    except CannotModel as error:
        raise Fault(error.message, hint=error.hint) from None


def _check_memory(size: ByteSize) -> ByteSize:
    if size <= 0:
        raise Fault("must be more than 0B")
    return size


class _NotEmpty:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_check_memory, handler(source))


GpuName = Annotated[Text, _KnownGpu()]
Memory = Annotated[ByteSize, _NotEmpty()]
Count = Annotated[int, Field(ge=1, le=1024)]

_GPU = "GPU by any of its names; see `enova gpus`."
_PRICE = "What one of its GPUs costs for an hour; unset, what ENOVA_PRICES or Enova's facts say."
_MEMORY = "Memory of one GPU as CUDA reports it; unset, what Enova's facts say."


class Host(Section):
    """A machine one has. One with GPUs of several kinds is written once for each kind."""

    name: Word = key("What the host is called.", "gpu-1", ...)
    gpu: GpuName = key(_GPU, "H100", ...)
    count: Count = key("How many of these GPUs it has.", 8, ...)
    price: Money | None = key(_PRICE, "2.10 USD/h")
    memory: Memory | None = key(_MEMORY, "80GiB")


class Rentable(Section):
    """A kind of host one might rent."""

    gpu: GpuName = key(_GPU, "h200-sxm", ...)
    price: Money | None = key(_PRICE, "3.59 USD/h")
    per_host: Count | None = key("GPUs of one host; unset, as many as servers with this GPU usually have.", 8)
    hosts: Annotated[int, Field(ge=1, le=100_000)] | None = key(
        "Most hosts one would rent; unset, as many as wanted.", 4
    )
    memory: Memory | None = key(_MEMORY, "141GB")


class DeclaredInventory(Section):
    """What there is to run on, as its owner says: hosts one has, and kinds one might rent."""

    hosts: Annotated[tuple[Host, ...], Strict(strict=False)] = key(
        "Machines one has.",
        [{"name": "gpu-1", "gpu": "H100", "count": 8, "price": "2.10 USD/h"}],
        (),
        min_length=1,
        max_length=10_000,
    )
    rentable: Annotated[tuple[Rentable, ...], Strict(strict=False)] = key(
        "Kinds of hosts one might rent.",
        [{"gpu": "h200-sxm", "price": "3.59 USD/h", "per_host": 8, "hosts": 4}],
        (),
        min_length=1,
        max_length=1000,
    )

    _ignore_notes = model_validator(mode="before")(without_notes)

    @model_validator(mode="after")
    def _says_something_once(self) -> DeclaredInventory:
        if not self.hosts and not self.rentable:
            raise Fault("must name hosts or rentable kinds", hint="see docs/inventory.md")
        first: dict[tuple[str, str], int] = {}
        raise_all(
            [
                Fault(f"{host.name} with {host.gpu} is written twice", hint="add up the counts", path=("hosts", i))
                for i, host in enumerate(self.hosts)
                if first.setdefault((host.name, host.gpu), i) != i
            ]
        )
        return self
