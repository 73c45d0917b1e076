"""The number formats weights and caches are kept in, and how many bytes one value takes."""

from __future__ import annotations

from enum import StrEnum


class Numbers(StrEnum):
    """How values are stored; scales that belong to a block of values are counted in `bytes_per_value`."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    """One scale a tensor or channel."""
    FP8_BLOCK = "fp8_block"
    """One fp32 scale for each block of 128 x 128."""
    INT8 = "int8"
    INT4 = "int4"
    """Weight only, one 16-bit scale for each group of 128 unless told otherwise."""
    INT4_G32 = "int4_g32"
    """The same for groups of 32."""
    MXFP4 = "mxfp4"
    """One 8-bit scale for each 32 values."""
    NVFP4 = "nvfp4"
    """One 8-bit scale for each 16 values."""

    @property
    def bytes_per_value(self) -> float:
        """Return bytes a value takes, scales included."""
        return _BYTES[self]


_BYTES = {
    Numbers.FP32: 4.0,
    Numbers.BF16: 2.0,
    Numbers.FP16: 2.0,
    Numbers.FP8: 1.0,
    Numbers.FP8_BLOCK: 1.0 + 4 / (128 * 128),
    Numbers.INT8: 1.0,
    Numbers.INT4: 0.5 + 2 / 128,
    Numbers.INT4_G32: 0.5 + 2 / 32,
    Numbers.MXFP4: 0.5 + 1 / 32,
    Numbers.NVFP4: 0.5 + 1 / 16,
}
