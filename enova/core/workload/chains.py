"""From the blocks that prompts consist of to the beginnings they share, in the form requests have.

A recording may name the blocks of each prompt; blocks of one name are equal, and so is all that comes before them.
Conversations show as chains then: each turn begins with all of the last one. A request can begin with one chain
only. Where conversations part, the one that comes later gets a chain of its own, and of what both have in common
its first turn finds nothing. In Mooncake's conversations that hides 3 % of what a cache without limits would find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def chains_of(prompts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Return for each prompt, in the order of time, which chain it begins with, and with how many blocks of it.

    A prompt that shares nothing with any other has chain -1 and 0 blocks.
    """
    uses = Counter(block for prompt in prompts for block in prompt)
    owners: dict[int, int] = {}
    lengths: list[int] = []
    chains, shared = [], []
    for prompt in prompts:
        known = next((depth for depth, block in enumerate(prompt) if block not in owners), len(prompt))
        until = next((depth for depth in range(known, len(prompt)) if uses[prompt[depth]] == 1), len(prompt))
        chain = owners[prompt[known - 1]] if known else -1
        if until > known:
            if chain < 0 or known < lengths[chain]:
                chain = len(lengths)
                lengths.append(0)
            lengths[chain] = until
            owners.update(dict.fromkeys(prompt[:until], chain))
        chains.append(chain)
        shared.append(until)
    return chains, shared
