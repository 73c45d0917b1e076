"""What a GPU can do according to its maker, and what it costs. How close one gets is in efficiency curves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from enova.core.engine.numbers import Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one GPU costs for an hour, on demand."""

    usd_per_h: float
    source: str
    seen: date | None
    """When the source said so; None: set by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCard:
    """One kind of GPU. Rates are per GPU; link bandwidth is in one direction."""

    name: str
    """Short and lower case, with what tells variants apart: h100-sxm, a100-sxm-80gb."""
    aliases: tuple[str, ...] = ()
    """Other names, among them what NVML reports."""
    vendor: str
    """nvidia, amd, cpu."""
    compute_capability: tuple[int, int] | None
    """None where there is no such thing."""
    memory_bytes: int
    """As the device reports it, which is less than what is printed on the box."""
    memory_bytes_per_s: float
    flops: dict[Numbers, float]
    """Dense FLOP/s by number format of the inputs; a format that is absent has no hardware for it."""
    link: str
    """nvlink4, pcie4, xgmi …"""
    link_bytes_per_s: float
    peer_to_peer: bool
    """Whether GPUs of a host reach each other's memory directly."""
    gpus_per_host: int
    efficiency: str
    """Which measured efficiency curves hold for it; those of its nearest kin where it was not measured itself."""
    flops_over_kin: float = 1.0
    """What to multiply its FLOP/s with before curves of its kin apply: GeForce cards multiply at half rate with
    wide accumulation, by design and not by power, and so come closer to their figure than the curves' own GPU."""
    memory_over_kin: float = 1.0
    """The same for its memory's bandwidth: GeForce cards have no ECC, which takes a part of what GDDR6 reads."""
    price: Price | None
    source: str

    @property
    def read_bytes_per_s(self) -> float:
        """Return the bandwidth of its memory, as curves take it."""
        return self.memory_bytes_per_s * self.memory_over_kin

    def flops_for(self, numbers: Numbers) -> float:
        """Return FLOP/s for inputs of a format, or of the widest format it is converted to where it has none."""
        for candidate in (numbers, *_FALLBACKS):
            if candidate in self.flops:
                return self.flops[candidate]
        return max(self.flops.values())


_FALLBACKS = (Numbers.BF16, Numbers.FP16, Numbers.FP32)
