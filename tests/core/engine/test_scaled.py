"""A scaled source of step times keeps what every source promises."""

from __future__ import annotations

import pytest

from enova.core.engine.scaled import Scaled
from enova.core.engine.step_time import Chunk, Origin
from tests.core.simulate.step_times import Affine

WINDOWED = Affine(
    base_s=5e-3, per_chunk_token_s=1e-5, per_decode_s=1e-4, per_kv_token_s=1e-7, per_window_token_s=3e-7,
    window_tokens=128, knot_tokens=1000.0, knot_share=0.5, origin=Origin.MEASURED_TABLE,
)  # fmt: skip


@pytest.mark.parametrize("decodes", [1, 7])
@pytest.mark.parametrize("kv_tokens", [10.0, 1500.0, 99_000.0])
def test_without_chunks_a_step_is_what_the_line_says_to_the_last_bit(decodes: int, kv_tokens: float) -> None:
    source = Scaled(WINDOWED, 1.2419)
    line = source.decode_line(decodes, kv_tokens, 5.0)

    on_line = line.base_s + line.per_kv_token_s * kv_tokens + line.per_window_token_s * 5.0
    assert source.step_s([], decodes, kv_tokens, 5.0) == on_line
    assert line[3:] == WINDOWED.decode_line(decodes, kv_tokens, 5.0)[3:]


@pytest.mark.parametrize("chunks", [[], [Chunk(300, 20, last=True), Chunk(7, 0, last=False)]])
@pytest.mark.parametrize("decodes", [0, 3])
def test_every_step_takes_so_many_times_as_long(chunks: list[Chunk], decodes: int) -> None:
    step = chunks, decodes, 5000.0 * decodes, 300.0 * decodes

    assert Scaled(WINDOWED, 1.5).step_s(*step) == pytest.approx(1.5 * WINDOWED.step_s(*step))


def test_a_scaled_source_is_as_well_known_and_has_the_same_window() -> None:
    source = Scaled(WINDOWED, 0.8)

    assert (source.origin, source.window_tokens) == (Origin.MEASURED_TABLE, 128)
