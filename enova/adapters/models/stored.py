"""What safetensors files hold, from their headers alone.

A file begins with the length of its header as eight bytes, little-endian, then the header: JSON that gives type,
shape and place of every tensor (huggingface/safetensors, README).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
HEADER_BYTES_MAX = 100_000_000
"""What the format allows."""
PACKED = {"I32", "U8", "I64", "F4"}
"""Types in which quantised weights are packed, so that entries are not parameters."""
WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "F4": 0.5}
"""Bytes of an entry, where it is not one."""
PACKED_SHARE_MAX = 0.01
"""Tables of indices and the like are kept in these types too."""

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_TOWER = re.compile(r"vision|visual|audio")


@dataclass(frozen=True, slots=True)
class Stored:
    """Sizes of what is stored of a model."""

    parameters: int | None
    """None where weights are packed, so that they cannot be counted by their shape."""
    weight_bytes: int


def stored_in(folder: Path, *, layers: int | None) -> Stored | None:
    """Return what the files of a folder hold, None where one is missing or not safetensors.

    Layers behind the last one the config counts are draft layers; an engine does not load them, and they are left
    out.
    """
    try:
        return _sum([_header(file) for file in _files(folder)], layers)
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError):
        # Whatever else they are, they are not what they are called.
        return None


def stored_by_type(entries: Mapping[str, int]) -> Stored | None:
    """Return what a count of entries by type comes to, as the hub keeps it."""
    sizes = {kind: count * WIDTHS.get(kind, 1.0) for kind, count in entries.items()}
    packed = sum(size for kind, size in sizes.items() if kind in PACKED)
    return _stored(sum(entries.values()), round(sum(sizes.values())), packed)


def _files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [folder / name for name in sorted(names)]
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))


def _header(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > HEADER_BYTES_MAX:
            raise ValueError(f"{file} has no safetensors header")
        header = json.loads(stream.read(length))
    return dict(header)


def _sum(headers: list[Mapping[str, Any]], layers: int | None) -> Stored | None:
    parameters = weight_bytes = packed_bytes = 0
    for kind, shape, size in _tensors(headers, layers):
        parameters += math.prod(shape)
        weight_bytes += size
        packed_bytes += size if kind in PACKED else 0
    return _stored(parameters, weight_bytes, packed_bytes)


def _stored(parameters: int, weight_bytes: int, packed_bytes: float) -> Stored | None:
    if not weight_bytes:
        return None
    counted = packed_bytes <= PACKED_SHARE_MAX * weight_bytes
    return Stored(parameters if counted else None, weight_bytes)


def _tensors(headers: list[Mapping[str, Any]], layers: int | None) -> Iterator[tuple[str, list[int], int]]:
    for header in headers:
        for name, tensor in header.items():
            if name != "__metadata__" and not _is_draft(name, layers):
                start, end = tensor["data_offsets"]
                yield tensor["dtype"], tensor["shape"], end - start


def _is_draft(name: str, layers: int | None) -> bool:
    if name.startswith("mtp.") or ".mtp." in name:
        return True
    number = _LAYER.search(name)
    return bool(layers and number and int(number[1]) >= layers and not _TOWER.search(name))
