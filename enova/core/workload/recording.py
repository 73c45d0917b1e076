"""Requests that were recorded or prepared, as columns: what an adapter makes of a trace or a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Columns of equal length, one entry a request; None where the file has no such column."""

    at_s: NDArray[np.float64] | None = None
    """Ascending, from the first request."""
    prompt_tokens: NDArray[np.int64] | None = None
    output_tokens: NDArray[np.int64] | None = None
    prefixes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """Which beginning each prompt shares with others, -1 for none, and how many tokens of it."""
    texts: tuple[str, ...] | None = None
    """The prompts themselves, where they were asked for."""
    estimated: bool = False
    """Whether prompt lengths were estimated from text, since nobody counted tokens."""

    def of(self, rows: NDArray[np.int64]) -> Recording:
        """Return the recording of only these requests, by their places, in this order."""
        return Recording(
            at_s=None if self.at_s is None else self.at_s[rows],
            prompt_tokens=None if self.prompt_tokens is None else self.prompt_tokens[rows],
            output_tokens=None if self.output_tokens is None else self.output_tokens[rows],
            prefixes=None if self.prefixes is None else (self.prefixes[0][rows], self.prefixes[1][rows]),
            texts=None if self.texts is None else tuple(self.texts[row] for row in rows.tolist()),
            estimated=self.estimated,
        )

    def __len__(self) -> int:
        """Return the number of requests."""
        columns = (self.at_s, self.prompt_tokens, self.output_tokens)
        return next((len(column) for column in columns if column is not None), 0)
