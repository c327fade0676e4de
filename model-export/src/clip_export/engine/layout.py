"""Sizes that all plans of the engine's memory share, in bytes."""

from __future__ import annotations

from collections.abc import Iterator

from .linear import GROUP, INPUTS

FLOAT = 4


def up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def room(rows: int) -> int:
    """Rows with those past the last that the kernels write (src/engine/operations.ts, roomFor)."""
    return up(rows + 3, 8)


def attention_bytes(tokens: int, head: int) -> Iterator[int]:
    """src/engine/buffers.ts, planAttention"""
    tokens = room(tokens)
    yield from [tokens * head * 2, tokens * FLOAT] * 2
    yield from (32, 24 * tokens + 8 * head + 64)


def linear_bytes(outputs: int, inputs: int, fast: bool = False) -> Iterator[int]:
    """Of a linear's tensors (engine/linear.py), with a bias, which some have not."""
    yield outputs * up(inputs, INPUTS)
    yield from [FLOAT * outputs] * 2
    if fast and inputs % INPUTS == 0:
        yield FLOAT * outputs * -(-inputs // GROUP)
